//! A typed client of Floe's HTTP API.
//!
//! It owns the way to a server: addresses, the token, timeouts, and what each answer means. It
//! knows nothing of how a server works, and refuses to guess: it sends a request once, follows no
//! redirect (a token must not travel to where nobody sent it), and takes no answer for another.
//!
//! # Example
//!
//! ```no_run
//! use floe_client::{Client, Error, OrganizationCreate, TokenCreate, OrganizationsList};
//!
//! # async fn example() -> Result<(), Error> {
//! let client = Client::new("http://127.0.0.1:7070", "floe_root_0123")?;
//! let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
//! let token = TokenCreate::new("the billing job", ["events:write"]).organization(acme.id);
//! let created = client.tokens().create(&token).await?;
//! println!("{}", created.token);
//! for organization in client.organizations().list(&OrganizationsList::new()).await?.items {
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

#![deny(missing_docs)]

mod address;
mod aggregation;
mod bulk;
mod client;
mod cost;
mod customer_meters;
mod customers;
mod error;
mod event_create;
mod event_types;
mod events;
mod export;
mod filter;
mod ingestor;
mod llm;
mod metadata;
mod meter_customers;
mod meters;
mod organizations;
mod page;
mod quantities;
mod retries;
mod stream;
mod system;
mod timestamp;
mod tokens;
mod wire;

pub use address::Address;
pub use aggregation::{Aggregation, AggregationFunction};
pub use bulk::{BulkBody, BulkIngested, Compression, RefusedLine};
pub use client::{Client, DEFAULT_URL, REQUEST_TIME_MAX};
pub use cost::{Cost, InvalidCost};
pub use customer_meters::{
    CreditCreate, CustomerMeter, CustomerMeterSort, CustomerMeters, CustomerMetersList,
};
pub use customers::{
    Customer, CustomerCreate, CustomerDelete, CustomerKind, CustomerOwner, CustomerSort,
    CustomerState, CustomerStateMeter, CustomerUpdate, Customers, CustomersList,
};
pub use error::{Cause, Error, LocPart, Result, Violation};
pub use event_create::{EVENT_NAME_CHARS_MAX, EventCreate};
pub use event_types::{
    EventType, EventTypeSort, EventTypeUpdate, EventTypeWithStats, EventTypes, EventTypesList,
};
pub use events::{
    BODY_BYTES_MAX, Event, EventName, EventNameSort, EventNamesList, EventSort, EventSource,
    Events, EventsList, Ingested,
};
pub use export::{EventsExport, ExportedEvents};
pub use filter::{
    CLAUSE_VALUE_CHARS_MAX, Conjunction, FILTER_LEVELS_MAX, Filter, FilterClause, FilterPart,
    FilterValue, InvalidFilter, Operator,
};
pub use ingestor::{Flushed, Ingestor, IngestorError, IngestorOptions, Refused};
pub use llm::Llm;
pub use metadata::{InvalidInteger, LargeInteger, Metadata, MetadataValue};
pub use meter_customers::{MeterCustomer, MeterCustomerSort, MeterCustomers};
pub use meters::{Meter, MeterCreate, MeterSort, MeterUnit, MeterUpdate, Meters, MetersList};
pub use organizations::{
    Organization, OrganizationCreate, OrganizationSort, OrganizationUpdate, Organizations,
    OrganizationsList,
};
pub use page::{PAGE_ITEMS_MAX, Page, Pagination};
pub use quantities::{Interval, MeterQuantities, MeterQuantity, Quantities};
pub use retries::Retries;
pub use stream::Items;
pub use system::{Backup, Storage, StorageBlocks, StorageCache, StorageColumn, System};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use tokens::{
    AccessToken, AccessTokenCreated, TokenCreate, TokenSort, TokenUpdate, Tokens, TokensList,
};
pub use uuid::Uuid;
pub use wire::UnknownName;
