//! Organizations, meters and customers: what the catalog keeps.

use crate::aggregation::Aggregation;
use crate::filter::Filter;
use crate::ids::{CustomerId, MeterId, OrganizationId};
use crate::timestamp::Timestamp;
use crate::value::Metadata;

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// 1 to 128 code points.
    pub name: String,
    /// `[a-z0-9-]{1,64}`, unique on the server.
    pub slug: String,
}

/// What a meter's quantity is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeterUnit {
    /// Just a number.
    Scalar,
    /// Tokens of a language model.
    Token,
    /// As the meter's custom label says.
    Custom,
}

impl MeterUnit {
    /// All, in the order of the wire's error messages.
    pub const ALL: [(&'static str, Self); 3] =
        [("scalar", Self::Scalar), ("token", Self::Token), ("custom", Self::Custom)];

    /// The wire's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Token => "token",
            Self::Custom => "custom",
        }
    }
}

/// A meter: a filter and an aggregation over an organization's events.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// Its id.
    pub id: MeterId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its number in the catalog, unique on the server; orders meters of one instant.
    pub number: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// When it was archived, if it is.
    pub archived_at: Option<Timestamp>,
    /// At least 3 code points; not unique.
    pub name: String,
    /// What it is a number of.
    pub unit: MeterUnit,
    /// What a custom unit is called.
    pub custom_label: Option<String>,
    /// What a custom unit multiplies by, for display; positive.
    pub custom_multiplier: Option<i64>,
    /// Which events it counts.
    pub filter: Filter,
    /// What it computes from them.
    pub aggregation: Aggregation,
    /// The caller's own data.
    pub metadata: Metadata<'static>,
}

/// What kind of customer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerKind {
    /// A person; always with an e-mail address.
    Individual,
    /// A group of people.
    Team,
}

impl CustomerKind {
    /// All, by their wire names.
    pub const ALL: [(&'static str, Self); 2] =
        [("individual", Self::Individual), ("team", Self::Team)];

    /// The wire's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Team => "team",
        }
    }
}

/// A billing address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// First line.
    pub line1: Option<String>,
    /// Second line.
    pub line2: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// City.
    pub city: Option<String>,
    /// State; `US-CA` for the United States and Canada.
    pub state: Option<String>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
}

/// A customer of an organization.
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its number in the catalog, unique on the server; orders customers of one instant.
    pub number: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// When it was deleted; then it is seen in events only.
    pub deleted_at: Option<Timestamp>,
    /// What kind it is.
    pub kind: CustomerKind,
    /// Unique among the live ones of the organization, whatever the case; always there for an
    /// individual.
    pub email: Option<String>,
    /// The caller's identifier, unique among the live ones of the organization.
    pub external_id: Option<String>,
    /// At most 256 code points.
    pub name: Option<String>,
    /// Where to send invoices.
    pub billing_address: Option<Address>,
    /// BCP 47 tag.
    pub locale: Option<String>,
    /// The caller's own data.
    pub metadata: Metadata<'static>,
}
