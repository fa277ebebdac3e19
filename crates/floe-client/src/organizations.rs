//! Organizations: made and listed with the root token.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::Client;
use crate::error::Result;
use crate::page::{Page, Paging};

const PATH: [&str; 3] = ["v1", "organizations", ""];

/// An organization: whose events, meters, customers and tokens are apart from all others'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// When it was made, in UTC, as RFC 3339 writes it.
    pub created_at: String,
    /// When it was last changed, if ever, as RFC 3339 writes it.
    pub modified_at: Option<String>,
    /// What people call it.
    pub name: String,
    /// What machines call it; unique on the server.
    pub slug: String,
}

/// An organization to be made.
///
/// ```
/// use floe_client::NewOrganization;
///
/// let acme = NewOrganization::new("Acme Ltd", "acme");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewOrganization {
    name: String,
    slug: String,
}

impl NewOrganization {
    /// An organization with a name for people, of 1 to 128 characters, and a slug for machines: 1
    /// to 64 of `a-z`, `0-9` and `-`, and no other organization's.
    #[must_use]
    pub fn new(name: impl Into<String>, slug: impl Into<String>) -> Self {
        Self { name: name.into(), slug: slug.into() }
    }
}

/// Which organizations to list: all, oldest first, the first hundred of them.
///
/// ```
/// use floe_client::OrganizationsQuery;
///
/// let acme = OrganizationsQuery::new().slug("acme");
/// let second_dozen = OrganizationsQuery::new().limit(12).page(2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrganizationsQuery {
    slug: Option<String>,
    paging: Paging,
}

impl OrganizationsQuery {
    /// All, on pages of 100.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the one with exactly this slug.
    #[must_use]
    pub fn slug(mut self, slug: impl Into<String>) -> Self {
        self.slug = Some(slug.into());
        self
    }

    /// The page, from 1.
    #[must_use]
    pub fn page(mut self, page: u64) -> Self {
        self.paging.page = page;
        self
    }

    /// Items on a page, from 1 to [`PAGE_ITEMS_MAX`](crate::PAGE_ITEMS_MAX).
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.paging.limit = limit;
        self
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("sorting", "created_at".to_owned())];
        parameters.extend(self.slug.clone().map(|slug| ("slug", slug)));
        parameters.extend(self.paging.parameters());
        parameters
    }
}

/// The organizations of a server; see [`Client::organizations`].
#[derive(Debug, Clone, Copy)]
pub struct Organizations<'c>(pub(crate) &'c Client);

impl Organizations<'_> {
    /// Makes an organization. Only the root token may.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::NewOrganization;
    ///
    /// let acme = client.organizations().create(&NewOrganization::new("Acme", "acme")).await?;
    /// println!("{}", acme.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) at `body.slug` if another organization has
    /// the slug, and whatever else an [`Error`](crate::Error) names.
    pub async fn create(&self, organization: &NewOrganization) -> Result<Organization> {
        self.0.send(Method::POST, &PATH, &[], Some(organization)).await
    }

    /// Lists organizations, oldest first. Only the root token may.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::OrganizationsQuery;
    ///
    /// let page = client.organizations().list(&OrganizationsQuery::new()).await?;
    /// println!("{} of {}", page.items.len(), page.pagination.total_count);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, query: &OrganizationsQuery) -> Result<Page<Organization>> {
        self.0.send(Method::GET, &PATH, &query.parameters(), None::<&()>).await
    }
}
