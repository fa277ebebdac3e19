//! Customers (contract sections 2.4 and 5.1 to 5.6).

mod address;
mod email;
mod locale;
#[cfg(test)]
mod tests;
mod update;

use floe_core::limits::CUSTOMER_NAME_CHARS_MAX;
use floe_core::{CustomerKind, Metadata, MetadataCondition, OrganizationId, Timestamp};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::address::Address;
use self::address::address;
use self::email::email;
use self::locale::locale;
pub use self::update::{CustomerRefusal, CustomerUpdate};
use crate::customer_meter::CustomerStateMeter;
use crate::errors::{self, Errors, Loc};
use crate::fields::{Fields, non_blank, trimmed, unless_refused};
use crate::json::Json;
use crate::metadata::{metadata_conditions, parse_metadata};
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar;
use crate::wire::WireTimestamp;

/// A customer to create.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerCreate {
    /// `individual` unless it says `team`.
    #[cfg_attr(
        feature = "openapi",
        schema(rename = "type", value_type = CustomerType, required = false, default = "individual")
    )]
    pub kind: CustomerKind,
    /// The e-mail address; required of an individual, and of a team without an owner. Unique among
    /// the customers of the organization, whatever the case.
    #[cfg_attr(feature = "openapi", schema(format = "email"))]
    pub email: Option<String>,
    /// The caller's identifier, unique in the organization; trimmed, null if blank. It can be set
    /// once.
    pub external_id: Option<String>,
    /// Trimmed, null if blank.
    #[cfg_attr(feature = "openapi", schema(max_length = 256))]
    pub name: Option<String>,
    /// Where to send invoices.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::AddressInput>))]
    pub billing_address: Option<floe_core::Address>,
    /// Not supported: null.
    pub tax_id: Option<String>,
    /// BCP 47 tag.
    #[cfg_attr(feature = "openapi", schema(example = "fr-CA"))]
    pub locale: Option<String>,
    /// The caller's own data.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = crate::schema::MetadataInput, required = false)
    )]
    pub metadata: Metadata<'static>,
    /// Whose customer it is: needed with the root token, not allowed with an organization's.
    pub organization_id: Option<Uuid>,
}

impl CustomerCreate {
    /// Reads a body; `None` after adding errors.
    ///
    /// An `owner` is checked, and then forgotten: Floe has no members.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let kind = kind_of_create(fields, errors)?;
        let loc = Loc::BODY.key(kind.as_str());
        let fields = fields.at(&loc);
        let before = errors.len();
        let metadata = fields.present("metadata", errors, parse_metadata);
        let external_id = fields.optional("external_id", errors, trimmed).flatten();
        let name = fields.optional("name", errors, name).flatten();
        let billing_address = fields.optional("billing_address", errors, address);
        let tax_id = fields.optional("tax_id", errors, trimmed).flatten();
        let locale = fields.optional("locale", errors, locale);
        let organization_id = fields.optional("organization_id", errors, scalar::uuid4);
        let owner = fields.optional("owner", errors, owner);
        let email = match kind {
            CustomerKind::Individual => fields.required("email", errors, email),
            CustomerKind::Team => fields.optional("email", errors, email),
        };
        if errors.len() > before {
            return None;
        }
        if email.is_none() && owner.is_none() {
            let message = "An owner with an email address is required when creating a team \
                           customer without an email.";
            fields.refuse(errors::value_error(message), errors);
            return None;
        }
        Some(Self {
            kind,
            email,
            external_id,
            name,
            billing_address,
            tax_id,
            locale,
            metadata: metadata.unwrap_or_default(),
            organization_id,
        })
    }

    /// Adds the errors of the business rules. The closures tell whether a live customer of the
    /// organization has the e-mail address (whatever the case) or the external id (exactly).
    pub fn check(
        &self,
        email_is_taken: impl FnOnce(&str) -> bool,
        external_id_is_taken: impl FnOnce(&str) -> bool,
        errors: &mut Errors,
    ) {
        if let Some(email) = self.email.as_deref().filter(|email| email_is_taken(email)) {
            CustomerRefusal::EmailTaken(email).push(errors);
        }
        if let Some(id) = self.external_id.as_deref().filter(|id| external_id_is_taken(id)) {
            CustomerRefusal::ExternalIdTaken(id).push(errors);
        }
        if let Some(tax_id) = &self.tax_id {
            CustomerRefusal::TaxIdInvalid(tax_id).push(errors);
        }
    }
}

/// The discriminator: `individual` if absent.
fn kind_of_create(fields: Fields<'_, '_, '_>, errors: &mut Errors) -> Option<CustomerKind> {
    let Some(tag) = fields.get("type") else { return Some(CustomerKind::Individual) };
    let found = CustomerKind::ALL.into_iter().find(|(name, _)| tag.as_str() == Some(name));
    if let Some((_, kind)) = found {
        return Some(kind);
    }
    let tag = match tag {
        Json::Str(text) => text.to_string(),
        Json::Null => "None".to_owned(),
        Json::Int(value) => value.to_string(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        _ => String::new(),
    };
    let names = CustomerKind::ALL.map(|(name, _)| name);
    fields.refuse(errors::union_tag_invalid("type", &tag, names), errors);
    None
}

/// A name without the white space around it; `None` if it is blank.
fn name(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Option<String>> {
    scalar::sized_string(json, loc, errors, 0, CUSTOMER_NAME_CHARS_MAX).map(non_blank)
}

/// The member of a team that owns it; what it is does not matter here.
fn owner(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<()> {
    let fields = Fields::of(json, loc, errors)?;
    let before = errors.len();
    fields.required("email", errors, email);
    fields.optional("name", errors, name);
    fields.optional("external_id", errors, trimmed);
    unless_refused((), before, errors)
}

/// What customers are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerSort {
    /// When they were made.
    CreatedAt,
    /// Their e-mail addresses.
    Email,
    /// Their names.
    Name,
}

/// Parameters of GET `/v1/customers/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomersListParams {
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// The whole e-mail address, whatever the case.
    pub email: Option<String>,
    /// Part of the e-mail address or the name, whatever the case, or the beginning of the external
    /// id.
    pub query: Option<String>,
    /// Whether they have a subscription: nobody has.
    pub active: Option<bool>,
    /// Conditions on the customer's own metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(CustomerSort, Direction)>,
}

impl CustomersListParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [
            ("created_at", CustomerSort::CreatedAt),
            ("email", CustomerSort::Email),
            ("name", CustomerSort::Name),
        ];
        let default = [(CustomerSort::CreatedAt, Direction::Descending)];
        let params = Self {
            organization_ids: crate::meter::organization_ids(query, errors),
            email: query.last("email").map(str::to_owned),
            query: query.last("query").map(str::to_owned),
            active: query.optional("active", errors, scalar::boolean),
            metadata: metadata_conditions(query),
            paging: query.paging(errors),
            sorting: query.sorting(&options, &default, errors),
        };
        unless_refused(params, before, errors)
    }
}

/// Parameters of DELETE `/v1/customers/{id}` and `/v1/customers/external/{external_id}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct DeleteParams {
    /// Whether to replace e-mail address and name by hashes and to clear the address.
    #[cfg_attr(feature = "openapi", param(required = false, default = false))]
    pub anonymize: bool,
}

impl DeleteParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let anonymize = query.optional("anonymize", errors, scalar::boolean).unwrap_or(false);
        unless_refused(Self { anonymize }, before, errors)
    }
}

/// What kind of customer it is, for documentation.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum CustomerType {
    /// A person.
    Individual,
    /// A group of people.
    Team,
}

fn kind<S: Serializer>(kind: &CustomerKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Customer {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: WireTimestamp,
    /// When it was last changed, if ever.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// The caller's own data.
    #[serde(serialize_with = "crate::metadata::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::MetadataOutput))]
    pub metadata: Metadata<'static>,
    /// The caller's identifier.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub external_id: Option<String>,
    /// The e-mail address; an individual has one.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub email: Option<String>,
    /// False: nobody verifies addresses.
    pub email_verified: bool,
    /// What kind it is.
    #[serde(rename = "type", serialize_with = "kind")]
    #[cfg_attr(feature = "openapi", schema(value_type = CustomerType))]
    pub kind: CustomerKind,
    /// The name.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub name: Option<String>,
    /// The name on invoices: the same.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub billing_name: Option<String>,
    /// Where to send invoices.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub billing_address: Option<Address>,
    /// Null.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub tax_id: Option<[String; 2]>,
    /// BCP 47 tag.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub locale: Option<String>,
    /// Whose customer it is.
    pub organization_id: Uuid,
    /// Null.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub default_payment_method_id: Option<Uuid>,
    /// When it was deleted; then it is seen in events only.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub deleted_at: Option<WireTimestamp>,
    /// The earliest timestamp of its user events; may precede `created_at`.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub first_user_event_at: Option<WireTimestamp>,
    /// A picture that may exist; null without an e-mail address.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub avatar_url: Option<String>,
}

impl Customer {
    /// A customer, and the earliest timestamp of its user events.
    #[must_use]
    pub fn new(customer: &floe_core::Customer, first_user_event_at: Option<Timestamp>) -> Self {
        Self {
            id: customer.id.0,
            created_at: customer.created_at.into(),
            modified_at: customer.modified_at.map(Into::into),
            metadata: customer.metadata.clone(),
            external_id: customer.external_id.clone(),
            email: customer.email.clone(),
            email_verified: false,
            kind: customer.kind,
            name: customer.name.clone(),
            billing_name: customer.name.clone(),
            billing_address: customer.billing_address.as_ref().map(Address::from),
            tax_id: None,
            locale: customer.locale.clone(),
            organization_id: customer.organization_id.0,
            default_payment_method_id: None,
            deleted_at: customer.deleted_at.map(Into::into),
            first_user_event_at: first_user_event_at.map(Into::into),
            avatar_url: customer.email.as_deref().map(avatar_url),
        }
    }
}

fn avatar_url(email: &str) -> String {
    let hash = Sha256::digest(email.to_lowercase());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("https://www.gravatar.com/avatar/{hex}?d=404")
}

/// A customer with its meters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerState {
    /// The customer.
    #[serde(flatten)]
    pub customer: Customer,
    /// Empty: there are no subscriptions.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub active_subscriptions: [(); 0],
    /// Empty: there are no benefits.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub granted_benefits: [(); 0],
    /// All customer meters of the customer, in the order in which they were made.
    pub active_meters: Vec<CustomerStateMeter>,
}

impl CustomerState {
    /// The state of a customer with these meters.
    #[must_use]
    pub fn new(customer: Customer, active_meters: Vec<CustomerStateMeter>) -> Self {
        Self { customer, active_subscriptions: [], granted_benefits: [], active_meters }
    }
}

/// The parameters of GET `/v1/customers/`, for documentation; without paging and
/// `metadata[key]=value`.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CustomersListQuery {
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// The whole e-mail address, whatever the case.
    pub email: Option<String>,
    /// Part of the e-mail address or the name, whatever the case, or the beginning of the external
    /// id.
    pub query: Option<String>,
    /// Whether they have a subscription: nobody has.
    pub active: Option<bool>,
    /// `created_at`, `email` or `name`, with `-` in front to descend; may repeat.
    #[param(default = json!(["-created_at"]))]
    pub sorting: Option<Vec<String>>,
}
