//! A typed client of Floe's HTTP API.
//!
//! It owns the way to a server: addresses, the token, timeouts, and what each answer means. It
//! knows nothing of how a server works, and refuses to guess: it sends a request once, follows no
//! redirect (a token must not travel to where nobody sent it), and takes no answer for another.
//!
//! # Example
//!
//! ```no_run
//! use floe_client::{Client, Error, NewOrganization, NewToken, OrganizationsQuery};
//!
//! # async fn example() -> Result<(), Error> {
//! let client = Client::new("http://127.0.0.1:7070", "floe_root_0123")?;
//! let acme = client.organizations().create(&NewOrganization::new("Acme", "acme")).await?;
//! let token = NewToken::new("the billing job", ["events:write"]).organization(acme.id);
//! let created = client.tokens().create(&token).await?;
//! println!("{}", created.token);
//! for organization in client.organizations().list(&OrganizationsQuery::new()).await?.items {
//!     println!("{}", organization.slug);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `tls` (on by default): servers at `https://` addresses, with rustls and ring, trusting the
//!   authorities that the system trusts. Without it such addresses are refused.

#![warn(missing_docs)]

mod client;
mod error;
mod organizations;
mod page;
mod system;
mod tokens;

pub use client::{Client, REQUEST_TIME_MAX};
pub use error::{Cause, Error, LocPart, Result, Violation};
pub use organizations::{NewOrganization, Organization, Organizations, OrganizationsQuery};
pub use page::{PAGE_ITEMS_MAX, Page, Pagination};
pub use system::{Backup, Storage, StorageBlocks, StorageCache, StorageColumn, System};
pub use tokens::{AccessToken, AccessTokenCreated, NewToken, Tokens, TokensQuery};
pub use uuid::Uuid;
