//! Customers: those to whom events happen.

use reqwest::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::address::Address;
use crate::client::{Client, Repeat};
use crate::error::{Error, LocPart, Result, Violation};
use crate::metadata::Metadata;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, item, metadata_setter, organization_setter, paging_setters, sorting_setters,
    wire_names,
};

const PATH: [&str; 3] = ["v1", "customers", ""];

wire_names! {
    /// What a customer is.
    ///
    /// ```
    /// assert_eq!("team".parse(), Ok(floe_client::CustomerKind::Team));
    /// ```
    pub enum CustomerKind {
        /// A person; has an e-mail address.
        Individual = "individual",
        /// Some people; need not have an e-mail address.
        Team = "team",
    }
}

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

/// A customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Customer {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// What the caller attached.
    pub metadata: Metadata,
    /// The caller's own id of it; unique in the organization.
    pub external_id: Option<String>,
    /// Its e-mail address; only a team may have none.
    pub email: Option<String>,
    /// Whether somebody has shown that the address is theirs.
    pub email_verified: bool,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: CustomerKind,
    /// Its name.
    pub name: Option<String>,
    /// The name that bills go to; `name`, unless there is another.
    pub billing_name: Option<String>,
    /// Where bills go.
    pub billing_address: Option<Address>,
    /// Its tax number, and which kind of number that is. Floe has none; Polar may.
    pub tax_id: Option<(String, String)>,
    /// The language, as BCP 47 writes it.
    pub locale: Option<String>,
    /// Whose customer it is.
    pub organization_id: Uuid,
    /// How it pays. Floe has none; Polar may.
    pub default_payment_method_id: Option<Uuid>,
    /// When it was deleted; only on customers within events.
    pub deleted_at: Option<Timestamp>,
    /// When the first event happened that a caller ingested for it.
    pub first_user_event_at: Option<Timestamp>,
    /// The address of its picture.
    pub avatar_url: Option<String>,
}

/// A customer's state: the customer, and its meters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CustomerState {
    /// The customer.
    #[serde(flatten)]
    pub customer: Customer,
    /// What it has subscribed to, as JSON. Floe has none; Polar may.
    pub active_subscriptions: Vec<serde_json::Value>,
    /// What it was granted, as JSON. Floe has none; Polar may.
    pub granted_benefits: Vec<serde_json::Value>,
    /// What it consumed of each meter, archived meters included, in the order in which they were
    /// made.
    pub active_meters: Vec<CustomerStateMeter>,
}

impl<'de> Deserialize<'de> for CustomerState {
    /// Twice, as flattened fields would lose what JSON has and serde has not: a number's digits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Rest {
            active_subscriptions: Vec<serde_json::Value>,
            granted_benefits: Vec<serde_json::Value>,
            active_meters: Vec<CustomerStateMeter>,
        }

        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let custom = serde::de::Error::custom;
        let customer = serde_json::from_str(raw.get()).map_err(custom)?;
        let Rest { active_subscriptions, granted_benefits, active_meters } =
            serde_json::from_str(raw.get()).map_err(custom)?;
        Ok(Self { customer, active_subscriptions, granted_benefits, active_meters })
    }
}

/// What a customer consumed of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerStateMeter {
    /// The customer meter's id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// The meter.
    pub meter_id: Uuid,
    /// What was consumed, in the meter's units, since it was last reset.
    pub consumed_units: f64,
    /// What was credited, in the meter's units.
    pub credited_units: i64,
    /// What is left; negative if more was consumed than credited.
    pub balance: f64,
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
    external_id: Option<String>,
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
    fn is_like(&self, made: &Customer) -> bool {
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

    /// The caller's own id of it, which can be set once. Only [`Customers::update`] heeds it.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Makes a team of a person. Only [`Customers::update`] heeds it, and a team stays one.
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
    fn parameters(self) -> Parameters {
        let mut parameters = Parameters::default();
        if self == Self::Anonymize {
            parameters.set("anonymize", true);
        }
        parameters
    }
}

/// The customers of a server; see [`Client::customers`].
///
/// ```
/// # fn example(client: &floe_client::Client) {
/// let customers: floe_client::Customers<'_> = client.customers();
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Customers<'c>(pub(crate) &'c Client);

impl Customers<'_> {
    /// Makes a customer. It takes the scope `customers:write`.
    ///
    /// With an external id, the call is made again if its answer was lost. If the customer is there
    /// by then, with the same external id and e-mail address, it is the answer.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::CustomerCreate;
    ///
    /// let ada = CustomerCreate::new("ada@example.com").external_id("user-1");
    /// println!("{}", client.customers().create(&ada).await?.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`] for values out of bounds, at `body.email` or
    /// `body.external_id` if another customer has it, and whatever else an
    /// [`Error`] names.
    pub async fn create(&self, customer: &CustomerCreate) -> Result<Customer> {
        let Some(external_id) = &customer.external_id else {
            return self.0.call(Method::POST, &PATH, customer, Repeat::Unsent).await;
        };
        let outcome = self.0.call_told(Method::POST, &PATH, customer, Repeat::Always).await?;
        match outcome.result {
            // An earlier try may have made it, and its answer was lost.
            Err(error) if outcome.is_repeated && is_taken(&error) => {
                match self.get_external(external_id).await {
                    Ok(made) if customer.is_like(&made) => Ok(made),
                    _ => Err(error),
                }
            }
            result => result,
        }
    }

    /// Shows a customer. It takes the scope `customers:read` or `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// println!("{:?}", client.customers().get(id).await?.email);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such customer, or it is another
    /// organization's, and whatever else an [`Error`] names.
    pub async fn get(&self, id: Uuid) -> Result<Customer> {
        self.0.get(&item(PATH, &id.to_string()), &[]).await
    }

    /// Shows the customer with an external id. It takes the scope `customers:read` or
    /// `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// println!("{}", client.customers().get_external("user-1").await?.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn get_external(&self, external_id: &str) -> Result<Customer> {
        self.0.get(&external(external_id), &[]).await
    }

    /// Lists customers. It takes the scope `customers:read` or `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::CustomersList;
    ///
    /// for customer in client.customers().list(&CustomersList::new()).await?.items {
    ///     println!("{} {:?}", customer.id, customer.external_id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn list(&self, list: &CustomersList) -> Result<Page<Customer>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All customers of a list, the oldest first unless it is sorted otherwise, page by page; see [`list`](Self::list).
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::CustomersList;
    ///
    /// let mut all = client.customers().list_all(&CustomersList::new());
    /// while let Some(found) = all.next().await {
    ///     println!("{:?}", found?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &CustomersList) -> Items<Customer> {
        Items::new(self.0, &PATH, &list.parameters, Some("created_at"))
    }

    /// Changes a customer. It takes the scope `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// use floe_client::CustomerUpdate;
    ///
    /// client.customers().update(id, &CustomerUpdate::new().name(Some("Ada"))).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such customer,
    /// [`Error::Validation`] for values out of bounds, an address or an
    /// external id that another customer has, another external id, and a team that should be none,
    /// and whatever else an [`Error`] names.
    pub async fn update(&self, id: Uuid, update: &CustomerUpdate) -> Result<Customer> {
        self.0.call(Method::PATCH, &item(PATH, &id.to_string()), update, Repeat::Unsent).await
    }

    /// Changes the customer with an external id. It takes the scope `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::CustomerUpdate;
    ///
    /// let update = CustomerUpdate::new().email("ada@example.org");
    /// client.customers().update_external("user-1", &update).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn update_external(
        &self,
        external_id: &str,
        update: &CustomerUpdate,
    ) -> Result<Customer> {
        self.0.call(Method::PATCH, &external(external_id), update, Repeat::Unsent).await
    }

    /// Deletes a customer. Its events stay. It takes the scope `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// use floe_client::CustomerDelete;
    ///
    /// client.customers().delete(id, CustomerDelete::Keep).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn delete(&self, id: Uuid, delete: CustomerDelete) -> Result<()> {
        self.0.delete(&item(PATH, &id.to_string()), delete.parameters().pairs()).await
    }

    /// Deletes the customer with an external id. Its events stay. It takes the scope
    /// `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::CustomerDelete;
    ///
    /// client.customers().delete_external("user-1", CustomerDelete::Anonymize).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn delete_external(&self, external_id: &str, delete: CustomerDelete) -> Result<()> {
        self.0.delete(&external(external_id), delete.parameters().pairs()).await
    }

    /// Shows a customer and what it consumed of each meter. It takes the scope `customers:read` or
    /// `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// for meter in client.customers().state(id).await?.active_meters {
    ///     println!("{}: {} left", meter.meter_id, meter.balance);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn state(&self, id: Uuid) -> Result<CustomerState> {
        let [version, resource, _] = PATH;
        self.0.get(&[version, resource, &id.to_string(), "state"], &[]).await
    }

    /// Shows the customer with an external id and what it consumed of each meter. It takes the
    /// scope `customers:read` or `customers:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// let state = client.customers().state_external("user-1").await?;
    /// println!("{} meters", state.active_meters.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn state_external(&self, external_id: &str) -> Result<CustomerState> {
        let [version, resource, _] = PATH;
        self.0.get(&[version, resource, "external", external_id, "state"], &[]).await
    }
}

/// Whether all that is wrong is that another customer has the external id, or the address as well.
fn is_taken(error: &Error) -> bool {
    let at = |violation: &Violation, name: &str| match violation.loc.as_slice() {
        [LocPart::Key(body), LocPart::Key(key)] => body == "body" && key == name,
        _ => false,
    };
    let violations = error.violations();
    violations.iter().any(|found| at(found, "external_id"))
        && violations.iter().all(|found| at(found, "external_id") || at(found, "email"))
}

fn external(external_id: &str) -> [&str; 4] {
    let [version, resource, _] = PATH;
    [version, resource, "external", external_id]
}
