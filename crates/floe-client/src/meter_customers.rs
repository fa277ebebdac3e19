//! How much a meter counted of each customer.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::customers::Customer;
use crate::error::Result;
use crate::meters::Meters;
use crate::page::Page;
use crate::quantities::Interval;
use crate::timestamp::Timestamp;
use crate::wire::{Parameters, metadata_setter, paging_setters, sorting_setters, wire_names};

wire_names! {
    /// What the customers of a meter can be sorted by.
    ///
    /// ```
    /// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
    /// use floe_client::{MeterCustomerSort, MeterCustomers};
    ///
    /// let least_first = MeterCustomers::new(start, end).ascending(MeterCustomerSort::Quantity);
    /// let customers = client.meters().customers(meter.id, &least_first).await?.items;
    /// assert_eq!((customers[0].quantity, customers[1].quantity), (80.0, 120.0));
    /// # Ok(())
    /// # });
    /// ```
    pub enum MeterCustomerSort {
        /// How much.
        Quantity = "quantity",
        /// The customer's name.
        CustomerName = "customer_name",
        /// The customer's external id.
        ExternalCustomerId = "external_customer_id",
    }
}

/// Which customers of a meter to list: all who have an event that counts, those with the greatest
/// quantities first, the first hundred of them.
///
/// Only Floe has this; Polar answers [`Error::NotFound`](crate::Error::NotFound).
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::{Interval, MeterCustomers};
///
/// // Exactly from the start to just before the end.
/// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-02T00:00:00Z".parse()?);
/// let first_day = MeterCustomers::new(start, end);
/// assert_eq!(client.meters().customers(meter.id, &first_day).await?.items.len(), 1);
/// // What `Quantities` by day count, for the same start and end: the day of the end, too.
/// let days = MeterCustomers::new(start, end).interval(Interval::Day).timezone("Europe/Berlin");
/// assert_eq!(client.meters().customers(meter.id, &days).await?.items.len(), 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterCustomers {
    pub(crate) parameters: Parameters,
}

impl MeterCustomers {
    /// From the start, in 2023 or later, to just before the end, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterCustomers;
    ///
    /// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-04-01T00:00:00Z".parse()?);
    /// let march = MeterCustomers::new(start, end);
    /// assert_eq!(client.meters().customers(meter.id, &march).await?.items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("start_timestamp", start);
        parameters.set("end_timestamp", end);
        Self { parameters }
    }

    /// Counts whole intervals of the calendar instead, those that
    /// [`Quantities`](crate::Quantities) with the same start, end, interval and time zone count. So
    /// what customers have of a count or a sum adds up to the total there.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Interval, MeterCustomers};
    ///
    /// let noon = "2026-03-02T12:00:00Z".parse()?;
    /// let that_day = MeterCustomers::new(noon, noon).interval(Interval::Day);
    /// assert_eq!(client.meters().customers(meter.id, &that_day).await?.items[0].quantity, 80.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        self.parameters.set("interval", interval);
        self
    }

    /// The time zone of the intervals, by its IANA name, such as `Europe/Berlin`. Without this,
    /// UTC.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Interval, MeterCustomers};
    ///
    /// // Noon of 2 March in UTC is 3 March in Kiribati.
    /// let that_day = "2026-03-03T00:00:00+14:00".parse()?;
    /// let list = MeterCustomers::new(that_day, that_day)
    ///     .interval(Interval::Day)
    ///     .timezone("Pacific/Kiritimati");
    /// assert_eq!(client.meters().customers(meter.id, &list).await?.items[0].quantity, 80.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.parameters.set("timezone", name.into());
        self
    }

    /// Only customers with this text in their names or e-mail addresses, or at the beginning of
    /// their external ids, whatever the case.
    ///
    /// ```
    /// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
    /// use floe_client::MeterCustomers;
    ///
    /// let list = MeterCustomers::new(start, end).query("ada@");
    /// assert_eq!(client.meters().customers(meter.id, &list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    metadata_setter!(
        MeterCustomers,
        r#""model", "small""#,
        "assert_eq!(client.meters().customers(meter.id, &wanted).await?.items.len(), 1);",
        "",
        "::new(start, end)"
    );
    sorting_setters!(
        MeterCustomerSort::Quantity,
        "quantity",
        MeterCustomers,
        "meters().customers(meter.id, &list)",
        "::new(start, end)",
        "run_with_sample(async |client, meter, (start, end)|"
    );
    paging_setters!(
        MeterCustomers,
        "meters().customers(meter.id, &list)",
        "::new(start, end)",
        "run_with_sample(async |client, meter, (start, end)|"
    );
}

/// How much a meter counted of one customer.
///
/// ```
/// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
/// use floe_client::MeterCustomers;
///
/// let list = MeterCustomers::new(start, end);
/// let greatest = &client.meters().customers(meter.id, &list).await?.items[0];
/// assert_eq!(greatest.external_customer_id.as_deref(), Some("user-1"));
/// assert_eq!(greatest.quantity, 120.0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MeterCustomer {
    /// The customer's id; none if nobody has the external id that the events came with.
    pub customer_id: Option<Uuid>,
    /// The customer's external id, or the one that the events came with; none if the customer has
    /// none, or is deleted.
    pub external_customer_id: Option<String>,
    /// The customer, who may be deleted; none as `customer_id`.
    pub customer: Option<Customer>,
    /// What the meter makes of this customer's events alone.
    pub quantity: f64,
}

impl Meters<'_> {
    /// Tells how much a meter counted of each customer. It takes the scope `meters:read` or
    /// `meters:write`.
    ///
    /// A customer is one item, whether events came with its id or its external id.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::MeterCustomers;
    ///
    /// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-04-01T00:00:00Z".parse()?);
    /// let march = MeterCustomers::new(start, end);
    /// let customers = client.meters().customers(meter.id, &march).await?.items;
    /// let quantities: Vec<_> = customers.iter().map(|item| item.quantity).collect();
    /// assert_eq!(quantities, [120.0, 80.0]);
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
    pub async fn customers(
        &self,
        id: Uuid,
        customers: &MeterCustomers,
    ) -> Result<Page<MeterCustomer>> {
        let path = ["v1", "meters", &id.to_string(), "customers"];
        self.0.list(&path, &customers.parameters, None).await
    }
}
