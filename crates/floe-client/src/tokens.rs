//! Organizations' access tokens.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::Client;
use crate::error::Result;
use crate::page::{Page, Paging};

const PATH: [&str; 3] = ["v1", "organization-access-tokens", ""];

/// An access token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessToken {
    /// Its id.
    pub id: Uuid,
    /// When it was made, in UTC, as RFC 3339 writes it.
    pub created_at: String,
    /// When it was last changed, if ever, as RFC 3339 writes it.
    pub modified_at: Option<String>,
    /// What it may do, by the wire's names. A newer server may know more than this client.
    pub scopes: Vec<String>,
    /// When it stops to live, as RFC 3339 writes it; `None` for never.
    pub expires_at: Option<String>,
    /// What it is for.
    pub comment: String,
    /// When it was last used, true to a minute, as RFC 3339 writes it; `None` for never.
    pub last_used_at: Option<String>,
    /// Whose token it is.
    pub organization_id: Uuid,
}

/// A token that was just made: the only answer that holds its secret. `Debug` prints nothing of
/// the secret; serializing it does.
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
/// use std::time::Duration;
/// use floe_client::NewToken;
///
/// let token = NewToken::new("the billing job", ["events:write", "meters:read"])
///     .expires_in(Duration::from_secs(90 * 86_400));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewToken {
    comment: String,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<Uuid>,
}

impl NewToken {
    /// A token with these scopes, by the wire's names. The comment says what it is for. Nobody
    /// grants a scope that they lack.
    #[must_use]
    pub fn new<S: Into<String>>(
        comment: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        Self { comment: comment.into(), scopes, expires_in: None, organization_id: None }
    }

    /// How long it lives, in whole seconds, above 0; without this, for ever.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime.as_secs());
        self
    }

    /// Whose token it is. With the root token it must be said; with an organization's token it
    /// must not, as that makes tokens of its own organization.
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }
}

/// Which tokens to list: all that the caller may see, oldest first, the first hundred of them.
///
/// ```
/// use floe_client::TokensQuery;
///
/// let second_dozen = TokensQuery::new().limit(12).page(2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokensQuery {
    organization_id: Option<Uuid>,
    paging: Paging,
}

impl TokensQuery {
    /// All, on pages of 100.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this organization's.
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
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
        parameters.extend(self.organization_id.map(|id| ("organization_id", id.to_string())));
        parameters.extend(self.paging.parameters());
        parameters
    }
}

/// The access tokens of a server's organizations; see [`Client::tokens`].
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'c>(pub(crate) &'c Client);

impl Tokens<'_> {
    /// Makes a token. Its secret is in this answer and in no other.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::NewToken;
    ///
    /// let created = client.tokens().create(&NewToken::new("ingest", ["events:write"])).await?;
    /// println!("{}", created.token);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) if a scope is unknown or not the caller's
    /// to grant, if the organization is missing or unknown, and whatever else an
    /// [`Error`](crate::Error) names.
    pub async fn create(&self, token: &NewToken) -> Result<AccessTokenCreated> {
        self.0.send(Method::POST, &PATH, &[], Some(token)).await
    }

    /// Lists tokens, oldest first, without their secrets.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::TokensQuery;
    ///
    /// for token in client.tokens().list(&TokensQuery::new()).await?.items {
    ///     println!("{} {}", token.id, token.comment);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, query: &TokensQuery) -> Result<Page<AccessToken>> {
        self.0.send(Method::GET, &PATH, &query.parameters(), None::<&()>).await
    }

    /// Revokes a token: from the answer on it admits nobody.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::Uuid;
    ///
    /// let id = Uuid::parse_str("9f1b5c3e-0f0a-4c55-9d5c-1f6f8a3b2c4d").expect("an id");
    /// client.tokens().revoke(id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such token, or it is another
    /// organization's, and whatever else an [`Error`](crate::Error) names.
    pub async fn revoke(&self, id: Uuid) -> Result<()> {
        let [version, resource, _] = PATH;
        let id = id.to_string();
        self.0.send_without_answer(Method::DELETE, &[version, resource, &id]).await
    }
}
