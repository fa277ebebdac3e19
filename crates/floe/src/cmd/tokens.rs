//! `floe tokens`.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use floe_client::{AccessToken, Error, Timestamp, TokenCreate, TokenUpdate, TokensList, Uuid};
use floe_core::Scope;

use crate::connection::{Failure, RootConnection, every, organization_id};
use crate::output::{Column, Output, print, print_json};

/// Make, list and revoke organizations' access tokens on a running server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Tokens {
    /// Make a token. The secret, shown this once, is all that goes to standard output.
    Create {
        /// Whose token it is; needed with the root token, and left out with an organization's
        #[arg(long, value_name = "SLUG_OR_ID")]
        organization: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        comment: String,
        /// What it may do; may repeat [default: every scope]
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope_names())]
        scopes: Vec<String>,
        /// How long it lives, such as 90d, 12h, 30m or 45s [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
        /// Print the token and its secret as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: RootConnection,
    },
    /// List tokens, oldest first, without their secrets.
    List {
        /// Only this organization's
        #[arg(long, value_name = "SLUG_OR_ID")]
        organization: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: RootConnection,
    },
    /// Change what a token is for, or may do.
    Update {
        /// The token's id, as `floe tokens list` shows it
        id: Uuid,
        /// What it is for
        #[arg(long, value_name = "TEXT", required_unless_present = "scopes")]
        comment: Option<String>,
        /// What it may do, in place of what it may now; may repeat
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope_names())]
        scopes: Vec<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: RootConnection,
    },
    /// Revoke a token: at once it admits nobody.
    Revoke {
        /// The token's id, as `floe tokens list` shows it
        id: Uuid,
        #[command(flatten)]
        connection: RootConnection,
    },
}

fn scope_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Scope::ALL.map(|(name, _)| name))
}

/// Reads a length of time: a whole number and its unit.
fn lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || "it must be a whole number above 0 and s, m, h or d, such as 90d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|&seconds| seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

impl Tokens {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create { organization, comment, mut scopes, expires_in, json, connection } => {
                if scopes.is_empty() {
                    scopes = Scope::ALL.map(|(name, _)| name.to_owned()).into();
                }
                let made = connection.run(async |client| {
                    let mut token = TokenCreate::new(comment, scopes);
                    if let Some(organization) = organization {
                        token = token.organization(organization_id(client, &organization).await?);
                    }
                    if let Some(lifetime) = expires_in {
                        token = token.expires_in(lifetime);
                    }
                    Ok(client.tokens().create(&token).await?)
                })?;
                if json { print_json(&made) } else { print(&made.token) }?;
                let AccessToken { id, expires_at, .. } = made.organization_access_token;
                let expires = expires_at
                    .map_or_else(|| "never expires".to_owned(), |at| format!("expires at {at}"));
                eprintln!(
                    "Keep the secret now: it is not shown again. Token {id} {expires}; \
                     `floe tokens revoke {id}` ends it."
                );
                Ok(())
            }
            Self::List { organization, output, connection } => {
                let all = connection.run(async |client| {
                    let mut list = TokensList::new();
                    if let Some(organization) = organization {
                        list = list.organization(organization_id(client, &organization).await?);
                    }
                    every(async |page| client.tokens().list(&list.clone().page(page)).await).await
                })?;
                output.print(&all, &all, &columns())
            }
            Self::Update { id, comment, scopes, output, connection } => {
                let mut update = TokenUpdate::new();
                if let Some(comment) = comment {
                    update = update.comment(comment);
                }
                if !scopes.is_empty() {
                    update = update.scopes(scopes);
                }
                let token = connection.run(async |client| {
                    match client.tokens().update(id, &update).await {
                        Err(Error::NotFound { .. }) => Err(not_there(id)),
                        updated => Ok(updated?),
                    }
                })?;
                output.print(&token, std::slice::from_ref(&token), &columns())
            }
            Self::Revoke { id, connection } => {
                connection.run(async |client| match client.tokens().revoke(id).await {
                    Err(Error::NotFound { .. }) => Err(not_there(id)),
                    revoked => Ok(revoked?),
                })?;
                print(&format!("Revoked token {id}."))
            }
        }
    }
}

fn not_there(id: Uuid) -> Failure {
    Failure::NotThere(format!("there is no token {id}, or not one for you to change"))
}

fn columns() -> [Column<'static, AccessToken>; 6] {
    let never = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| at.to_string());
    [
        Column::new("ID", |token: &AccessToken| token.id.to_string()),
        Column::new("ORGANIZATION", |token: &AccessToken| token.organization_id.to_string()),
        Column::new("COMMENT", |token: &AccessToken| token.comment.clone()),
        Column::new("LAST USED", move |token: &AccessToken| never(token.last_used_at)),
        Column::new("EXPIRES", move |token: &AccessToken| never(token.expires_at)),
        Column::new("SCOPES", |token: &AccessToken| {
            let has = |name: &str| token.scopes.iter().any(|scope| scope == name);
            if Scope::ALL.iter().all(|(name, _)| has(name)) {
                return "every scope".to_owned();
            }
            token.scopes.join(" ")
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_and_a_unit() {
        let seconds = |text: &str| lifetime(text).map(|lifetime| lifetime.as_secs()).ok();
        assert_eq!(seconds("45s"), Some(45));
        assert_eq!(seconds("30m"), Some(1800));
        assert_eq!(seconds("12h"), Some(43_200));
        assert_eq!(seconds("90d"), Some(7_776_000));
        for wrong in ["", "d", "90", "0d", "-1d", "+1d", "1.5h", "9 d", "1é", "99999999999999999d"]
        {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
