//! Customers to be made.

use serde::Serialize;
use uuid::Uuid;

use super::{Customer, CustomerKind};
use crate::address::Address;
use crate::metadata::Metadata;

/// A customer to be made.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{Address, CustomerCreate};
///
/// let ada = CustomerCreate::new("ada@example.com")
///     .external_id("user-1")
///     .name("Ada")
///     .billing_address(Address::new("GB").city("London"))
///     .locale("en-GB")
///     .metadata([("plan", "pro")]);
/// let ada = client.customers().create(&ada).await?;
/// assert_eq!(client.customers().get_external("user-1").await?, ada);
/// # Ok(())
/// # });
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
/// # floe_client_doc::run(async |client| {
/// use floe_client::{CustomerCreate, CustomerOwner};
///
/// let team = CustomerCreate::team_of(CustomerOwner::new("ada@example.com").name("Ada"));
/// let team = client.customers().create(&team).await?;
/// assert_eq!(team.email, None);
/// # Ok(())
/// # });
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, CustomerOwner};
    ///
    /// let team = CustomerCreate::team_of(CustomerOwner::new("ada.example.com"));
    /// let error = client.customers().create(&team).await.expect_err("it has no @");
    /// assert_eq!(error.violations()[0].kind, "value_error");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self { email: email.into(), name: None, external_id: None }
    }

    /// The owner's name.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, CustomerOwner};
    ///
    /// let owner = CustomerOwner::new("ada@example.com").name("Ada");
    /// let team = client.customers().create(&CustomerCreate::team_of(owner)).await?;
    /// assert_eq!(team.name, None, "the owner's is not the team's");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The caller's own id of the owner.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, CustomerOwner};
    ///
    /// let owner = CustomerOwner::new("ada@example.com").external_id("user-1");
    /// let team = client.customers().create(&CustomerCreate::team_of(owner)).await?;
    /// assert_eq!(team.external_id, None, "the owner's is not the team's");
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::CustomerCreate;
    ///
    /// let ada = client.customers().create(&CustomerCreate::new("ada@Example.com")).await?;
    /// assert_eq!(ada.email.as_deref(), Some("ada@example.com"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self::of_kind(CustomerKind::Individual, Some(email.into()), None)
    }

    /// A team with this e-mail address, which no other customer of the organization has.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, CustomerKind};
    ///
    /// let team = client.customers().create(&CustomerCreate::team("team@example.com")).await?;
    /// assert_eq!(team.kind, CustomerKind::Team);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn team(email: impl Into<String>) -> Self {
        Self::of_kind(CustomerKind::Team, Some(email.into()), None)
    }

    /// A team without an e-mail address, which must have an owner.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, CustomerOwner};
    ///
    /// let team = CustomerCreate::team_of(CustomerOwner::new("ada@example.com")).name("Analysts");
    /// assert_eq!(client.customers().create(&team).await?.name.as_deref(), Some("Analysts"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn team_of(owner: CustomerOwner) -> Self {
        Self::of_kind(CustomerKind::Team, None, Some(owner))
    }

    /// The caller's own id of it, which no other customer of the organization has. Events that
    /// were ingested for this id become the customer's.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::CustomerCreate;
    ///
    /// // There are events of `user-1` already.
    /// let ada = CustomerCreate::new("ada@example.com").external_id("user-1");
    /// let ada = client.customers().create(&ada).await?;
    /// assert!(ada.first_user_event_at.is_some());
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Its name, at most 256 characters.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::CustomerCreate;
    ///
    /// let ada = CustomerCreate::new("ada@example.com").name("Ada");
    /// assert_eq!(client.customers().create(&ada).await?.name.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where bills go.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Address, CustomerCreate};
    ///
    /// let address = Address::new("GB").city("London");
    /// let ada = CustomerCreate::new("ada@example.com").billing_address(address.clone());
    /// assert_eq!(client.customers().create(&ada).await?.billing_address, Some(address));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn billing_address(mut self, address: Address) -> Self {
        self.billing_address = Some(address);
        self
    }

    /// Its tax number. Floe refuses it; Polar wants an address with it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Address, CustomerCreate};
    ///
    /// let ada = CustomerCreate::new("ada@example.com")
    ///     .billing_address(Address::new("GB"))
    ///     .tax_id("GB980780684");
    /// let error = client.customers().create(&ada).await.expect_err("Floe refuses it");
    /// assert_eq!(error.violations()[0].msg, "Invalid tax ID.");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn tax_id(mut self, number: impl Into<String>) -> Self {
        self.tax_id = Some(number.into());
        self
    }

    /// Its language, as BCP 47 writes it, such as `fr-CA`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::CustomerCreate;
    ///
    /// let ada = CustomerCreate::new("ada@example.com").locale("FR-ca");
    /// assert_eq!(client.customers().create(&ada).await?.locale.as_deref(), Some("fr-CA"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn locale(mut self, tag: impl Into<String>) -> Self {
        self.locale = Some(tag.into());
        self
    }

    /// What is attached to it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{CustomerCreate, Metadata};
    ///
    /// let ada = CustomerCreate::new("ada@example.com")
    ///     .metadata(Metadata::new().with("plan", "pro").with("seats", 5));
    /// let ada = client.customers().create(&ada).await?;
    /// assert_eq!(ada.metadata.get("seats"), Some(&5.into()));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Whose customer it is. With the root token it must be said; with an organization's token it
    /// must not, as that makes customers of its own organization.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::{CustomerCreate, OrganizationCreate};
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// let ada = CustomerCreate::new("ada@example.com").organization(acme.id);
    /// assert_eq!(client.customers().create(&ada).await?.organization_id, acme.id);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }
}
