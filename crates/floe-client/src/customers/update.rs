//! What is to change about customers.

use serde::Serialize;

use super::CustomerKind;
use crate::address::Address;
use crate::metadata::Metadata;

/// What is to change about a customer. What is not named stays; `None` clears what can be cleared.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ada = floe_client_doc::ada(&client).await?;
/// use floe_client::CustomerUpdate;
///
/// let renamed = CustomerUpdate::new().name(Some("Ada L."));
/// assert_eq!(client.customers().update(ada.id, &renamed).await?.name.as_deref(), Some("Ada L."));
///
/// let unnamed = CustomerUpdate::new().name(None);
/// assert_eq!(client.customers().update(ada.id, &unnamed).await?.name, None);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CustomerUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_id: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<CustomerKind>,
}

impl CustomerUpdate {
    /// Nothing.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let same = client.customers().update(ada.id, &CustomerUpdate::new()).await?;
    /// assert_eq!(same.name, ada.name);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its e-mail address, which no other customer of the organization has.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().email("ada@example.org");
    /// let moved = client.customers().update(ada.id, &update).await?;
    /// assert_eq!(moved.email.as_deref(), Some("ada@example.org"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Its name, at most 256 characters; `None` for none.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().name(Some("Ada L."));
    /// let updated = client.customers().update(ada.id, &update).await?;
    /// assert_eq!(updated.name.as_deref(), Some("Ada L."));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: Option<&str>) -> Self {
        self.name = Some(name.map(str::to_owned));
        self
    }

    /// Where bills go. It can be changed but not cleared.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{Address, CustomerUpdate};
    ///
    /// let address = Address::new("GB").city("London");
    /// let update = CustomerUpdate::new().billing_address(address.clone());
    /// let moved = client.customers().update(ada.id, &update).await?;
    /// assert_eq!(moved.billing_address, Some(address));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn billing_address(mut self, address: Address) -> Self {
        self.billing_address = Some(address);
        self
    }

    /// Its tax number; `None` for none. Floe refuses any.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().tax_id(None);
    /// assert_eq!(client.customers().update(ada.id, &update).await?.tax_id, None);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn tax_id(mut self, number: Option<&str>) -> Self {
        self.tax_id = Some(number.map(str::to_owned));
        self
    }

    /// Its language, as BCP 47 writes it; `None` for none.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().locale(Some("en-GB"));
    /// let updated = client.customers().update(ada.id, &update).await?;
    /// assert_eq!(updated.locale.as_deref(), Some("en-GB"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn locale(mut self, tag: Option<&str>) -> Self {
        self.locale = Some(tag.map(str::to_owned));
        self
    }

    /// What is attached to it, in place of all that was.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().metadata([("seats", 5)]);
    /// let updated = client.customers().update(ada.id, &update).await?;
    /// assert_eq!(updated.metadata.get("seats"), Some(&5.into()));
    /// assert_eq!(updated.metadata.get("plan"), None, "it was not named again");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// The caller's own id of it, which can be set once. Only
    /// [`Customers::update`](crate::Customers::update) heeds it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, CustomerUpdate};
    ///
    /// let ada = client.customers().create(&CustomerCreate::new("ada@example.com")).await?;
    /// let update = CustomerUpdate::new().external_id("user-1");
    /// client.customers().update(ada.id, &update).await?;
    /// assert_eq!(client.customers().get_external("user-1").await?.id, ada.id);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Makes a team of a person. Only [`Customers::update`](crate::Customers::update) heeds it, and
    /// a team stays one.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{CustomerKind, CustomerUpdate};
    ///
    /// let update = CustomerUpdate::new().kind(CustomerKind::Team);
    /// assert_eq!(client.customers().update(ada.id, &update).await?.kind, CustomerKind::Team);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn kind(mut self, kind: CustomerKind) -> Self {
        self.kind = Some(kind);
        self
    }
}
