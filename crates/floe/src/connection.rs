//! Where a command finds its server, who it is there, and how it says what went wrong.

use anyhow::{Context as _, anyhow, bail};
use floe_client::{Client, Error, LocPart, OrganizationsList, PAGE_ITEMS_MAX, Page, Uuid};

use crate::exit::{self, Reason};

const DEFAULT_URL: &str = "http://127.0.0.1:7070";

/// Where the server is, and who calls.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The server's address
    #[arg(long, env = "FLOE_URL", value_name = "URL", default_value = DEFAULT_URL)]
    url: String,
    /// The token to call with; without it, FLOE_ROOT_TOKEN is taken
    #[arg(long, env = "FLOE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Where the server is, for what the root token does.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct RootConnection {
    /// The server's address
    #[arg(long, env = "FLOE_URL", value_name = "URL", default_value = DEFAULT_URL)]
    url: String,
    /// The root token; without it, FLOE_TOKEN is taken
    #[arg(long, env = "FLOE_ROOT_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl std::fmt::Debug for Connection {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RootConnection {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootConnection").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Connection {
    /// Runs calls to the server, and explains their failure.
    pub(crate) fn run<T>(
        self,
        calls: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> anyhow::Result<T> {
        run(&self.url, self.token, "FLOE_ROOT_TOKEN", calls)
    }
}

impl RootConnection {
    /// Runs calls to the server, and explains their failure.
    pub(crate) fn run<T>(
        self,
        calls: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> anyhow::Result<T> {
        run(&self.url, self.token, "FLOE_TOKEN", calls)
    }
}

/// `otherwise` is the variable that holds a token if none is given.
fn run<T>(
    url: &str,
    token: Option<String>,
    otherwise: &str,
    calls: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> anyhow::Result<T> {
    let set = |token: &String| !token.is_empty();
    let token = token.filter(set).or_else(|| std::env::var(otherwise).ok().filter(set));
    let Some(token) = token else {
        bail!(
            "no token: give one with --token or FLOE_TOKEN, or the root token with FLOE_ROOT_TOKEN"
        );
    };
    let client = Client::new(url, token).map_err(explain)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(calls(&client)).map_err(|failure| match failure {
        Failure::Call(error) => explain(error),
        Failure::NotThere(message) => exit::error(Reason::NotThere, message),
        Failure::Other(error) => error,
    })
}

/// Why calls failed.
pub(crate) enum Failure {
    Call(Error),
    /// There is no such thing.
    NotThere(String),
    Other(anyhow::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// An error with what to do about it.
fn explain(error: Error) -> anyhow::Error {
    let hint = match &error {
        Error::Connect { .. } => {
            "start it with `floe serve`, or say where it is with --url or FLOE_URL"
        }
        Error::Unauthorized => {
            "check --token, FLOE_TOKEN and FLOE_ROOT_TOKEN; a lost root token is replaced with \
             `floe root-token rotate`"
        }
        Error::Forbidden { .. } => "a token with more scopes, or the root token, may",
        Error::Validation(violations) => {
            // In a body, or in a query.
            let organization = LocPart::Key("organization_id".into());
            let at_organization = |kind: &str| {
                let is_it = |loc: &[LocPart]| loc.len() == 2 && loc[1] == organization;
                violations.iter().any(|found| is_it(&found.loc) && found.kind == kind)
            };
            if at_organization("missing") {
                return anyhow!(
                    "the root token is of no organization: name one with --organization"
                );
            } else if at_organization("organization_token") {
                return anyhow!(
                    "this token is of one organization, and acts for that: leave --organization out"
                );
            }
            return error.into();
        }
        Error::Timeout { .. } | Error::Transport { .. } => {
            "what was to be changed may be changed: look before you try again"
        }
        Error::Server { status: 502 | 504, .. }
        | Error::Unavailable { .. }
        | Error::RateLimited { .. } => "try again",
        Error::InvalidUrl { .. } => return exit::usage(error.to_string()),
        Error::NotFound { .. } => return exit::error(Reason::NotThere, error.to_string()),
        _ => return error.into(),
    };
    let reason = match &error {
        Error::Unauthorized | Error::Forbidden { .. } => None,
        _ => Some(Reason::Unreachable),
    };
    let text = error.to_string();
    // Of the causes the last is enough: those between it and us tell how the client is built.
    let message = match anyhow::Error::from(error).chain().skip(1).last() {
        Some(cause) => format!("{text} ({cause}); {hint}"),
        None => format!("{text}; {hint}"),
    };
    match reason {
        Some(reason) => exit::error(reason, message),
        None => anyhow!(message),
    }
}

/// Everything that a list has, page by page.
pub(crate) async fn every<T>(
    mut page: impl AsyncFnMut(u64) -> floe_client::Result<Page<T>>,
) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    for number in 1.. {
        let found = page(number).await?;
        items.extend(found.items);
        if number >= found.pagination.max_page {
            break;
        }
    }
    Ok(items)
}

/// The first of a list, at most `limit`, and how many there are in all. `page` is given the page and
/// how many are to be on it.
pub(crate) async fn first<T>(
    limit: u64,
    mut page: impl AsyncFnMut(u64, u32) -> floe_client::Result<Page<T>>,
) -> Result<(Vec<T>, u64), Failure> {
    let on_page = u32::try_from(limit).unwrap_or(u32::MAX).min(PAGE_ITEMS_MAX);
    let mut items = Vec::new();
    let mut number = 1;
    loop {
        let found = page(number, on_page).await?;
        items.extend(found.items);
        items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let pagination = found.pagination;
        if items.len() as u64 >= limit || number >= pagination.max_page {
            return Ok((items, pagination.total_count));
        }
        number += 1;
    }
}

/// The id of an organization that is named by id or slug.
pub(crate) async fn organization_id(client: &Client, name: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let query = OrganizationsList::new().slug(name);
    let found = match client.organizations().list(&query).await {
        // Only the root token may look a slug up.
        Err(Error::Forbidden { .. }) => {
            return Err(anyhow!(
                "this token is of one organization, and acts for that: leave --organization out"
            )
            .into());
        }
        found => found?.items.into_iter().next(),
    };
    match found {
        Some(organization) => Ok(organization.id),
        None => Err(Failure::NotThere(format!(
            "there is no organization `{name}`; `floe organizations list` shows those there are"
        ))),
    }
}
