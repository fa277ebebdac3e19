//! What is to change about customers.

use serde::Serialize;

use super::CustomerKind;
use crate::address::Address;
use crate::metadata::Metadata;

/// What is to change about a customer. What is not named stays; `None` clears what can be cleared.
///
/// ```
/// use floe_client::CustomerUpdate;
///
/// let renamed = CustomerUpdate::new().name(Some("Ada L."));
/// let unnamed = CustomerUpdate::new().name(None);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CustomerUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_id: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<CustomerKind>,
}

impl CustomerUpdate {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its e-mail address, which no other customer of the organization has.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Its name, at most 256 characters; `None` for none.
    #[must_use]
    pub fn name(mut self, name: Option<&str>) -> Self {
        self.name = Some(name.map(str::to_owned));
        self
    }

    /// Where bills go. It can be changed but not cleared.
    #[must_use]
    pub fn billing_address(mut self, address: Address) -> Self {
        self.billing_address = Some(address);
        self
    }

    /// Its tax number; `None` for none. Floe refuses any.
    #[must_use]
    pub fn tax_id(mut self, number: Option<&str>) -> Self {
        self.tax_id = Some(number.map(str::to_owned));
        self
    }

    /// Its language, as BCP 47 writes it; `None` for none.
    #[must_use]
    pub fn locale(mut self, tag: Option<&str>) -> Self {
        self.locale = Some(tag.map(str::to_owned));
        self
    }

    /// What is attached to it, in place of all that was.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// The caller's own id of it, which can be set once. Only [`Customers::update`](crate::Customers::update) heeds it.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Makes a team of a person. Only [`Customers::update`](crate::Customers::update) heeds it, and a team stays one.
    #[must_use]
    pub fn kind(mut self, kind: CustomerKind) -> Self {
        self.kind = Some(kind);
        self
    }
}
