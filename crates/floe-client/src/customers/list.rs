//! Which customers to list, and how one is deleted.

use crate::wire::{
    Parameters, metadata_setter, organization_setter, paging_setters, sorting_setters, wire_names,
};

wire_names! {
    /// What lists of customers can be sorted by.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{CustomerSort, CustomersList};
    ///
    /// let by_name = CustomersList::new().ascending(CustomerSort::Name);
    /// assert_eq!(client.customers().list(&by_name).await?.items, [ada]);
    /// # Ok(())
    /// # });
    /// ```
    pub enum CustomerSort {
        /// When they were made.
        CreatedAt = "created_at",
        /// Their e-mail addresses.
        Email = "email",
        /// Their names.
        Name = "name",
    }
}

/// Which customers to list: all that the caller may see, the newest first, the first hundred of
/// them.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ada = floe_client_doc::ada(&client).await?;
/// use floe_client::CustomersList;
///
/// let pro = CustomersList::new().metadata("plan", "pro").limit(10);
/// let page = client.customers().list(&pro).await?;
/// assert_eq!(page.items[0].name.as_deref(), Some("Ada"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomersList {
    pub(crate) parameters: Parameters,
}

impl CustomersList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomersList;
    ///
    /// let page = client.customers().list(&CustomersList::new()).await?;
    /// assert_eq!(page.items, [ada]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the one with this e-mail address, whatever the case.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomersList;
    ///
    /// let list = CustomersList::new().email("ADA@example.com");
    /// assert_eq!(client.customers().list(&list).await?.items, [ada]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.parameters.set("email", email.into());
        self
    }

    /// Only those with this text in their names or e-mail addresses, or at the start of their
    /// external ids, whatever the case.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomersList;
    ///
    /// // At the start of the external id `user-1`.
    /// let list = CustomersList::new().query("user");
    /// assert_eq!(client.customers().list(&list).await?.items, [ada]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those that have subscribed to something, or all. In Floe nobody has.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::CustomersList;
    ///
    /// let list = CustomersList::new().active(true);
    /// assert_eq!(client.customers().list(&list).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn active(mut self, active: bool) -> Self {
        self.parameters.set("active", active);
        self
    }

    organization_setter!(CustomersList, "customers().list(&list)");
    metadata_setter!(
        CustomersList,
        r#""plan", "pro""#,
        "assert_eq!(client.customers().list(&wanted).await?.items.len(), 1);"
    );
    sorting_setters!(CustomerSort::Name, "name", CustomersList, "customers().list(&list)");
    paging_setters!(CustomersList, "customers().list(&list)");
}

/// How a customer is deleted. Either way it is gone from all reads, its e-mail address and external
/// id can be had by another, and its events stay.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ada = floe_client_doc::ada(&client).await?;
/// use floe_client::{CustomerDelete, Error};
///
/// client.customers().delete(ada.id, CustomerDelete::Anonymize).await?;
/// let gone = client.customers().get(ada.id).await;
/// assert!(matches!(gone, Err(Error::NotFound { .. })));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CustomerDelete {
    /// Its e-mail address and name are kept, where no read shows them.
    #[default]
    Keep,
    /// Its e-mail address and name are replaced by hashes, and its address is cleared.
    Anonymize,
}

impl CustomerDelete {
    pub(super) fn parameters(self) -> Parameters {
        let mut parameters = Parameters::default();
        if self == Self::Anonymize {
            parameters.set("anonymize", true);
        }
        parameters
    }
}
