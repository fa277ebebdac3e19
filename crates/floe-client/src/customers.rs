//! Customers: those to whom events happen.

mod answers;
mod create;
mod list;
mod update;

use reqwest::Method;
use uuid::Uuid;

pub use self::answers::{Customer, CustomerKind, CustomerState, CustomerStateMeter};
pub use self::create::{CustomerCreate, CustomerOwner};
pub use self::list::{CustomerDelete, CustomerSort, CustomersList};
pub use self::update::CustomerUpdate;
use crate::client::{Client, Repeat};
use crate::error::{Error, LocPart, Result, Violation};
use crate::page::Page;
use crate::stream::Items;
use crate::wire::item;

const PATH: [&str; 3] = ["v1", "customers", ""];

/// The customers of a server; see [`Client::customers`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ada = floe_client_doc::ada(&client).await?;
/// use floe_client::Customers;
///
/// let customers: Customers<'_> = client.customers();
/// assert_eq!(customers.get(ada.id).await?, ada);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Customers<'c>(pub(crate) &'c Client);

impl Customers<'_> {
    /// Makes a customer. It takes the scope `customers:write`.
    ///
    /// With an external id, the call is made again if its answer was lost. If the customer is there
    /// by then, with the same external id and e-mail address, it is the answer.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::CustomerCreate;
    ///
    /// let ada = CustomerCreate::new("ada@example.com").external_id("user-1");
    /// let made = client.customers().create(&ada).await?;
    /// assert_eq!(made.external_id.as_deref(), Some("user-1"));
    ///
    /// let error = client.customers().create(&ada).await.expect_err("there is one already");
    /// assert_eq!(error.violations().len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`] for values out of bounds, at `body.email` or
    /// `body.external_id` if another customer has it, and whatever else an
    /// [`Error`] names.
    pub async fn create(&self, customer: &CustomerCreate) -> Result<Customer> {
        let Some(external_id) = &customer.external_id else {
            return self.0.call(Method::POST, &PATH, customer, Repeat::Unsent).await;
        };
        let outcome = self.0.call_told(Method::POST, &PATH, customer, Repeat::Always).await?;
        match outcome.result {
            // An earlier try may have made it, and its answer was lost.
            Err(error) if outcome.is_repeated && is_taken(&error) => {
                match self.get_external(external_id).await {
                    Ok(made) if customer.is_like(&made) => Ok(made),
                    _ => Err(error),
                }
            }
            result => result,
        }
    }

    /// Shows a customer. It takes the scope `customers:read` or `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// let found = client.customers().get(ada.id).await?;
    /// assert_eq!(found.email.as_deref(), Some("ada@example.com"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such customer, or it is another
    /// organization's, and whatever else an [`Error`] names.
    pub async fn get(&self, id: Uuid) -> Result<Customer> {
        self.0.get(&item(PATH, &id.to_string()), &[]).await
    }

    /// Shows the customer with an external id. It takes the scope `customers:read` or
    /// `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// let found = client.customers().get_external("user-1").await?;
    /// assert_eq!(found.id, ada.id);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn get_external(&self, external_id: &str) -> Result<Customer> {
        self.0.get(&external(external_id), &[]).await
    }

    /// Lists customers. It takes the scope `customers:read` or `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomersList;
    ///
    /// for customer in client.customers().list(&CustomersList::new()).await?.items {
    ///     assert_eq!(customer.external_id.as_deref(), Some("user-1"));
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn list(&self, list: &CustomersList) -> Result<Page<Customer>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All customers of a list, the oldest first unless it is sorted otherwise, page by page; see
    /// [`list`](Self::list).
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomersList;
    ///
    /// let mut all = client.customers().list_all(&CustomersList::new());
    /// while let Some(customer) = all.next().await {
    ///     assert_eq!(customer?.name.as_deref(), Some("Ada"));
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &CustomersList) -> Items<Customer> {
        Items::new(self.0, &PATH, &list.parameters, Some("created_at"))
    }

    /// Changes a customer. It takes the scope `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().name(Some("Ada L."));
    /// let updated = client.customers().update(ada.id, &update).await?;
    /// assert_eq!(updated.name.as_deref(), Some("Ada L."));
    /// assert_eq!(updated.email, ada.email, "what is not named stays");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such customer,
    /// [`Error::Validation`] for values out of bounds, an address or an
    /// external id that another customer has, another external id, and a team that should be none,
    /// and whatever else an [`Error`] names.
    pub async fn update(&self, id: Uuid, update: &CustomerUpdate) -> Result<Customer> {
        self.0.call(Method::PATCH, &item(PATH, &id.to_string()), update, Repeat::Unsent).await
    }

    /// Changes the customer with an external id. It takes the scope `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().email("ada@example.org");
    /// let updated = client.customers().update_external("user-1", &update).await?;
    /// assert_eq!(updated.email.as_deref(), Some("ada@example.org"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn update_external(
        &self,
        external_id: &str,
        update: &CustomerUpdate,
    ) -> Result<Customer> {
        self.0.call(Method::PATCH, &external(external_id), update, Repeat::Unsent).await
    }

    /// Deletes a customer. Its events stay. It takes the scope `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{CustomerDelete, Error};
    ///
    /// client.customers().delete(ada.id, CustomerDelete::Keep).await?;
    /// let again = client.customers().delete(ada.id, CustomerDelete::Keep).await;
    /// assert!(matches!(again, Err(Error::NotFound { .. })));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn delete(&self, id: Uuid, delete: CustomerDelete) -> Result<()> {
        self.0.delete(&item(PATH, &id.to_string()), delete.parameters().pairs()).await
    }

    /// Deletes the customer with an external id. Its events stay. It takes the scope
    /// `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{CustomerDelete, CustomersList};
    ///
    /// client.customers().delete_external("user-1", CustomerDelete::Anonymize).await?;
    /// assert_eq!(client.customers().list(&CustomersList::new()).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn delete_external(&self, external_id: &str, delete: CustomerDelete) -> Result<()> {
        self.0.delete(&external(external_id), delete.parameters().pairs()).await
    }

    /// Shows a customer and what it consumed of each meter. It takes the scope `customers:read` or
    /// `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// # let ada = customer_meter.customer;
    /// for meter in client.customers().state(ada.id).await?.active_meters {
    ///     assert_eq!((meter.consumed_units, meter.balance), (120.0, -120.0));
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn state(&self, id: Uuid) -> Result<CustomerState> {
        let [version, resource, _] = PATH;
        self.0.get(&[version, resource, &id.to_string(), "state"], &[]).await
    }

    /// Shows the customer with an external id and what it consumed of each meter. It takes the
    /// scope `customers:read` or `customers:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// let state = client.customers().state_external("user-1").await?;
    /// assert_eq!(state.active_meters.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn state_external(&self, external_id: &str) -> Result<CustomerState> {
        let [version, resource, _] = PATH;
        self.0.get(&[version, resource, "external", external_id, "state"], &[]).await
    }
}

/// Whether all that is wrong is that another customer has the external id, or the address as well.
fn is_taken(error: &Error) -> bool {
    let at = |violation: &Violation, name: &str| match violation.loc.as_slice() {
        [LocPart::Key(body), LocPart::Key(key)] => body == "body" && key == name,
        _ => false,
    };
    let violations = error.violations();
    violations.iter().any(|found| at(found, "external_id"))
        && violations.iter().all(|found| at(found, "external_id") || at(found, "email"))
}

fn external(external_id: &str) -> [&str; 4] {
    let [version, resource, _] = PATH;
    [version, resource, "external", external_id]
}
