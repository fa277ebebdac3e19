//! Meters: what is counted of the events, and how much it is.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregation::Aggregation;
use crate::client::{Client, Repeat};
use crate::error::Result;
use crate::filter::Filter;
use crate::metadata::Metadata;
use crate::page::Page;
use crate::quantities::{MeterQuantities, Quantities};
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, item, metadata_setter, organization_setter, paging_setters, sorting_setters,
    wire_names,
};

const PATH: [&str; 3] = ["v1", "meters", ""];

wire_names! {
    /// What a meter's quantities are, for those who show them. It changes no number.
    ///
    /// ```
    /// assert_eq!("token".parse(), Ok(floe_client::MeterUnit::Token));
    /// ```
    pub enum MeterUnit {
        /// Plain numbers.
        Scalar = "scalar",
        /// Tokens of a language model.
        Token = "token",
        /// What the meter's `custom_label` says.
        Custom = "custom",
    }
}

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

/// A meter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Meter {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// What the caller attached.
    pub metadata: Metadata,
    /// What people call it; not unique.
    pub name: String,
    /// What its quantities are.
    pub unit: MeterUnit,
    /// What its quantities are called, if the unit is [`MeterUnit::Custom`].
    pub custom_label: Option<String>,
    /// How many of what is counted make one of what is shown; for those who show it.
    pub custom_multiplier: Option<i64>,
    /// Which events it counts.
    pub filter: Filter,
    /// How it makes one number of them.
    pub aggregation: Aggregation,
    /// Whose meter it is.
    pub organization_id: Uuid,
    /// When it was archived; `None` unless it is. An archived meter still counts.
    pub archived_at: Option<Timestamp>,
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

    organization_setter!();
    metadata_setter!();
    sorting_setters!(MeterSort);
    paging_setters!();
}

/// The meters of a server; see [`Client::meters`].
///
/// ```
/// # fn example(client: &floe_client::Client) {
/// let meters: floe_client::Meters<'_> = client.meters();
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Meters<'c>(pub(crate) &'c Client);

impl Meters<'_> {
    /// Makes a meter. It takes the scope `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::{Aggregation, Filter, FilterClause, MeterCreate};
    ///
    /// let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage"));
    /// let meter = client
    ///     .meters()
    ///     .create(&MeterCreate::new("Tokens", filter, Aggregation::sum("tokens")))
    ///     .await?;
    /// println!("{}", meter.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) for values out of bounds, and whatever else
    /// an [`Error`](crate::Error) names.
    pub async fn create(&self, meter: &MeterCreate) -> Result<Meter> {
        self.0.call(Method::POST, &PATH, meter, Repeat::Unsent).await
    }

    /// Shows a meter. It takes the scope `meters:read` or `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client, id: floe_client::Uuid) {
    /// use floe_client::Error;
    ///
    /// match client.meters().get(id).await {
    ///     Ok(meter) => println!("{}", meter.name),
    ///     Err(Error::NotFound { .. }) => println!("no such meter"),
    ///     Err(error) => eprintln!("{error}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such meter, or it is another
    /// organization's, and whatever else an [`Error`](crate::Error) names.
    pub async fn get(&self, id: Uuid) -> Result<Meter> {
        self.0.get(&item(PATH, &id.to_string()), &[]).await
    }

    /// Lists meters. It takes the scope `meters:read` or `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::MetersList;
    ///
    /// let page = client.meters().list(&MetersList::new().is_archived(false)).await?;
    /// println!("{} of {}", page.items.len(), page.pagination.total_count);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, list: &MetersList) -> Result<Page<Meter>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All meters of a list, page by page; see [`list`](Self::list).
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::MetersList;
    ///
    /// let mut all = client.meters().list_all(&MetersList::new());
    /// while let Some(found) = all.next().await {
    ///     println!("{:?}", found?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &MetersList) -> Items<Meter> {
        Items::new(self.0, &PATH, &list.parameters, None)
    }

    /// Tells how much a meter counted, by interval and in all. It takes the scope `meters:read` or
    /// `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use floe_client::{Interval, Quantities};
    ///
    /// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-31T23:59:59Z".parse()?);
    /// let march = Quantities::new(start, end, Interval::Day).external_customer_id("user-1");
    /// let answer = client.meters().quantities(id, &march).await?;
    /// for day in &answer.quantities {
    ///     println!("{} {}", day.timestamp, day.quantity);
    /// }
    /// println!("{}", answer.total);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such meter,
    /// [`Error::Validation`](crate::Error::Validation) if the time is too long for the interval,
    /// ends before it starts, or starts before 2023, or for an unknown time zone, and whatever else
    /// an [`Error`](crate::Error) names.
    pub async fn quantities(&self, id: Uuid, quantities: &Quantities) -> Result<MeterQuantities> {
        let [version, resource, _] = PATH;
        let path = [version, resource, &id.to_string(), "quantities"];
        self.0.get(&path, quantities.parameters.pairs()).await
    }

    /// Changes a meter. It takes the scope `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// use floe_client::MeterUpdate;
    ///
    /// let meter = client.meters().update(id, &MeterUpdate::new().name("Tokens, all")).await?;
    /// assert!(meter.modified_at.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such meter,
    /// [`Error::Validation`](crate::Error::Validation) for values out of bounds, and for another
    /// filter or aggregation of a meter that counts events already, and whatever else an
    /// [`Error`](crate::Error) names.
    pub async fn update(&self, id: Uuid, update: &MeterUpdate) -> Result<Meter> {
        self.0.call(Method::PATCH, &item(PATH, &id.to_string()), update, Repeat::Unsent).await
    }

    /// Puts a meter away: lists can leave it out. It still counts. It takes the scope
    /// `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// assert!(client.meters().archive(id).await?.archived_at.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn archive(&self, id: Uuid) -> Result<Meter> {
        self.update(id, &MeterUpdate::new().is_archived(true)).await
    }

    /// Takes a meter back that was put away. It takes the scope `meters:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// assert!(client.meters().unarchive(id).await?.archived_at.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn unarchive(&self, id: Uuid) -> Result<Meter> {
        self.update(id, &MeterUpdate::new().is_archived(false)).await
    }
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
