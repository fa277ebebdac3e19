//! Organizations: made and listed with the root token.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Client, Repeat};
use crate::error::Result;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{Parameters, item, paging_setters, sorting_setters, wire_names};

const PATH: [&str; 3] = ["v1", "organizations", ""];

wire_names! {
    /// What lists of organizations can be sorted by.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::{OrganizationSort, OrganizationsList};
    ///
    /// let by_name = OrganizationsList::new().ascending(OrganizationSort::Name);
    /// assert_eq!(client.organizations().list(&by_name).await?.items[0].name, "Default");
    /// # Ok(())
    /// # });
    /// ```
    pub enum OrganizationSort {
        /// When they were made.
        CreatedAt = "created_at",
        /// Their names.
        Name = "name",
    }
}

/// An organization: whose events, meters, customers and tokens are apart from all others'.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// use floe_client::OrganizationCreate;
///
/// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
/// assert_eq!((acme.name.as_str(), acme.slug.as_str()), ("Acme", "acme"));
/// assert_eq!(acme.modified_at, None);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// What people call it.
    pub name: String,
    /// What machines call it; unique on the server.
    pub slug: String,
}

/// An organization to be made.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// use floe_client::OrganizationCreate;
///
/// let acme = OrganizationCreate::new("Acme Ltd", "acme");
/// assert_eq!(client.organizations().create(&acme).await?.name, "Acme Ltd");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrganizationCreate {
    name: String,
    slug: String,
}

impl OrganizationCreate {
    /// An organization with a name for people, of 1 to 128 characters, and a slug for machines: 1
    /// to 64 of `a-z`, `0-9` and `-`, and no other organization's.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::OrganizationCreate;
    ///
    /// let acme = OrganizationCreate::new("Acme", "Acme Ltd");
    /// let error = client.organizations().create(&acme).await.expect_err("that is no slug");
    /// assert!(error.to_string().contains("body.slug"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new(name: impl Into<String>, slug: impl Into<String>) -> Self {
        Self { name: name.into(), slug: slug.into() }
    }
}

/// Which organizations to list: all, oldest first, the first hundred of them.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// use floe_client::OrganizationsList;
///
/// let default = OrganizationsList::new().slug("default");
/// assert_eq!(client.organizations().list(&default).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrganizationsList {
    pub(crate) parameters: Parameters,
}

impl OrganizationsList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::OrganizationsList;
    ///
    /// // The one that the first start made.
    /// let page = client.organizations().list(&OrganizationsList::new()).await?;
    /// assert_eq!(page.items[0].slug, "default");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the one with exactly this slug.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::OrganizationsList;
    ///
    /// let acme = OrganizationsList::new().slug("acme");
    /// assert_eq!(client.organizations().list(&acme).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn slug(mut self, slug: impl Into<String>) -> Self {
        self.parameters.set("slug", slug.into());
        self
    }

    sorting_setters!(
        OrganizationSort::Name,
        "name",
        OrganizationsList,
        "organizations().list(&list)",
        "::new()",
        "run_as_root(async |client|"
    );
    paging_setters!(
        OrganizationsList,
        "organizations().list(&list)",
        "::new()",
        "run_as_root(async |client|"
    );
}

/// What is to change about an organization. What is not named stays.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// # let list = floe_client::OrganizationsList::new();
/// # let id = client.organizations().list(&list).await?.items[0].id;
/// use floe_client::OrganizationUpdate;
///
/// let renamed = OrganizationUpdate::new().name("Acme Ltd");
/// assert_eq!(client.organizations().update(id, &renamed).await?.name, "Acme Ltd");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OrganizationUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl OrganizationUpdate {
    /// Nothing.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// # let list = floe_client::OrganizationsList::new();
    /// # let id = client.organizations().list(&list).await?.items[0].id;
    /// use floe_client::OrganizationUpdate;
    ///
    /// let same = client.organizations().update(id, &OrganizationUpdate::new()).await?;
    /// assert_eq!(same.name, "Default");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What people call it, 1 to 128 characters.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// # let list = floe_client::OrganizationsList::new();
    /// # let id = client.organizations().list(&list).await?.items[0].id;
    /// use floe_client::OrganizationUpdate;
    ///
    /// let unnamed = OrganizationUpdate::new().name("");
    /// let error = client.organizations().update(id, &unnamed).await.expect_err("it is too short");
    /// assert_eq!(error.violations().len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// The organizations of a server; see [`Client::organizations`].
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// use floe_client::{Organizations, OrganizationsList};
///
/// let organizations: Organizations<'_> = client.organizations();
/// assert_eq!(organizations.list(&OrganizationsList::new()).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Organizations<'c>(pub(crate) &'c Client);

impl Organizations<'_> {
    /// Makes an organization. Only the root token may.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::OrganizationCreate;
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// assert_eq!(acme.slug, "acme");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) at `body.slug` if another organization has
    /// the slug, and whatever else an [`Error`](crate::Error) names.
    pub async fn create(&self, organization: &OrganizationCreate) -> Result<Organization> {
        self.0.call(Method::POST, &PATH, organization, Repeat::Unsent).await
    }

    /// Lists organizations, oldest first. Only the root token may.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::OrganizationsList;
    ///
    /// let page = client.organizations().list(&OrganizationsList::new()).await?;
    /// assert_eq!((page.items.len(), page.pagination.total_count), (1, 1));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, list: &OrganizationsList) -> Result<Page<Organization>> {
        self.0.list(&PATH, &list.parameters, Some("created_at")).await
    }

    /// All organizations of a list, page by page; see [`list`](Self::list).
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::OrganizationsList;
    ///
    /// let mut all = client.organizations().list_all(&OrganizationsList::new());
    /// while let Some(organization) = all.next().await {
    ///     assert_eq!(organization?.name, "Default");
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &OrganizationsList) -> Items<Organization> {
        Items::new(self.0, &PATH, &list.parameters, Some("created_at"))
    }

    /// Shows an organization. It takes the scope `organizations:read`, or the root token.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// # let list = floe_client::OrganizationsList::new();
    /// # let id = client.organizations().list(&list).await?.items[0].id;
    /// assert_eq!(client.organizations().get(id).await?.name, "Default");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such organization, or it is not
    /// the caller's, and whatever else an [`Error`](crate::Error) names.
    pub async fn get(&self, id: Uuid) -> Result<Organization> {
        self.0.get(&item(PATH, &id.to_string()), &[]).await
    }

    /// Changes an organization. Only the root token may.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// # let list = floe_client::OrganizationsList::new();
    /// # let id = client.organizations().list(&list).await?.items[0].id;
    /// use floe_client::OrganizationUpdate;
    ///
    /// let update = OrganizationUpdate::new().name("Acme Ltd");
    /// let updated = client.organizations().update(id, &update).await?;
    /// assert_eq!((updated.name.as_str(), updated.slug.as_str()), ("Acme Ltd", "default"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such organization,
    /// [`Error::Validation`](crate::Error::Validation) for a name out of bounds, and whatever else
    /// an [`Error`](crate::Error) names.
    pub async fn update(&self, id: Uuid, update: &OrganizationUpdate) -> Result<Organization> {
        self.0.call(Method::PATCH, &item(PATH, &id.to_string()), update, Repeat::Unsent).await
    }
}
