//! What can be asked of customers: those to be made, what is to change, which to list.

use serde::Serialize;
use uuid::Uuid;

use super::{Customer, CustomerKind};
use crate::address::Address;
use crate::metadata::Metadata;
use crate::wire::{
    Parameters, metadata_setter, organization_setter, paging_setters, sorting_setters, wire_names,
};

wire_names! {
    /// What lists of customers can be sorted by.
    ///
    /// ```
    /// use floe_client::{CustomerSort, CustomersList};
    ///
    /// let by_name = CustomersList::new().ascending(CustomerSort::Name);
    /// ```
    pub enum CustomerSort {
        /// When they were made.
        CreatedAt = "created_at",
        /// Their e-mail addresses.
        Email = "email",
        /// Their names.
        Name = "name",
    }
}

/// A customer to be made.
///
/// ```
/// use floe_client::{Address, CustomerCreate, Metadata};
///
/// let customer = CustomerCreate::new("ada@example.com")
///     .external_id("user-1")
///     .name("Ada")
///     .billing_address(Address::new("GB").city("London"))
///     .locale("en-GB")
///     .metadata(Metadata::new().with("plan", "pro"));
/// let team = CustomerCreate::team("team@example.com");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CustomerCreate {
    #[serde(rename = "type")]
    kind: CustomerKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<CustomerOwner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<Uuid>,
}

/// Who owns a team that has no e-mail address. Floe checks the owner and keeps nothing of it.
///
/// ```
/// use floe_client::{CustomerCreate, CustomerOwner};
///
/// let team = CustomerCreate::team_of(CustomerOwner::new("ada@example.com").name("Ada"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomerOwner {
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

impl CustomerOwner {
    /// An owner with this e-mail address.
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self { email: email.into(), name: None, external_id: None }
    }

    /// The owner's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The caller's own id of the owner.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }
}

impl CustomerCreate {
    fn of_kind(kind: CustomerKind, email: Option<String>, owner: Option<CustomerOwner>) -> Self {
        Self {
            kind,
            email,
            owner,
            external_id: None,
            name: None,
            billing_address: None,
            tax_id: None,
            locale: None,
            metadata: Metadata::new(),
            organization_id: None,
        }
    }

    /// Whether a customer may be what this one was made to.
    pub(super) fn is_like(&self, made: &Customer) -> bool {
        let email = |email: &Option<String>| email.as_deref().map(str::to_ascii_lowercase);
        email(&self.email) == email(&made.email) && self.kind == made.kind
    }

    /// A person with this e-mail address, which no other customer of the organization has.
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self::of_kind(CustomerKind::Individual, Some(email.into()), None)
    }

    /// A team with this e-mail address, which no other customer of the organization has.
    #[must_use]
    pub fn team(email: impl Into<String>) -> Self {
        Self::of_kind(CustomerKind::Team, Some(email.into()), None)
    }

    /// A team without an e-mail address, which must have an owner.
    #[must_use]
    pub fn team_of(owner: CustomerOwner) -> Self {
        Self::of_kind(CustomerKind::Team, None, Some(owner))
    }

    /// The caller's own id of it, which no other customer of the organization has. Events that
    /// were ingested for this id become the customer's.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Its name, at most 256 characters.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where bills go.
    #[must_use]
    pub fn billing_address(mut self, address: Address) -> Self {
        self.billing_address = Some(address);
        self
    }

    /// Its tax number. Floe refuses it; Polar wants an address with it.
    #[must_use]
    pub fn tax_id(mut self, number: impl Into<String>) -> Self {
        self.tax_id = Some(number.into());
        self
    }

    /// Its language, as BCP 47 writes it, such as `fr-CA`.
    #[must_use]
    pub fn locale(mut self, tag: impl Into<String>) -> Self {
        self.locale = Some(tag.into());
        self
    }

    /// What is attached to it.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Whose customer it is. With the root token it must be said; with an organization's token it
    /// must not, as that makes customers of its own organization.
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }
}

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

/// Which customers to list: all that the caller may see, the newest first, the first hundred of
/// them.
///
/// ```
/// use floe_client::CustomersList;
///
/// let ada = CustomersList::new().email("ada@example.com");
/// let pro = CustomersList::new().metadata("plan", "pro");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomersList {
    pub(crate) parameters: Parameters,
}

impl CustomersList {
    /// All, on pages as large as may be.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the one with this e-mail address, whatever the case.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.parameters.set("email", email.into());
        self
    }

    /// Only those with this text in their names or e-mail addresses, or at the start of their
    /// external ids, whatever the case.
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those that have subscribed to something, or all. In Floe nobody has.
    #[must_use]
    pub fn active(mut self, active: bool) -> Self {
        self.parameters.set("active", active);
        self
    }

    organization_setter!();
    metadata_setter!();
    sorting_setters!(CustomerSort);
    paging_setters!();
}

/// How a customer is deleted. Either way it is gone from all reads, its e-mail address and external
/// id can be had by another, and its events stay.
///
/// ```no_run
/// # async fn example(
/// #     client: floe_client::Client,
/// #     id: floe_client::Uuid,
/// # ) -> floe_client::Result<()> {
/// use floe_client::CustomerDelete;
///
/// client.customers().delete(id, CustomerDelete::Anonymize).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CustomerDelete {
    /// Its e-mail address and name are kept, where no read shows them.
    #[default]
    Keep,
    /// Its e-mail address and name are replaced by hashes, and its address is cleared.
    Anonymize,
}

impl CustomerDelete {
    pub(super) fn parameters(self) -> Parameters {
        let mut parameters = Parameters::default();
        if self == Self::Anonymize {
            parameters.set("anonymize", true);
        }
        parameters
    }
}
