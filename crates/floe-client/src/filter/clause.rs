//! One comparison of a filter.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::InvalidFilter;
use crate::wire::wire_names;

/// Characters of a text that a clause compares with, at most.
///
/// ```
/// use floe_client::{CLAUSE_VALUE_CHARS_MAX, FilterClause, InvalidFilter, Operator};
///
/// let long = "a".repeat(CLAUSE_VALUE_CHARS_MAX + 1);
/// let refused = FilterClause::new("model", Operator::Equal, long);
/// assert_eq!(refused, Err(InvalidFilter::LongValue));
/// ```
pub const CLAUSE_VALUE_CHARS_MAX: usize = 1000;

wire_names! {
    /// How a clause compares.
    ///
    /// ```
    /// use floe_client::Operator;
    ///
    /// assert_eq!("gte".parse(), Ok(Operator::GreaterOrEqual));
    /// ```
    pub enum Operator {
        /// Equal.
        Equal = "eq",
        /// Not equal.
        NotEqual = "ne",
        /// Greater.
        Greater = "gt",
        /// Greater or equal.
        GreaterOrEqual = "gte",
        /// Less.
        Less = "lt",
        /// Less or equal.
        LessOrEqual = "lte",
        /// The value is part of the text.
        Like = "like",
        /// The value is not part of the text.
        NotLike = "not_like",
    }
}

impl Operator {
    const fn orders(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual)
    }
}

/// What a clause compares with: a text, a whole number of 32 bits, or a truth value. There is no
/// other kind, and a fraction or a larger number cannot be said.
///
/// ```
/// use floe_client::FilterValue;
///
/// assert_eq!(FilterValue::from(5), FilterValue::Integer(5));
/// assert_eq!(FilterValue::from("5"), FilterValue::String("5".to_owned()));
/// assert_ne!(FilterValue::from(5), FilterValue::from("5"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum FilterValue {
    /// A text of at most [`CLAUSE_VALUE_CHARS_MAX`] characters.
    String(String),
    /// A whole number.
    Integer(i32),
    /// A truth value; equal or not, but neither less nor greater.
    Boolean(bool),
}

impl fmt::Display for FilterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.pad(text),
            Self::Integer(number) => fmt::Display::fmt(number, f),
            Self::Boolean(value) => fmt::Display::fmt(value, f),
        }
    }
}

impl From<&str> for FilterValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for FilterValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i32> for FilterValue {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for FilterValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl<'de> Deserialize<'de> for FilterValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl Value {
            fn integer<E: de::Error>(
                number: impl TryInto<i32> + Copy + fmt::Display,
            ) -> Result<FilterValue, E> {
                number
                    .try_into()
                    .map(FilterValue::Integer)
                    .map_err(|_| E::custom(format_args!("{number} is not within 32 bits")))
            }
        }

        impl Visitor<'_> for Value {
            type Value = FilterValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number of 32 bits or a truth value")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<FilterValue, E> {
                Ok(FilterValue::Boolean(value))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<FilterValue, E> {
                Self::integer(number)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<FilterValue, E> {
                Self::integer(number)
            }

            /// The wire takes `5.0` for `5`.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<FilterValue, E> {
                let is_within = number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX);
                if is_within && number.fract() == 0.0 {
                    #[expect(clippy::cast_possible_truncation, reason = "whole and within")]
                    return Ok(FilterValue::Integer(number as i32));
                }
                Err(E::custom(format_args!("{number} is no whole number of 32 bits")))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FilterValue, E> {
                Ok(FilterValue::String(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

/// What has an order: texts and numbers.
mod ordered {
    pub trait Ordered: Into<super::FilterValue> {}
    impl Ordered for &str {}
    impl Ordered for String {}
    impl Ordered for i32 {}
}

/// One comparison of an event's property with a value.
///
/// A property is `name`, `source`, `timestamp` (in whole seconds of the Unix epoch), or a key of
/// the event's metadata; deeper values are reached with dots, as in `_cost.amount`. An event that
/// lacks the property is not counted, whatever the operator.
///
/// The constructors take only what can be compared: a truth value is neither less nor greater, and
/// only texts are parts of texts.
///
/// ```
/// use floe_client::FilterClause;
///
/// let clause = FilterClause::greater("tokens", 100);
/// assert_eq!(
///     serde_json::to_string(&clause)?,
///     r#"{"property":"tokens","operator":"gt","value":100}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// ```compile_fail
/// floe_client::FilterClause::greater("is_cached", true);
/// ```
///
/// ```compile_fail
/// floe_client::FilterClause::equal("tokens", 1.5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AnyClause")]
pub struct FilterClause {
    property: String,
    operator: Operator,
    value: FilterValue,
}

#[derive(Deserialize)]
struct AnyClause {
    property: String,
    operator: Operator,
    value: FilterValue,
}

impl TryFrom<AnyClause> for FilterClause {
    type Error = InvalidFilter;

    fn try_from(AnyClause { property, operator, value }: AnyClause) -> Result<Self, InvalidFilter> {
        Self::new(property, operator, value)
    }
}

impl FilterClause {
    /// A clause whose operator is not known before. Where it is, the other constructors cannot
    /// fail.
    ///
    /// ```
    /// use floe_client::{FilterClause, InvalidFilter, Operator};
    ///
    /// let clause = FilterClause::new("tokens", "lte".parse()?, 5)?;
    /// assert_eq!(clause, FilterClause::less_or_equal("tokens", 5));
    /// let refused = FilterClause::new("is_cached", Operator::Less, true);
    /// assert_eq!(refused, Err(InvalidFilter::BooleanOrder));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidFilter::BooleanOrder`] for a truth value that metadata should be less or greater
    /// than, or that should be a time, and [`InvalidFilter::LongValue`] for a text of more than
    /// [`CLAUSE_VALUE_CHARS_MAX`] characters.
    pub fn new(
        property: impl Into<String>,
        operator: Operator,
        value: impl Into<FilterValue>,
    ) -> Result<Self, InvalidFilter> {
        let clause = Self::any(property, operator, value);
        match &clause.value {
            FilterValue::Boolean(_) => {
                // As servers do: what they refuse, and nothing else.
                let is_refused =
                    match clause.property.strip_prefix("metadata.").unwrap_or(&clause.property) {
                        "name" | "source" => false,
                        "timestamp" => !matches!(operator, Operator::Like | Operator::NotLike),
                        _ => operator.orders(),
                    };
                if is_refused {
                    return Err(InvalidFilter::BooleanOrder);
                }
            }
            FilterValue::String(text) if text.chars().count() > CLAUSE_VALUE_CHARS_MAX => {
                return Err(InvalidFilter::LongValue);
            }
            _ => {}
        }
        Ok(clause)
    }

    fn any(property: impl Into<String>, operator: Operator, value: impl Into<FilterValue>) -> Self {
        Self { property: property.into(), operator, value: value.into() }
    }

    /// The property equals the value.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let small = Filter::and().clause(FilterClause::equal("model", "small"));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&small)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn equal(property: impl Into<String>, value: impl Into<FilterValue>) -> Self {
        Self::any(property, Operator::Equal, value)
    }

    /// The property is there and differs from the value.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let other = Filter::and().clause(FilterClause::not_equal("model", "small"));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&other)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn not_equal(property: impl Into<String>, value: impl Into<FilterValue>) -> Self {
        Self::any(property, Operator::NotEqual, value)
    }

    /// The property is greater than the value: a `&str`, a `String` or an `i32`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let many = Filter::and().clause(FilterClause::greater("tokens", 80));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&many)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn greater(property: impl Into<String>, value: impl ordered::Ordered) -> Self {
        Self::any(property, Operator::Greater, value)
    }

    /// The property is greater than the value or equal to it: a `&str`, a `String` or an `i32`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let many = Filter::and().clause(FilterClause::greater_or_equal("tokens", 80));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&many)).await?.items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn greater_or_equal(property: impl Into<String>, value: impl ordered::Ordered) -> Self {
        Self::any(property, Operator::GreaterOrEqual, value)
    }

    /// The property is less than the value: a `&str`, a `String` or an `i32`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// // Before 2 March 2026, in UTC.
    /// let early = Filter::and().clause(FilterClause::less("timestamp", 1_772_409_600));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&early)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn less(property: impl Into<String>, value: impl ordered::Ordered) -> Self {
        Self::any(property, Operator::Less, value)
    }

    /// The property is less than the value or equal to it: a `&str`, a `String` or an `i32`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let few = Filter::and().clause(FilterClause::less_or_equal("tokens", 80));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&few)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn less_or_equal(property: impl Into<String>, value: impl ordered::Ordered) -> Self {
        Self::any(property, Operator::LessOrEqual, value)
    }

    /// The property's text has this text in it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let large = Filter::and().clause(FilterClause::like("model", "-large"));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&large)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn like(property: impl Into<String>, text: impl Into<String>) -> Self {
        Self::any(property, Operator::Like, text.into())
    }

    /// The property is there and its text does not have this text in it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let others = Filter::and().clause(FilterClause::not_like("model", "-large"));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&others)).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn not_like(property: impl Into<String>, text: impl Into<String>) -> Self {
        Self::any(property, Operator::NotLike, text.into())
    }

    /// What is compared, without the leading `metadata.` in a server's answers.
    ///
    /// ```
    /// use floe_client::FilterClause;
    ///
    /// assert_eq!(FilterClause::greater("tokens", 100).property(), "tokens");
    /// ```
    #[must_use]
    pub fn property(&self) -> &str {
        &self.property
    }

    /// How.
    ///
    /// ```
    /// use floe_client::{FilterClause, Operator};
    ///
    /// assert_eq!(FilterClause::greater("tokens", 100).operator(), Operator::Greater);
    /// ```
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What with.
    ///
    /// ```
    /// use floe_client::{FilterClause, FilterValue};
    ///
    /// assert_eq!(FilterClause::greater("tokens", 100).value(), &FilterValue::Integer(100));
    /// ```
    #[must_use]
    pub fn value(&self) -> &FilterValue {
        &self.value
    }
}
