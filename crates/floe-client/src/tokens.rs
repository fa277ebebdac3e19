//! Organizations' access tokens.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Client, Repeat};
use crate::error::Result;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, item, organization_setter, paging_setters, sorting_setters, wire_names,
};

const PATH: [&str; 3] = ["v1", "organization-access-tokens", ""];

wire_names! {
    /// What lists of tokens can be sorted by.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{TokenSort, TokensList};
    ///
    /// let last_used_first = TokensList::new().descending(TokenSort::LastUsedAt);
    /// assert_eq!(client.tokens().list(&last_used_first).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub enum TokenSort {
        /// When they were made.
        CreatedAt = "created_at",
        /// What they are for.
        Comment = "comment",
        /// When they stop to live.
        ExpiresAt = "expires_at",
        /// When they were last used.
        LastUsedAt = "last_used_at",
    }
}

/// An access token, without its secret.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{TokenCreate, TokensList};
///
/// client.tokens().create(&TokenCreate::new("ingest", ["events:write"])).await?;
/// let tokens = client.tokens().list(&TokensList::new()).await?.items;
/// let token = tokens.iter().find(|token| token.comment == "ingest").expect("it was made");
/// assert_eq!(token.scopes, ["events:write"]);
/// assert_eq!((token.expires_at, token.last_used_at), (None, None));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessToken {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// What it may do, by the wire's names. A newer server may know more than this client.
    pub scopes: Vec<String>,
    /// When it stops to live; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// What it is for.
    pub comment: String,
    /// When it was last used, true to a minute; `None` for never.
    pub last_used_at: Option<Timestamp>,
    /// Whose token it is.
    pub organization_id: Uuid,
}

/// A token that was just made: the only answer that holds its secret. `Debug` prints nothing of
/// the secret; serializing it does.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{Client, EventCreate, TokenCreate};
///
/// let made = client.tokens().create(&TokenCreate::new("ingest", ["events:write"])).await?;
/// assert_eq!(made.organization_access_token.comment, "ingest");
///
/// let other = Client::new(client.url(), made.token)?;
/// other.events().ingest(&[EventCreate::for_external_customer("chat", "user-1")]).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessTokenCreated {
    /// The token without its secret.
    pub organization_access_token: AccessToken,
    /// The secret.
    pub token: String,
}

impl fmt::Debug for AccessTokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenCreated")
            .field("organization_access_token", &self.organization_access_token)
            .finish_non_exhaustive()
    }
}

/// A token to be made.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use std::time::Duration;
/// use floe_client::TokenCreate;
///
/// let token = TokenCreate::new("the billing job", ["events:write", "meters:read"])
///     .expires_in(Duration::from_secs(90 * 86_400));
/// let made = client.tokens().create(&token).await?.organization_access_token;
/// assert!(made.expires_at.is_some());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenCreate {
    comment: String,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<Uuid>,
}

impl TokenCreate {
    /// A token with these scopes, by the wire's names. The comment says what it is for. Nobody
    /// grants a scope that they lack.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::TokenCreate;
    ///
    /// let token = TokenCreate::new("the dashboard", ["meters:read", "customers:read"]);
    /// let made = client.tokens().create(&token).await?.organization_access_token;
    /// assert_eq!(made.comment, "the dashboard");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new<S: Into<String>>(
        comment: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        Self { comment: comment.into(), scopes, expires_in: None, organization_id: None }
    }

    /// How long it lives, in whole seconds, above 0; without this, for ever.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use std::time::Duration;
    /// use floe_client::TokenCreate;
    ///
    /// let hour = Duration::from_secs(3600);
    /// let token = TokenCreate::new("a visitor", ["meters:read"]).expires_in(hour);
    /// let made = client.tokens().create(&token).await?.organization_access_token;
    /// assert_eq!(made.expires_at, Some(made.created_at.saturating_add(hour)));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime.as_secs());
        self
    }

    /// Whose token it is. With the root token it must be said; with an organization's token it
    /// must not, as that makes tokens of its own organization.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::{OrganizationCreate, TokenCreate};
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// let token = TokenCreate::new("ingest", ["events:write"]).organization(acme.id);
    /// let made = client.tokens().create(&token).await?.organization_access_token;
    /// assert_eq!(made.organization_id, acme.id);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }
}

/// Which tokens to list: all that the caller may see, oldest first, the first hundred of them.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::TokensList;
///
/// let second_dozen = TokensList::new().limit(12).page(2);
/// assert_eq!(client.tokens().list(&second_dozen).await?.items, []);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokensList {
    pub(crate) parameters: Parameters,
}

impl TokensList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::TokensList;
    ///
    /// // The one that the first start made.
    /// assert_eq!(client.tokens().list(&TokensList::new()).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    organization_setter!(TokensList, "tokens().list(&list)");
    sorting_setters!(TokenSort::Comment, "comment", TokensList, "tokens().list(&list)");
    paging_setters!(TokensList, "tokens().list(&list)");
}

/// What is to change about a token. What is not named stays.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{TokenCreate, TokenUpdate};
///
/// let token = TokenCreate::new("the dashboard", ["meters:read", "meters:write"]);
/// let id = client.tokens().create(&token).await?.organization_access_token.id;
/// let read_only = TokenUpdate::new().scopes(["meters:read"]);
/// assert_eq!(client.tokens().update(id, &read_only).await?.scopes, ["meters:read"]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TokenUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
}

impl TokenUpdate {
    /// Nothing.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let token = floe_client::TokenCreate::new("ingest", ["events:write"]);
    /// # let id = client.tokens().create(&token).await?.organization_access_token.id;
    /// use floe_client::TokenUpdate;
    ///
    /// let same = client.tokens().update(id, &TokenUpdate::new()).await?;
    /// assert_eq!(same.comment, "ingest");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it is for.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let token = floe_client::TokenCreate::new("ingest", ["events:write"]);
    /// # let id = client.tokens().create(&token).await?.organization_access_token.id;
    /// use floe_client::TokenUpdate;
    ///
    /// let update = TokenUpdate::new().comment("ingest, all regions");
    /// assert_eq!(client.tokens().update(id, &update).await?.comment, "ingest, all regions");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// What it may do, by the wire's names, in place of all that it might. Nobody grants a scope
    /// that they lack.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let token = floe_client::TokenCreate::new("ingest", ["events:write"]);
    /// # let id = client.tokens().create(&token).await?.organization_access_token.id;
    /// use floe_client::TokenUpdate;
    ///
    /// let update = TokenUpdate::new().scopes(["events:read"]);
    /// assert_eq!(client.tokens().update(id, &update).await?.scopes, ["events:read"]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }
}

/// The access tokens of a server's organizations; see [`Client::tokens`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{Tokens, TokensList};
///
/// let tokens: Tokens<'_> = client.tokens();
/// assert_eq!(tokens.list(&TokensList::new()).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'c>(pub(crate) &'c Client);

impl Tokens<'_> {
    /// Makes a token. Its secret is in this answer and in no other.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::TokenCreate;
    ///
    /// let made = client.tokens().create(&TokenCreate::new("ingest", ["events:write"])).await?;
    /// assert!(!made.token.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) if a scope is unknown or not the caller's
    /// to grant, if the organization is missing or unknown, and whatever else an
    /// [`Error`](crate::Error) names.
    pub async fn create(&self, token: &TokenCreate) -> Result<AccessTokenCreated> {
        self.0.call(Method::POST, &PATH, token, Repeat::Unsent).await
    }

    /// Lists tokens, oldest first, without their secrets.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::TokensList;
    ///
    /// for token in client.tokens().list(&TokensList::new()).await?.items {
    ///     assert_eq!(token.comment, "made at the first start");
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, list: &TokensList) -> Result<Page<AccessToken>> {
        self.0.list(&PATH, &list.parameters, Some("created_at")).await
    }

    /// All tokens of a list, page by page; see [`list`](Self::list).
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::TokensList;
    ///
    /// let mut all = client.tokens().list_all(&TokensList::new());
    /// while let Some(token) = all.next().await {
    ///     assert_eq!(token?.expires_at, None);
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &TokensList) -> Items<AccessToken> {
        Items::new(self.0, &PATH, &list.parameters, Some("created_at"))
    }

    /// Changes a token; its secret stays.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let token = floe_client::TokenCreate::new("ingest", ["events:write"]);
    /// # let id = client.tokens().create(&token).await?.organization_access_token.id;
    /// use floe_client::TokenUpdate;
    ///
    /// let update = TokenUpdate::new().scopes(["events:read", "events:write"]);
    /// assert_eq!(client.tokens().update(id, &update).await?.scopes.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such token, or it is another
    /// organization's, [`Error::Validation`](crate::Error::Validation) if a scope is unknown or not
    /// the caller's to grant, and whatever else an [`Error`](crate::Error) names.
    pub async fn update(&self, id: Uuid, update: &TokenUpdate) -> Result<AccessToken> {
        self.0.call(Method::PATCH, &item(PATH, &id.to_string()), update, Repeat::Unsent).await
    }

    /// Revokes a token: from the answer on it admits nobody.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Client, Error, TokenCreate, TokensList};
    ///
    /// let made = client.tokens().create(&TokenCreate::new("a visitor", ["meters:read"])).await?;
    /// client.tokens().revoke(made.organization_access_token.id).await?;
    ///
    /// let visitor = Client::new(client.url(), made.token)?;
    /// let refused = visitor.tokens().list(&TokensList::new()).await;
    /// assert!(matches!(refused, Err(Error::Unauthorized)));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such token, or it is another
    /// organization's, and whatever else an [`Error`](crate::Error) names.
    pub async fn revoke(&self, id: Uuid) -> Result<()> {
        self.0.delete(&item(PATH, &id.to_string()), &[]).await
    }
}
