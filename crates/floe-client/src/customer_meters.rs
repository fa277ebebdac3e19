//! Customer meters: what each customer consumed of each meter, and what it was credited.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Client, Repeat};
use crate::customers::Customer;
use crate::error::Result;
use crate::meters::Meter;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, customer_setters, item, organization_setter, paging_setters, sorting_setters,
    wire_names,
};

const PATH: [&str; 3] = ["v1", "customer-meters", ""];

wire_names! {
    /// What lists of customer meters can be sorted by.
    ///
    /// ```
    /// use floe_client::{CustomerMeterSort, CustomerMetersList};
    ///
    /// let most_consumed_first =
    ///     CustomerMetersList::new().descending(CustomerMeterSort::ConsumedUnits);
    /// ```
    pub enum CustomerMeterSort {
        /// When they were made.
        CreatedAt = "created_at",
        /// When they last changed.
        ModifiedAt = "modified_at",
        /// The customer's id.
        CustomerId = "customer_id",
        /// The customer's name.
        CustomerName = "customer_name",
        /// The meter's id.
        MeterId = "meter_id",
        /// The meter's name.
        MeterName = "meter_name",
        /// What was consumed.
        ConsumedUnits = "consumed_units",
        /// What was credited.
        CreditedUnits = "credited_units",
        /// What is left.
        Balance = "balance",
    }
}

/// What a customer consumed of a meter, and what it was credited.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
/// use floe_client::CustomerMetersList;
///
/// let list = CustomerMetersList::new().external_customer_id("user-1");
/// let found = &client.customer_meters().list(&list).await?.items[0];
/// assert_eq!(found.customer.name.as_deref(), Some("Ada"));
/// assert_eq!(found.meter.name, "Tokens");
/// assert_eq!((found.consumed_units, found.credited_units, found.balance), (120.0, 0, -120.0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerMeter {
    /// Its id, the same for ever for a customer and a meter.
    pub id: Uuid,
    /// When it was made: with the customer or the meter, whichever came later.
    pub created_at: Timestamp,
    /// When it last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// The customer.
    pub customer_id: Uuid,
    /// The meter.
    pub meter_id: Uuid,
    /// What was consumed, in the meter's units, since it was last reset.
    pub consumed_units: f64,
    /// What was credited, in the meter's units.
    pub credited_units: i64,
    /// What is left; negative if more was consumed than credited.
    pub balance: f64,
    /// The customer as it is now.
    pub customer: Customer,
    /// The meter as it is now.
    pub meter: Meter,
}

/// Which customer meters to list: all that the caller may see, except those of archived meters,
/// those last changed first, the first hundred of them.
///
/// ```
/// use floe_client::CustomerMetersList;
///
/// let of_one = CustomerMetersList::new().external_customer_id("user-1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomerMetersList {
    pub(crate) parameters: Parameters,
}

impl CustomerMetersList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// use floe_client::CustomerMetersList;
    ///
    /// let page = client.customer_meters().list(&CustomerMetersList::new()).await?;
    /// assert_eq!(page.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those of this meter, archived or not, or of one of those, if called more than once.
    ///
    /// ```
    /// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
    /// use floe_client::CustomerMetersList;
    ///
    /// let list = CustomerMetersList::new().meter_id(meter.id);
    /// assert_eq!(client.customer_meters().list(&list).await?.items[0].meter_id, meter.id);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn meter_id(mut self, id: Uuid) -> Self {
        self.parameters.add("meter_id", id);
        self
    }

    organization_setter!(CustomerMetersList, "customer_meters().list(&list)");
    customer_setters!(
        CustomerMetersList,
        "assert_eq!(client.customer_meters().list(&wanted).await?.items.len(), 1);"
    );
    sorting_setters!(
        CustomerMeterSort::ConsumedUnits,
        "consumed_units",
        CustomerMetersList,
        "customer_meters().list(&list)"
    );
    paging_setters!(CustomerMetersList, "customer_meters().list(&list)");
}

/// Units to be credited.
///
/// ```
/// use floe_client::CreditCreate;
///
/// let bought = CreditCreate::new(1_000).external_id("invoice-789");
/// let taken_back = CreditCreate::new(-1_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditCreate {
    units: i32,
    #[serde(skip_serializing_if = "is_false")]
    rollover: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl CreditCreate {
    /// So many of the meter's units; negative ones take some back, 0 and the least `i32` are
    /// refused.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// # let id = customer_meter.id;
    /// use floe_client::CreditCreate;
    ///
    /// let credited = client.customer_meters().credit(id, &CreditCreate::new(500)).await?;
    /// assert_eq!(credited.credited_units, 500);
    /// let less = client.customer_meters().credit(id, &CreditCreate::new(-100)).await?;
    /// assert_eq!(less.credited_units, 400);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new(units: i32) -> Self {
        Self { units, rollover: false, external_id: None }
    }

    /// Whether what is left of it survives a [reset](CustomerMeters::reset). Without this, it does
    /// not.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// use floe_client::CreditCreate;
    ///
    /// let bought = CreditCreate::new(500).rollover(true);
    /// client.customer_meters().credit(customer_meter.id, &bought).await?;
    /// // 120 of them are consumed.
    /// assert_eq!(client.customer_meters().reset(customer_meter.id).await?.credited_units, 380);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn rollover(mut self, rollover: bool) -> Self {
        self.rollover = rollover;
        self
    }

    /// The caller's own id of the credit: of all credits of an organization with the same one, the
    /// first counts. With this, the call can be made again if its answer was lost.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// use floe_client::CreditCreate;
    ///
    /// let bought = CreditCreate::new(500).external_id("invoice-789");
    /// for _ in 0..2 {
    ///     let credited = client.customer_meters().credit(customer_meter.id, &bought).await?;
    ///     assert_eq!(credited.credited_units, 500);
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }
}

/// The customer meters of a server; see [`Client::customer_meters`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
/// use floe_client::{CustomerMeters, CustomerMetersList};
///
/// let customer_meters: CustomerMeters<'_> = client.customer_meters();
/// assert_eq!(customer_meters.list(&CustomerMetersList::new()).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct CustomerMeters<'c>(pub(crate) &'c Client);

impl CustomerMeters<'_> {
    /// Lists customer meters. It takes the scope `customer_meters:read`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// use floe_client::CustomerMetersList;
    ///
    /// let list = CustomerMetersList::new().external_customer_id("user-1");
    /// for found in client.customer_meters().list(&list).await?.items {
    ///     assert_eq!((found.meter.name.as_str(), found.consumed_units), ("Tokens", 120.0));
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, list: &CustomerMetersList) -> Result<Page<CustomerMeter>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All customer meters of a list, the oldest first unless it is sorted otherwise, page by page;
    /// see [`list`](Self::list).
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// use floe_client::CustomerMetersList;
    ///
    /// let mut all = client.customer_meters().list_all(&CustomerMetersList::new());
    /// let mut consumed = 0.0;
    /// while let Some(found) = all.next().await {
    ///     consumed += found?.consumed_units;
    /// }
    /// assert_eq!(consumed, 120.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &CustomerMetersList) -> Items<CustomerMeter> {
        Items::new(self.0, &PATH, &list.parameters, Some("created_at"))
    }

    /// Shows a customer meter, also of an archived meter. It takes the scope
    /// `customer_meters:read`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// let found = client.customer_meters().get(customer_meter.id).await?;
    /// assert_eq!(found.balance, -120.0);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such customer meter, or it is
    /// another organization's, and whatever else an [`Error`](crate::Error) names.
    pub async fn get(&self, id: Uuid) -> Result<CustomerMeter> {
        self.0.get(&item(PATH, &id.to_string()), &[]).await
    }

    /// Credits units to a customer meter. With the answer the credit is on disk. A credit whose
    /// external id is known changes nothing. It takes the scope `customer_meters:write`, and a
    /// Floe server: Polar has no such call.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// use floe_client::CreditCreate;
    ///
    /// let credit = CreditCreate::new(1_000).external_id("invoice-789");
    /// let credited = client.customer_meters().credit(customer_meter.id, &credit).await?;
    /// assert_eq!(credited.balance, 880.0);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such customer meter,
    /// [`Error::Validation`](crate::Error::Validation) for units out of bounds, and whatever else
    /// an [`Error`](crate::Error) names.
    pub async fn credit(&self, id: Uuid, credit: &CreditCreate) -> Result<CustomerMeter> {
        let [version, resource, _] = PATH;
        let path = [version, resource, &id.to_string(), "credits"];
        let repeat = if credit.external_id.is_some() { Repeat::Always } else { Repeat::Unsent };
        self.0.call(Method::POST, &path, credit, repeat).await
    }

    /// Starts a customer meter again: nothing is consumed, and nothing credited but what is left of
    /// credits that [roll over](CreditCreate::rollover). Its events stay. It takes the scope
    /// `customer_meters:write`, and a Floe server: Polar has no such call.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// let reset = client.customer_meters().reset(customer_meter.id).await?;
    /// assert_eq!((reset.consumed_units, reset.credited_units), (0.0, 0));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn reset(&self, id: Uuid) -> Result<CustomerMeter> {
        let [version, resource, _] = PATH;
        let path = [version, resource, &id.to_string(), "reset"];
        self.0.call(Method::POST, &path, &serde_json::json!({}), Repeat::Unsent).await
    }
}
