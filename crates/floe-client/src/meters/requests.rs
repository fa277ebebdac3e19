//! What can be asked of meters: those to be made, what is to change, which to list.

use serde::Serialize;
use uuid::Uuid;

use super::MeterUnit;
use crate::aggregation::Aggregation;
use crate::filter::Filter;
use crate::metadata::Metadata;
use crate::wire::{
    Parameters, metadata_setter, organization_setter, paging_setters, sorting_setters, wire_names,
};

wire_names! {
    /// What lists of meters can be sorted by.
    ///
    /// ```
    /// use floe_client::{MeterSort, MetersList};
    ///
    /// let newest_first = MetersList::new().descending(MeterSort::CreatedAt);
    /// ```
    pub enum MeterSort {
        /// When they were made.
        CreatedAt = "created_at",
        /// Their names, whatever the case.
        Name = "name",
    }
}

/// A meter to be made.
///
/// ```
/// use floe_client::{Aggregation, Filter, FilterClause, Metadata, MeterCreate};
///
/// let filter = Filter::and().clause(FilterClause::equal("name", "upload"));
/// let gigabytes = MeterCreate::new("Uploads", filter, Aggregation::sum("bytes"))
///     .custom_unit("GB")
///     .custom_multiplier(1_000_000_000)
///     .metadata(Metadata::new().with("plan", "pro"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeterCreate {
    name: String,
    filter: Filter,
    aggregation: Aggregation,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<MeterUnit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_multiplier: Option<i64>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<Uuid>,
}

impl MeterCreate {
    /// A meter with a name of at least 3 characters, of the events that the filter lets through,
    /// those from before it was made included.
    #[must_use]
    pub fn new(name: impl Into<String>, filter: Filter, aggregation: Aggregation) -> Self {
        Self {
            name: name.into(),
            filter,
            aggregation,
            unit: None,
            custom_label: None,
            custom_multiplier: None,
            metadata: Metadata::new(),
            organization_id: None,
        }
    }

    /// Its quantities are tokens. Without this and [`custom_unit`](Self::custom_unit), they are
    /// plain numbers.
    #[must_use]
    pub fn token_unit(mut self) -> Self {
        (self.unit, self.custom_label) = (Some(MeterUnit::Token), None);
        self
    }

    /// Its quantities are what the label says.
    #[must_use]
    pub fn custom_unit(mut self, label: impl Into<String>) -> Self {
        (self.unit, self.custom_label) = (Some(MeterUnit::Custom), Some(label.into()));
        self
    }

    /// How many of what is counted make one of what is shown, above 0.
    #[must_use]
    pub fn custom_multiplier(mut self, multiplier: i64) -> Self {
        self.custom_multiplier = Some(multiplier);
        self
    }

    /// What is attached to it.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Whose meter it is. With the root token it must be said; with an organization's token it
    /// must not, as that makes meters of its own organization.
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }
}

/// What is to change about a meter. What is not named stays.
///
/// Where a value can be cleared, its setter takes an `Option`: `None` clears it, and not to call
/// the setter leaves it.
///
/// ```
/// use floe_client::{MeterUnit, MeterUpdate};
///
/// let rename = MeterUpdate::new().name("Uploads, 2026");
/// let in_bytes = MeterUpdate::new()
///     .unit(MeterUnit::Scalar)
///     .custom_label(None)
///     .custom_multiplier(None);
/// let put_away = MeterUpdate::new().is_archived(true);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MeterUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<MeterUnit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_label: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_multiplier: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregation: Option<Aggregation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_archived: Option<bool>,
}

impl MeterUpdate {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What people call it, at least 3 characters.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What its quantities are. [`MeterUnit::Custom`] wants a label.
    #[must_use]
    pub fn unit(mut self, unit: MeterUnit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// What its quantities are called; `None` for no such name.
    #[must_use]
    pub fn custom_label(mut self, label: Option<&str>) -> Self {
        self.custom_label = Some(label.map(str::to_owned));
        self
    }

    /// How many of what is counted make one of what is shown, above 0; `None` for no such number.
    #[must_use]
    pub fn custom_multiplier(mut self, multiplier: Option<i64>) -> Self {
        self.custom_multiplier = Some(multiplier);
        self
    }

    /// What is attached to it, in place of all that was.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Which events it counts. Refused as soon as it counts some.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// How it makes one number of them. Refused as soon as it counts some.
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = Some(aggregation);
        self
    }

    /// Archives it, or takes it back.
    #[must_use]
    pub fn is_archived(mut self, is_archived: bool) -> Self {
        self.is_archived = Some(is_archived);
        self
    }
}

/// Which meters to list: all that the caller may see, by name, the first hundred of them.
///
/// ```
/// use floe_client::{MeterSort, MetersList};
///
/// let in_use = MetersList::new().is_archived(false);
/// let newest_tokens = MetersList::new()
///     .query("token")
///     .metadata("plan", "pro")
///     .descending(MeterSort::CreatedAt)
///     .limit(10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetersList {
    pub(crate) parameters: Parameters,
}

impl MetersList {
    /// All, on pages as large as may be.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this text in their names, whatever the case; `%` stands for any text and
    /// `_` for any character, unless a `\` is before it.
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those that are archived, or only those that are not.
    #[must_use]
    pub fn is_archived(mut self, is_archived: bool) -> Self {
        self.parameters.set("is_archived", is_archived);
        self
    }

    organization_setter!(MetersList, "meters().list(&list)");
    metadata_setter!(
        MetersList,
        r#""plan", "pro""#,
        "assert_eq!(client.meters().list(&list).await?.items.len(), 1);"
    );
    sorting_setters!(MeterSort::Name, "name", MetersList, "meters().list(&list)");
    paging_setters!(MetersList, "meters().list(&list)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_differ() {
        let json = |update: MeterUpdate| serde_json::to_string(&update).unwrap();
        assert_eq!(json(MeterUpdate::new()), "{}");
        assert_eq!(json(MeterUpdate::new().custom_label(None)), r#"{"custom_label":null}"#);
        assert_eq!(json(MeterUpdate::new().custom_label(Some("x"))), r#"{"custom_label":"x"}"#);
        assert_eq!(
            json(MeterUpdate::new().custom_multiplier(None).is_archived(false)),
            r#"{"custom_multiplier":null,"is_archived":false}"#
        );
    }
}
