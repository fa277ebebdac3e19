//! A typed client of [Floe](https://github.com/floe-dev/floe), a usage meter, and of Polar's API for
//! meters, events and customers, which Floe speaks.
//!
//! It owns the way to a server: addresses, the token, time-outs, when a call is made again, and what
//! each answer means. It knows nothing of how a server works, and refuses to guess: it follows no
//! redirect (a token must not travel to where nobody sent it), makes a call again only where that
//! counts nothing twice, and takes no answer for another.
//!
//! # Example
//!
//! ```
//! # floe_client_doc::run_with_environment(async || {
//! use floe_client::{
//!     Aggregation, Client, EventCreate, Filter, FilterClause, Interval, MeterCreate, Quantities,
//! };
//!
//! // FLOE_URL, or http://127.0.0.1:7070, and FLOE_TOKEN.
//! let client = Client::from_env()?;
//!
//! let event = EventCreate::for_external_customer("ai_usage", "user-1")
//!     .timestamp("2026-03-01T12:00:00Z".parse()?)
//!     .property("tokens", 120);
//! client.events().ingest(&[event]).await?;
//!
//! let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage"));
//! let tokens = MeterCreate::new("Tokens", filter, Aggregation::sum("tokens"));
//! let meter = client.meters().create(&tokens).await?;
//!
//! let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-31T23:59:59Z".parse()?);
//! let march = Quantities::new(start, end, Interval::Day).external_customer_id("user-1");
//! assert_eq!(client.meters().quantities(meter.id, &march).await?.total, 120.0);
//! # Ok(())
//! # });
//! ```
//!
//! # Where things are
//!
//! - [`Client`]: where the server is, who calls, how long a call may take, and [`Retries`]. Its
//!   methods lead to the resources: [`Meters`], [`Events`], [`EventTypes`], [`Customers`],
//!   [`CustomerMeters`], [`Organizations`], [`Tokens`] and [`System`].
//! - Requests, such as [`MeterCreate`], [`MeterUpdate`] and [`MetersList`], have a constructor for
//!   what is needed and setters for the rest. Answers, such as [`Meter`], have public fields.
//! - [`Page`] is one page of a list; [`Items`] streams all of it.
//! - [`Ingestor`] sends events in the background.
//! - [`Error`] is what goes wrong with a call, as a caller can act on it.
//!
//! Times are [`Timestamp`]s, in microseconds and UTC. Ids are [`Uuid`]s of version 4, and are the
//! server's; external ids are the caller's own.
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
mod event_stream;
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
pub use event_stream::{EventStream, EventsStream};
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
