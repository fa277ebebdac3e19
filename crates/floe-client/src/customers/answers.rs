//! Customers as servers tell of them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::address::Address;
use crate::metadata::Metadata;
use crate::timestamp::Timestamp;
use crate::wire::wire_names;

wire_names! {
    /// What a customer is.
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
    pub enum CustomerKind {
        /// A person; has an e-mail address.
        Individual = "individual",
        /// Some people; need not have an e-mail address.
        Team = "team",
    }
}

/// A customer.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ada = floe_client_doc::ada(&client).await?;
/// let ada = client.customers().get_external("user-1").await?;
/// assert_eq!(ada.email.as_deref(), Some("ada@example.com"));
/// assert_eq!(ada.name.as_deref(), Some("Ada"));
/// assert!(ada.deleted_at.is_none());
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
/// let state = client.customers().state_external("user-1").await?;
/// assert_eq!(state.customer.name.as_deref(), Some("Ada"));
/// assert_eq!(state.active_meters.len(), 1);
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
/// let tokens = client.customers().state_external("user-1").await?.active_meters[0];
/// assert_eq!((tokens.consumed_units, tokens.balance), (120.0, -120.0));
/// # Ok(())
/// # });
/// ```
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
