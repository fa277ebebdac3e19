//! Which columns a segment has: one for each frequent metadata path and kind of value, so that a
//! string `"5"` and a number `5` are never mixed, and one JSON column for what is rare.

use std::collections::HashMap;

use floe_core::limits::COST_DECIMAL_PLACES_MAX;
use floe_core::{Metadata, Number, Value};
use serde::{Deserialize, Serialize};

/// A path and kind has a column of its own if at least one in so many events has it.
const FREQUENT_PART: u64 = 256;

/// Columns that every segment has, in order; those of metadata follow.
pub(super) const FIXED_COLUMNS: [&str; 12] = [
    "sequence",
    "timestamp",
    "ingested_at",
    "name",
    "source",
    "customer_id",
    "external_customer_id",
    "external_id",
    "parent_id",
    "external_member_id",
    "metadata",
    "metadata_order",
];

/// What a column of metadata holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Kind {
    /// `true` where there is a JSON null.
    Null,
    /// `true` where there is an object without keys.
    Object,
    Bool,
    Int,
    Float,
    /// With 12 places behind the point; trailing zeros mean nothing.
    Decimal,
    String,
}

impl Kind {
    /// The kind of a value that is no object with keys; `None` if only the JSON column can hold
    /// it.
    pub(super) fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(_) => Some(Self::Bool),
            Value::Number(Number::Int(_)) => Some(Self::Int),
            Value::Number(Number::Float(_)) => Some(Self::Float),
            Value::Number(Number::Decimal { mantissa, scale }) => {
                unscaled(*mantissa, *scale).map(|_| Self::Decimal)
            }
            Value::Number(Number::Big(_)) | Value::Array(_) => None,
            Value::String(_) => Some(Self::String),
            Value::Object(_) => Some(Self::Object),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Object => "object",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::String => "string",
        }
    }
}

/// Digits of the decimals in a column: 10^18 is the last power of ten that 64 bits hold.
pub(super) const DECIMAL_DIGITS: u8 = 18;
const DECIMAL_MAX: i64 = 10_i64.pow(DECIMAL_DIGITS as u32);

/// A decimal in units of 10^-12, if the column can hold it.
pub(super) fn unscaled(mantissa: i64, scale: u8) -> Option<i64> {
    let places = COST_DECIMAL_PLACES_MAX.checked_sub(scale)?;
    let unscaled = mantissa.checked_mul(10_i64.checked_pow(u32::from(places))?)?;
    (-DECIMAL_MAX < unscaled && unscaled < DECIMAL_MAX).then_some(unscaled)
}

/// A column of metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MetadataColumn {
    /// Keys from the outside in.
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
    /// How many events have a value in it.
    pub(super) count: u64,
}

impl MetadataColumn {
    /// The name in the file: `metadata.model:string`. Dots, colons and backslashes of keys are
    /// escaped with a backslash, so no two columns have one name.
    pub(super) fn name(&self) -> String {
        let mut name = String::from("metadata");
        for key in &self.path {
            name.push('.');
            for character in key.chars() {
                if matches!(character, '.' | ':' | '\\') {
                    name.push('\\');
                }
                name.push(character);
            }
        }
        name.push(':');
        name.push_str(self.kind.as_str());
        name
    }
}

/// How often each path and kind occurs in events that are to become a segment.
#[derive(Debug, Default)]
pub(in super::super) struct ColumnCounts {
    events: u64,
    counts: HashMap<(Vec<String>, Kind), u64>,
}

impl ColumnCounts {
    /// Counts an event.
    pub(in super::super) fn add_event(&mut self, metadata: &Metadata<'_>) {
        self.add_events(1, metadata);
    }

    /// Counts so many events whose metadata have the keys and kinds of this one.
    pub(in super::super) fn add_events(&mut self, events: u64, metadata: &Metadata<'_>) {
        self.events += events;
        self.add_object(events, metadata, &mut Vec::new());
    }

    fn add_object(&mut self, events: u64, object: &Metadata<'_>, path: &mut Vec<String>) {
        for (key, value) in object.iter() {
            path.push(key.to_owned());
            match value {
                Value::Object(inner) if inner.iter().len() > 0 => {
                    self.add_object(events, inner, path);
                }
                value => {
                    if let Some(kind) = Kind::of(value) {
                        *self.counts.entry((path.clone(), kind)).or_default() += events;
                    }
                }
            }
            path.pop();
        }
    }

    /// Counts the events of a segment.
    pub(super) fn add_layout(&mut self, events: u64, layout: &Layout) {
        self.events += events;
        for MetadataColumn { path, kind, count } in &layout.columns {
            *self.counts.entry((path.clone(), *kind)).or_default() += count;
        }
    }

    /// The columns for these events, at most so many.
    pub(super) fn choose(self, columns_max: usize) -> Layout {
        let Self { events, counts } = self;
        let mut columns: Vec<MetadataColumn> = counts
            .into_iter()
            .filter(|(_, count)| count.saturating_mul(FREQUENT_PART) >= events)
            .map(|((path, kind), count)| MetadataColumn { path, kind, count })
            .collect();
        columns.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.path.cmp(&b.path)));
        columns.truncate(columns_max);
        columns.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
        columns.iter_mut().for_each(|column| column.count = 0);
        Layout { columns }
    }
}

/// The metadata columns of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layout {
    pub(super) columns: Vec<MetadataColumn>,
}

/// The columns at and below a path of keys.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Columns of the values at this path, by kind, as indexes into [`Layout::columns`].
    pub(super) columns: Vec<(Kind, usize)>,
    pub(super) below: HashMap<String, Node>,
}

impl Node {
    /// The columns of a layout as a tree of keys.
    pub(super) fn of(layout: &Layout) -> Self {
        let mut root = Self::default();
        for (index, column) in layout.columns.iter().enumerate() {
            let mut node = &mut root;
            for key in &column.path {
                node = node.below.entry(key.clone()).or_default();
            }
            node.columns.push((column.kind, index));
        }
        root
    }

    /// The column of a kind of value at this path.
    pub(super) fn column(&self, kind: Kind) -> Option<usize> {
        self.columns.iter().find(|(of, _)| *of == kind).map(|(_, index)| *index)
    }

    /// The node at a path.
    pub(super) fn at(&self, path: &[impl AsRef<str>]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.below.get(key.as_ref()))
    }

    /// All columns below this path.
    pub(super) fn columns_below(&self, found: &mut Vec<usize>) {
        for node in self.below.values() {
            found.extend(node.columns.iter().map(|(_, index)| *index));
            node.columns_below(found);
        }
    }
}
