//! What a filter means (semantics section 2).

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::event::EventFields;
use crate::limits::METADATA_LEVELS_MAX;
use crate::number::Number;
use crate::value::Value;

/// How the clauses of a filter combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conjunction {
    /// All of them hold.
    And,
    /// At least one holds, or there is none.
    Or,
}

/// A filter: a conjunction of clauses and nested filters.
///
/// It is generic over its leaves so that an engine can prepare each clause for its own storage
/// ([`Filter::map`]) and still leave the logic to [`Filter::holds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter<C = FilterClause> {
    /// How the clauses combine.
    pub conjunction: Conjunction,
    /// In the order given; may be empty, which is true for both conjunctions.
    pub clauses: Vec<Clause<C>>,
}

/// A member of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause<C = FilterClause> {
    /// A comparison of one property.
    Leaf(C),
    /// A nested filter.
    Filter(Filter<C>),
}

impl<C> Filter<C> {
    /// The filter that every event passes.
    #[must_use]
    pub fn all() -> Self {
        Self { conjunction: Conjunction::And, clauses: Vec::new() }
    }

    /// Whether the filter holds, given what each leaf says.
    pub fn holds(&self, leaf: &mut impl FnMut(&C) -> bool) -> bool {
        let mut holds = |clause: &Clause<C>| match clause {
            Clause::Leaf(clause) => leaf(clause),
            Clause::Filter(filter) => filter.holds(leaf),
        };
        match self.conjunction {
            Conjunction::And => self.clauses.iter().all(holds),
            Conjunction::Or => self.clauses.is_empty() || self.clauses.iter().any(&mut holds),
        }
    }

    /// Where it is that the filter does not hold, as positions into `clauses`, from the outermost
    /// filter inwards; `None` if it holds.
    ///
    /// Of several clauses that must all hold it is the first that does not. Of alternatives none
    /// holds, so it is the filter that has them, unless there is only one.
    ///
    /// ```
    /// use floe_core::{Clause, Conjunction, Filter};
    /// let leaves = |conjunction, of: &[u8]| Filter {
    ///     conjunction,
    ///     clauses: of.iter().copied().map(Clause::Leaf).collect(),
    /// };
    /// let mut filter = leaves(Conjunction::And, &[1, 2]);
    /// assert_eq!(filter.failing(&mut |leaf| *leaf == 1), Some(vec![1]));
    /// filter.clauses.push(Clause::Filter(leaves(Conjunction::Or, &[3, 4])));
    /// assert_eq!(filter.failing(&mut |leaf| *leaf < 3), Some(vec![2]));
    /// assert_eq!(filter.failing(&mut |leaf| *leaf < 4), None);
    /// ```
    pub fn failing(&self, leaf: &mut impl FnMut(&C) -> bool) -> Option<Vec<usize>> {
        let mut of_clause = |position: usize, clause: &Clause<C>| {
            let mut path = match clause {
                Clause::Leaf(clause) if leaf(clause) => return None,
                Clause::Leaf(_) => Vec::new(),
                Clause::Filter(filter) => filter.failing(leaf)?,
            };
            path.insert(0, position);
            Some(path)
        };
        let mut clauses = self.clauses.iter().enumerate();
        match (self.conjunction, self.clauses.as_slice()) {
            (Conjunction::And, _) => clauses.find_map(|(at, clause)| of_clause(at, clause)),
            (Conjunction::Or, []) => None,
            (Conjunction::Or, [only]) => of_clause(0, only),
            (Conjunction::Or, _) => {
                clauses.all(|(at, clause)| of_clause(at, clause).is_some()).then(Vec::new)
            }
        }
    }

    /// What stands at positions into `clauses`, from the outermost filter inwards; `None` for the
    /// filter itself, and where there is nothing.
    #[must_use]
    pub fn at(&self, path: &[usize]) -> Option<&Clause<C>> {
        let (first, rest) = path.split_first()?;
        let clause = self.clauses.get(*first)?;
        match clause {
            _ if rest.is_empty() => Some(clause),
            Clause::Leaf(_) => None,
            Clause::Filter(filter) => filter.at(rest),
        }
    }

    /// Takes the rows off for which the filter does not hold: what [`holds`](Self::holds) says of
    /// each, but each leaf is asked once, for many rows. `leaf` takes those off for which it does
    /// not hold; of the others it says nothing.
    pub fn keep(&self, rows: &mut [bool], leaf: &mut impl FnMut(&C, &mut [bool])) {
        let mut keep = |clause: &Clause<C>, rows: &mut [bool]| match clause {
            Clause::Leaf(clause) => leaf(clause, rows),
            Clause::Filter(filter) => filter.keep(rows, leaf),
        };
        match (self.conjunction, self.clauses.as_slice()) {
            (Conjunction::Or, []) => {}
            (Conjunction::And, clauses) => clauses.iter().for_each(|clause| keep(clause, rows)),
            (Conjunction::Or, [only]) => keep(only, rows),
            (Conjunction::Or, clauses) => {
                // Those for which no clause before holds; a clause is asked about these alone.
                let mut left = rows.to_vec();
                let mut held = vec![false; rows.len()];
                for clause in clauses {
                    let mut holding = left.clone();
                    keep(clause, &mut holding);
                    for ((left, held), holding) in left.iter_mut().zip(&mut held).zip(&holding) {
                        *held |= holding;
                        *left &= !holding;
                    }
                }
                rows.copy_from_slice(&held);
            }
        }
    }

    /// The same tree with other leaves.
    pub fn map<'c, D>(&'c self, leaf: &mut impl FnMut(&'c C) -> D) -> Filter<D> {
        let clauses = self.clauses.iter().map(|clause| match clause {
            Clause::Leaf(clause) => Clause::Leaf(leaf(clause)),
            Clause::Filter(filter) => Clause::Filter(filter.map(leaf)),
        });
        Filter { conjunction: self.conjunction, clauses: clauses.collect() }
    }
}

impl Filter {
    /// Whether an event passes.
    pub fn matches(&self, event: &impl EventFields) -> bool {
        self.holds(&mut |clause| clause.matches(event))
    }
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Different, but of a kind that can be compared; an absent property is not.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Contains, as text.
    Like,
    /// Present, and does not contain.
    NotLike,
}

impl Operator {
    /// All, in the order of the wire's error messages.
    pub const ALL: [(&'static str, Self); 8] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("gt", Self::Gt),
        ("gte", Self::Gte),
        ("lt", Self::Lt),
        ("lte", Self::Lte),
        ("like", Self::Like),
        ("not_like", Self::NotLike),
    ];

    fn is_order(self) -> bool {
        matches!(self, Self::Gt | Self::Gte | Self::Lt | Self::Lte)
    }

    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Gt => ordering.is_gt(),
            Self::Gte => ordering.is_ge(),
            Self::Lt => ordering.is_lt(),
            Self::Lte => ordering.is_le(),
            Self::Like | Self::NotLike => false,
        }
    }
}

/// What a property is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClauseValue {
    /// Text, at most 1,000 code points.
    Text(String),
    /// An integer.
    Int(i32),
    /// A boolean.
    Bool(bool),
}

impl ClauseValue {
    /// The needle of `like`, and what stored strings are compared with.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Bool(value) => Cow::Borrowed(if *value { "t" } else { "f" }),
        }
    }
}

/// What a property names: a field of the event, or a path into its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// The event's name.
    Name,
    /// `user` or `system`.
    Source,
    /// The event's timestamp, in whole seconds since the epoch, rounded down.
    Timestamp,
    /// Keys into the metadata, at least one.
    Metadata(Vec<String>),
}

impl Property {
    /// Reads a property as stored, that is without the leading `metadata.`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "name" => Self::Name,
            "source" => Self::Source,
            "timestamp" => Self::Timestamp,
            path => Self::metadata(path),
        }
    }

    /// Reads a property that always names metadata, as that of `unique` does.
    ///
    /// A path that is longer than metadata can be deep names nothing, and so does its beginning
    /// that is one too long: the rest of it is not kept, since a property of nothing but dots
    /// would take 24 times its size.
    #[must_use]
    pub fn metadata(path: &str) -> Self {
        let steps = path.split('.').take(METADATA_LEVELS_MAX + 1);
        Self::Metadata(steps.map(str::to_owned).collect())
    }
}

/// Takes one leading `metadata.` off a property, on input (semantics section 13, S9).
#[must_use]
pub fn strip_metadata_prefix(property: &str) -> &str {
    property.strip_prefix("metadata.").unwrap_or(property)
}

/// A clause that has no meaning: a boolean has no order, and is no time (S7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a boolean cannot be compared with this operator here")]
pub struct BooleanNotComparable;

/// Why an event does not pass a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The event lacks the property.
    Absent,
    /// The event's value and the clause's are of kinds that are not compared with one another.
    NotComparable,
    /// They are, and the comparison does not hold.
    Otherwise,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterClause {
    text: String,
    property: Property,
    operator: Operator,
    value: ClauseValue,
}

impl FilterClause {
    /// A clause on a property as stored (no leading `metadata.`; see [`strip_metadata_prefix`]).
    ///
    /// # Errors
    ///
    /// A boolean with `gt gte lt lte` on metadata or `timestamp`, or with `eq`/`ne` on
    /// `timestamp` (semantics section 13, S7).
    pub fn new(
        property: String,
        operator: Operator,
        value: ClauseValue,
    ) -> Result<Self, BooleanNotComparable> {
        let parsed = Property::parse(&property);
        if matches!(value, ClauseValue::Bool(_)) {
            let meaningless = match &parsed {
                Property::Name | Property::Source => false,
                Property::Timestamp => !matches!(operator, Operator::Like | Operator::NotLike),
                Property::Metadata(_) => operator.is_order(),
            };
            if meaningless {
                return Err(BooleanNotComparable);
            }
        }
        Ok(Self { text: property, property: parsed, operator, value })
    }

    /// The property as stored and shown.
    #[must_use]
    pub fn property_text(&self) -> &str {
        &self.text
    }

    /// What the property names.
    #[must_use]
    pub fn property(&self) -> &Property {
        &self.property
    }

    /// How it is compared.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it is compared with.
    #[must_use]
    pub fn value(&self) -> &ClauseValue {
        &self.value
    }

    /// Why an event does not pass this clause; `None` if it does.
    pub fn mismatch(&self, event: &impl EventFields) -> Option<Mismatch> {
        if self.matches(event) {
            return None;
        }
        let is_text = matches!(self.value, ClauseValue::Text(_));
        let is_comparable = match &self.property {
            Property::Name | Property::Source => is_text,
            Property::Timestamp => !is_text,
            Property::Metadata(path) => match event.property(path) {
                None => return Some(Mismatch::Absent),
                Some(value) => match self.operator {
                    Operator::Like | Operator::NotLike => value.text().is_some(),
                    _ => self.compare(&value).is_some(),
                },
            },
        };
        Some(if is_comparable { Mismatch::Otherwise } else { Mismatch::NotComparable })
    }

    /// Whether an event passes this clause.
    pub fn matches(&self, event: &impl EventFields) -> bool {
        match &self.property {
            Property::Name => self.holds_for_field(event.name()),
            Property::Source => self.holds_for_field(event.source().as_str()),
            Property::Timestamp => self.holds_for_timestamp(event.timestamp().epoch_seconds()),
            Property::Metadata(path) => {
                event.property(path).is_some_and(|value| self.holds_for_value(&value))
            }
        }
    }

    /// Semantics section 2.1, for `name` and `source`: only a text can be compared with them.
    #[must_use]
    pub fn holds_for_field(&self, field: &str) -> bool {
        match &self.value {
            ClauseValue::Text(text) => self.holds_for_text(field, text),
            ClauseValue::Int(_) | ClauseValue::Bool(_) => false,
        }
    }

    fn holds_for_text(&self, stored: &str, text: &str) -> bool {
        match self.operator {
            Operator::Like => stored.contains(text),
            Operator::NotLike => !stored.contains(text),
            operator => operator.accepts(stored.cmp(text)),
        }
    }

    /// Semantics section 2.1, for `timestamp`, in whole seconds since the epoch.
    #[must_use]
    pub fn holds_for_timestamp(&self, seconds: i64) -> bool {
        match (self.operator, &self.value) {
            (_, ClauseValue::Text(_)) => false,
            (Operator::Like | Operator::NotLike, value) => {
                self.holds_for_text(&seconds.to_string(), &value.text())
            }
            (operator, ClauseValue::Int(value)) => {
                operator.accepts(seconds.cmp(&i64::from(*value)))
            }
            (_, ClauseValue::Bool(_)) => false,
        }
    }

    /// Semantics sections 2.2 and 2.3, for a metadata value that is there. An absent one passes
    /// no clause.
    #[must_use]
    pub fn holds_for_value(&self, stored: &Value<'_>) -> bool {
        match self.operator {
            Operator::Like => {
                stored.text().is_some_and(|stored| stored.contains(&*self.value.text()))
            }
            Operator::NotLike => {
                stored.text().is_some_and(|stored| !stored.contains(&*self.value.text()))
            }
            operator => self.compare(stored).is_some_and(|ordering| operator.accepts(ordering)),
        }
    }

    /// The order of a stored value and the clause's; `None` where the two cannot be compared.
    fn compare(&self, stored: &Value<'_>) -> Option<Ordering> {
        match (stored, &self.value) {
            (Value::String(stored), value) => Some((**stored).cmp(&*value.text())),
            (Value::Number(number), ClauseValue::Int(value)) => compare_number(number, *value),
            (Value::Number(number), ClauseValue::Bool(value)) => {
                compare_number(number, i32::from(*value))
            }
            (Value::Bool(stored), ClauseValue::Bool(value)) => Some(stored.cmp(value)),
            _ => None,
        }
    }
}

fn compare_number(number: &Number<'_>, value: i32) -> Option<Ordering> {
    match number {
        Number::Int(stored) => Some(stored.cmp(&i64::from(value))),
        other => other.to_f64().partial_cmp(&f64::from(value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Filters whose leaves are bits of a number.
    fn of_bits() -> impl Strategy<Value = Filter<u8>> {
        let conjunction = || prop_oneof![Just(Conjunction::And), Just(Conjunction::Or)];
        let leaf = (0_u8..8).prop_map(Clause::Leaf);
        let clause = leaf.prop_recursive(3, 16, 4, move |inner| {
            (conjunction(), prop::collection::vec(inner, 0..4))
                .prop_map(|(conjunction, clauses)| Clause::Filter(Filter { conjunction, clauses }))
        });
        (conjunction(), prop::collection::vec(clause, 0..4))
            .prop_map(|(conjunction, clauses)| Filter { conjunction, clauses })
    }

    proptest! {
        #[test]
        fn many_rows_at_once_are_as_one_by_one(
            filter in of_bits(),
            rows in prop::collection::vec(any::<(u8, bool)>(), 0..40),
        ) {
            let mut kept: Vec<bool> = rows.iter().map(|(_, asked)| *asked).collect();
            filter.keep(&mut kept, &mut |bit, kept| {
                for (kept, (row, _)) in kept.iter_mut().zip(&rows) {
                    *kept &= row >> bit & 1 == 1;
                }
            });
            let holds = |row: u8| filter.holds(&mut |bit| row >> bit & 1 == 1);
            let expected: Vec<bool> = rows.iter().map(|(row, asked)| *asked && holds(*row)).collect();
            prop_assert_eq!(kept, expected);
        }
    }

    proptest! {
        #[test]
        fn what_fails_is_found_where_the_filter_does_not_hold(filter in of_bits(), row in any::<u8>()) {
            let mut leaf = |bit: &u8| row >> bit & 1 == 1;
            let failing = filter.failing(&mut leaf);
            prop_assert_eq!(failing.is_none(), filter.holds(&mut leaf));
            match failing.as_deref() {
                None => {}
                Some([]) => prop_assert!(filter.clauses.len() > 1 && filter.conjunction == Conjunction::Or),
                Some(path) => match filter.at(path).expect("a clause") {
                    Clause::Leaf(bit) => prop_assert!(!leaf(bit)),
                    Clause::Filter(inner) => {
                        prop_assert!(!inner.holds(&mut leaf));
                        prop_assert_eq!(inner.conjunction, Conjunction::Or);
                        prop_assert!(inner.clauses.len() > 1);
                    }
                },
            }
        }
    }

    #[test]
    fn a_mismatch_says_why() {
        use crate::{CustomerRef, EventSource, Metadata, NewEvent, Timestamp};
        let event = NewEvent {
            name: "use".into(),
            source: EventSource::User,
            customer: CustomerRef::External("ada".into()),
            timestamp: Timestamp::from_micros(0).unwrap(),
            external_id: None,
            parent_id: None,
            external_member_id: None,
            metadata: Metadata::from_distinct(vec![
                ("i".into(), Value::Number(Number::Int(5))),
                ("b".into(), Value::Bool(true)),
            ]),
        };
        let why = |property: &str, operator, value| {
            FilterClause::new(property.to_owned(), operator, value).unwrap().mismatch(&event)
        };
        let text = |text: &str| ClauseValue::Text(text.to_owned());
        assert_eq!(why("i", Operator::Eq, ClauseValue::Int(5)), None);
        assert_eq!(why("i", Operator::Gt, ClauseValue::Int(5)), Some(Mismatch::Otherwise));
        assert_eq!(why("i", Operator::Ne, text("6")), Some(Mismatch::NotComparable));
        assert_eq!(why("b", Operator::Ne, ClauseValue::Int(6)), Some(Mismatch::NotComparable));
        assert_eq!(why("b", Operator::NotLike, text("r")), Some(Mismatch::Otherwise));
        assert_eq!(why("x", Operator::NotLike, text("r")), Some(Mismatch::Absent));
        assert_eq!(why("i.x", Operator::Ne, text("r")), Some(Mismatch::Absent));
        assert_eq!(why("name", Operator::Eq, text("x")), Some(Mismatch::Otherwise));
        assert_eq!(why("name", Operator::Ne, ClauseValue::Int(1)), Some(Mismatch::NotComparable));
        assert_eq!(why("timestamp", Operator::Ne, text("1")), Some(Mismatch::NotComparable));
        assert_eq!(why("timestamp", Operator::Gt, ClauseValue::Int(0)), Some(Mismatch::Otherwise));
    }

    #[test]
    fn a_path_beyond_any_metadata_is_not_kept_whole() {
        let Property::Metadata(path) = Property::parse(&".".repeat(1_000_000)) else {
            panic!("not a path")
        };
        assert_eq!(path.len(), METADATA_LEVELS_MAX + 1);
        assert_eq!(Property::parse("a..b"), Property::metadata("a..b"));
    }
}
