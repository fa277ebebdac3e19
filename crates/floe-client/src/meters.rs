//! Meters: what is counted of the events, and how much it is.

mod requests;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::requests::{MeterCreate, MeterSort, MeterUpdate, MetersList};
use crate::aggregation::Aggregation;
use crate::client::{Client, Repeat};
use crate::error::Result;
use crate::filter::Filter;
use crate::metadata::Metadata;
use crate::page::Page;
use crate::quantities::{MeterQuantities, Quantities};
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{item, wire_names};

const PATH: [&str; 3] = ["v1", "meters", ""];

wire_names! {
    /// What a meter's quantities are, for those who show them. It changes no number.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{MeterUnit, MeterUpdate};
    ///
    /// assert_eq!(meter.unit, MeterUnit::Scalar);
    /// let update = MeterUpdate::new().unit(MeterUnit::Token);
    /// assert_eq!(client.meters().update(meter.id, &update).await?.unit, MeterUnit::Token);
    /// # Ok(())
    /// # });
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

/// A meter.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::{Aggregation, MeterUnit};
///
/// let meter = client.meters().get(meter.id).await?;
/// assert_eq!(meter.name, "Tokens");
/// assert_eq!(meter.aggregation, Aggregation::sum("tokens"));
/// assert_eq!(meter.unit, MeterUnit::Scalar);
/// assert_eq!(meter.archived_at, None);
/// # Ok(())
/// # });
/// ```
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

/// The meters of a server; see [`Client::meters`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::Meters;
///
/// let meters: Meters<'_> = client.meters();
/// assert_eq!(meters.get(meter.id).await?, meter);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Meters<'c>(pub(crate) &'c Client);

impl Meters<'_> {
    /// Makes a meter. It takes the scope `meters:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, FilterClause, MeterCreate};
    ///
    /// let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage"));
    /// let tokens = MeterCreate::new("Tokens", filter, Aggregation::sum("tokens"));
    /// let meter = client.meters().create(&tokens).await?;
    /// assert_eq!(meter.name, "Tokens");
    /// # Ok(())
    /// # });
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
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Error, Uuid};
    ///
    /// assert_eq!(client.meters().get(meter.id).await?.name, "Tokens");
    ///
    /// let unknown = client.meters().get(Uuid::new_v4()).await;
    /// assert!(matches!(unknown, Err(Error::NotFound { .. })));
    /// # Ok(())
    /// # });
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
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MetersList;
    ///
    /// let page = client.meters().list(&MetersList::new().is_archived(false)).await?;
    /// assert_eq!((page.items.len(), page.pagination.total_count), (1, 1));
    /// # Ok(())
    /// # });
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
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MetersList;
    ///
    /// let mut all = client.meters().list_all(&MetersList::new());
    /// while let Some(meter) = all.next().await {
    ///     assert_eq!(meter?.name, "Tokens");
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &MetersList) -> Items<Meter> {
        Items::new(self.0, &PATH, &list.parameters, None)
    }

    /// Tells how much a meter counted, by interval and in all. It takes the scope `meters:read` or
    /// `meters:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Interval, Quantities};
    ///
    /// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-02T23:59:59Z".parse()?);
    /// let days = Quantities::new(start, end, Interval::Day);
    /// let answer = client.meters().quantities(meter.id, &days).await?;
    /// let quantities: Vec<_> = answer.quantities.iter().map(|day| day.quantity).collect();
    /// assert_eq!(quantities, [120.0, 80.0]);
    /// assert_eq!(answer.total, 200.0);
    /// # Ok(())
    /// # });
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
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterUpdate;
    ///
    /// let update = MeterUpdate::new().name("Tokens, all");
    /// let updated = client.meters().update(meter.id, &update).await?;
    /// assert_eq!(updated.name, "Tokens, all");
    /// assert!(updated.modified_at.is_some());
    /// # Ok(())
    /// # });
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
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// assert!(client.meters().archive(meter.id).await?.archived_at.is_some());
    /// # Ok(())
    /// # });
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
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// client.meters().archive(meter.id).await?;
    /// assert_eq!(client.meters().unarchive(meter.id).await?.archived_at, None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn unarchive(&self, id: Uuid) -> Result<Meter> {
        self.update(id, &MeterUpdate::new().is_archived(false)).await
    }
}
