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
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{MeterSort, MetersList};
    ///
    /// let newest_first = MetersList::new().descending(MeterSort::CreatedAt);
    /// assert_eq!(client.meters().list(&newest_first).await?.items, [meter]);
    /// # Ok(())
    /// # });
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
/// # floe_client_doc::run(async |client| {
/// use floe_client::{Aggregation, Filter, FilterClause, MeterCreate, MeterUnit};
///
/// let filter = Filter::and().clause(FilterClause::equal("name", "upload"));
/// let gigabytes = MeterCreate::new("Uploads", filter, Aggregation::sum("bytes"))
///     .custom_unit("GB")
///     .custom_multiplier(1_000_000_000)
///     .metadata([("plan", "pro")]);
/// let meter = client.meters().create(&gigabytes).await?;
/// assert_eq!(meter.unit, MeterUnit::Custom);
/// # Ok(())
/// # });
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, MeterCreate};
    ///
    /// let everything = MeterCreate::new("Everything", Filter::and(), Aggregation::count());
    /// let meter = client.meters().create(&everything).await?;
    /// assert_eq!((meter.filter, meter.aggregation), (Filter::and(), Aggregation::count()));
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, MeterCreate, MeterUnit};
    ///
    /// let tokens = MeterCreate::new("Tokens", Filter::and(), Aggregation::sum("tokens"))
    ///     .token_unit();
    /// assert_eq!(client.meters().create(&tokens).await?.unit, MeterUnit::Token);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn token_unit(mut self) -> Self {
        (self.unit, self.custom_label) = (Some(MeterUnit::Token), None);
        self
    }

    /// Its quantities are what the label says.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, MeterCreate};
    ///
    /// let requests = MeterCreate::new("Requests", Filter::and(), Aggregation::count())
    ///     .custom_unit("requests");
    /// let meter = client.meters().create(&requests).await?;
    /// assert_eq!(meter.custom_label.as_deref(), Some("requests"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn custom_unit(mut self, label: impl Into<String>) -> Self {
        (self.unit, self.custom_label) = (Some(MeterUnit::Custom), Some(label.into()));
        self
    }

    /// How many of what is counted make one of what is shown, above 0.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, MeterCreate};
    ///
    /// let megabytes = MeterCreate::new("Uploads", Filter::and(), Aggregation::sum("bytes"))
    ///     .custom_unit("MB")
    ///     .custom_multiplier(1_000_000);
    /// let meter = client.meters().create(&megabytes).await?;
    /// assert_eq!(meter.custom_multiplier, Some(1_000_000));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn custom_multiplier(mut self, multiplier: i64) -> Self {
        self.custom_multiplier = Some(multiplier);
        self
    }

    /// What is attached to it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, Metadata, MeterCreate};
    ///
    /// let meter = MeterCreate::new("Requests", Filter::and(), Aggregation::count())
    ///     .metadata(Metadata::new().with("plan", "pro").with("seats", 5));
    /// let meter = client.meters().create(&meter).await?;
    /// assert_eq!(meter.metadata.get("seats"), Some(&5.into()));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Whose meter it is. With the root token it must be said; with an organization's token it
    /// must not, as that makes meters of its own organization.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::{Aggregation, Filter, MeterCreate, OrganizationCreate};
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// let requests = MeterCreate::new("Requests", Filter::and(), Aggregation::count())
    ///     .organization(acme.id);
    /// assert_eq!(client.meters().create(&requests).await?.organization_id, acme.id);
    /// # Ok(())
    /// # });
    /// ```
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
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::{MeterUnit, MeterUpdate};
///
/// let in_thousands = MeterUpdate::new()
///     .name("Tokens, 2026")
///     .unit(MeterUnit::Custom)
///     .custom_label(Some("kT"))
///     .custom_multiplier(Some(1000));
/// let updated = client.meters().update(meter.id, &in_thousands).await?;
/// assert_eq!(updated.custom_label.as_deref(), Some("kT"));
///
/// let plain = MeterUpdate::new()
///     .unit(MeterUnit::Scalar)
///     .custom_label(None)
///     .custom_multiplier(None);
/// let updated = client.meters().update(meter.id, &plain).await?;
/// assert_eq!((updated.custom_label, updated.custom_multiplier), (None, None));
/// assert_eq!(updated.name, "Tokens, 2026");
/// # Ok(())
/// # });
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterUpdate;
    ///
    /// let same = client.meters().update(meter.id, &MeterUpdate::new()).await?;
    /// assert_eq!(same.name, meter.name);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What people call it, at least 3 characters.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterUpdate;
    ///
    /// let update = MeterUpdate::new().name("Tokens, all");
    /// assert_eq!(client.meters().update(meter.id, &update).await?.name, "Tokens, all");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What its quantities are. [`MeterUnit::Custom`] wants a label.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{MeterUnit, MeterUpdate};
    ///
    /// let update = MeterUpdate::new().unit(MeterUnit::Token);
    /// assert_eq!(client.meters().update(meter.id, &update).await?.unit, MeterUnit::Token);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn unit(mut self, unit: MeterUnit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// What its quantities are called; `None` for no such name.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{MeterUnit, MeterUpdate};
    ///
    /// let update = MeterUpdate::new().unit(MeterUnit::Custom).custom_label(Some("kT"));
    /// let updated = client.meters().update(meter.id, &update).await?;
    /// assert_eq!(updated.custom_label.as_deref(), Some("kT"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn custom_label(mut self, label: Option<&str>) -> Self {
        self.custom_label = Some(label.map(str::to_owned));
        self
    }

    /// How many of what is counted make one of what is shown, above 0; `None` for no such number.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{MeterUnit, MeterUpdate};
    ///
    /// let update = MeterUpdate::new()
    ///     .unit(MeterUnit::Custom)
    ///     .custom_label(Some("kT"))
    ///     .custom_multiplier(Some(1000));
    /// let updated = client.meters().update(meter.id, &update).await?;
    /// assert_eq!(updated.custom_multiplier, Some(1000));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn custom_multiplier(mut self, multiplier: Option<i64>) -> Self {
        self.custom_multiplier = Some(multiplier);
        self
    }

    /// What is attached to it, in place of all that was.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterUpdate;
    ///
    /// let update = MeterUpdate::new().metadata([("region", "eu")]);
    /// let updated = client.meters().update(meter.id, &update).await?;
    /// assert_eq!(updated.metadata.get("region"), Some(&"eu".into()));
    /// assert_eq!(updated.metadata.get("plan"), None, "it was not named again");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Which events it counts. Refused as soon as it counts some.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, FilterClause, MeterCreate, MeterUpdate};
    ///
    /// // It counts nothing yet.
    /// let meter = MeterCreate::new("Tokens", Filter::and(), Aggregation::sum("tokens"));
    /// let meter = client.meters().create(&meter).await?;
    /// let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage"));
    /// let update = MeterUpdate::new().filter(filter.clone());
    /// assert_eq!(client.meters().update(meter.id, &update).await?.filter, filter);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// How it makes one number of them. Refused as soon as it counts some.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Aggregation, MeterUpdate};
    ///
    /// // It counts two events already.
    /// let update = MeterUpdate::new().aggregation(Aggregation::count());
    /// let error = client.meters().update(meter.id, &update).await.expect_err("it is refused");
    /// assert_eq!(error.violations()[0].kind, "forbidden");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = Some(aggregation);
        self
    }

    /// Archives it, or takes it back.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterUpdate;
    ///
    /// let update = MeterUpdate::new().is_archived(true);
    /// assert!(client.meters().update(meter.id, &update).await?.archived_at.is_some());
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn is_archived(mut self, is_archived: bool) -> Self {
        self.is_archived = Some(is_archived);
        self
    }
}

/// Which meters to list: all that the caller may see, by name, the first hundred of them.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::{MeterSort, MetersList};
///
/// let newest_tokens = MetersList::new()
///     .query("token")
///     .is_archived(false)
///     .metadata("plan", "pro")
///     .descending(MeterSort::CreatedAt)
///     .limit(10);
/// assert_eq!(client.meters().list(&newest_tokens).await?.items, [meter]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetersList {
    pub(crate) parameters: Parameters,
}

impl MetersList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MetersList;
    ///
    /// assert_eq!(client.meters().list(&MetersList::new()).await?.items, [meter]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this text in their names, whatever the case; `%` stands for any text and
    /// `_` for any character, unless a `\` is before it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MetersList;
    ///
    /// let list = MetersList::new().query("TOK");
    /// assert_eq!(client.meters().list(&list).await?.items, [meter]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those that are archived, or only those that are not.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MetersList;
    ///
    /// let put_away = MetersList::new().is_archived(true);
    /// assert_eq!(client.meters().list(&put_away).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn is_archived(mut self, is_archived: bool) -> Self {
        self.parameters.set("is_archived", is_archived);
        self
    }

    organization_setter!(MetersList, "meters().list(&list)");
    metadata_setter!(
        MetersList,
        r#""plan", "pro""#,
        "assert_eq!(client.meters().list(&wanted).await?.items.len(), 1);"
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
