//! Updates of customers, and the business rules that bodies can break (contract sections 5.1 and
//! 5.4).

use floe_core::{CustomerKind, Metadata};

use super::address::address;
use super::email::email;
use super::locale::locale;
use super::name;
use crate::errors::{Errors, Loc, Violation};
use crate::fields::{Fields, trimmed, unless_refused};
use crate::json::Json;
use crate::metadata::parse_metadata;
use crate::scalar;

/// Changes of a customer: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerUpdate {
    /// The e-mail address; null counts as absent.
    #[cfg_attr(feature = "openapi", schema(format = "email"))]
    pub email: Option<String>,
    /// Trimmed, null if blank; null clears it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 256))]
    pub name: Option<Option<String>>,
    /// Where to send invoices; null is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::AddressInput>))]
    pub billing_address: Option<Option<floe_core::Address>>,
    /// Not supported: null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub tax_id: Option<Option<String>>,
    /// BCP 47 tag; null clears it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "fr-CA"))]
    pub locale: Option<Option<String>>,
    /// Replaces all of it; null is refused.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = crate::schema::MetadataInput, required = false)
    )]
    pub metadata: Option<Metadata<'static>>,
    /// The caller's identifier, which can be set once; only where the customer is named by its id.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub external_id: Option<Option<String>>,
    /// `team` makes a team of an individual; null is `individual`. Only where the customer is named
    /// by its id.
    #[cfg_attr(
        feature = "openapi",
        schema(rename = "type", value_type = Option<super::CustomerType>)
    )]
    pub kind: Option<Option<CustomerKind>>,
}

impl CustomerUpdate {
    /// Reads a body of PATCH `/v1/customers/{id}`; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let update = Self::common(fields, errors);
        let external_id = fields.nullable("external_id", errors, trimmed);
        let kind = fields.nullable("type", errors, |json, loc, errors| {
            scalar::enum_value(json, loc, errors, &CustomerKind::ALL)
        });
        let update = Self { external_id: external_id.map(Option::flatten), kind, ..update };
        unless_refused(update, before, errors)
    }

    /// Reads a body of PATCH `/v1/customers/external/{external_id}`; `None` after adding errors.
    pub fn parse_by_external_id(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let update = Self::common(fields, errors);
        unless_refused(update, before, errors)
    }

    fn common(fields: Fields<'_, '_, '_>, errors: &mut Errors) -> Self {
        Self {
            metadata: fields.present("metadata", errors, parse_metadata),
            email: fields.optional("email", errors, email),
            name: fields.nullable("name", errors, name).map(Option::flatten),
            billing_address: fields.nullable("billing_address", errors, address),
            tax_id: fields.nullable("tax_id", errors, trimmed).map(Option::flatten),
            locale: fields.nullable("locale", errors, locale),
            external_id: None,
            kind: None,
        }
    }

    /// Whether no field is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the errors of the business rules for `customer` as it is (contract section 5.4). The
    /// closures tell whether another live customer of the organization has the e-mail address
    /// (whatever the case) or the external id (exactly).
    pub fn check(
        &self,
        customer: &floe_core::Customer,
        email_is_taken: impl FnOnce(&str) -> bool,
        external_id_is_taken: impl FnOnce(&str) -> bool,
        errors: &mut Errors,
    ) {
        if let Some(email) = self.email.as_deref().filter(|email| email_is_taken(email)) {
            CustomerRefusal::EmailTaken(email).push(errors);
        }
        if self.billing_address == Some(None) {
            CustomerRefusal::BillingAddressReset.push(errors);
        }
        if let Some(Some(tax_id)) = &self.tax_id {
            CustomerRefusal::TaxIdInvalid(tax_id).push(errors);
        }
        match (&self.external_id, &customer.external_id) {
            (Some(new), old) if new == old => {}
            (Some(new), Some(_)) => {
                CustomerRefusal::ExternalIdFixed(new.as_deref()).push(errors);
            }
            (Some(Some(new)), None) if external_id_is_taken(new) => {
                CustomerRefusal::ExternalIdTaken(new).push(errors);
            }
            _ => {}
        }
        if let Some(kind) = self.kind
            && customer.kind == CustomerKind::Team
            && kind != Some(CustomerKind::Team)
        {
            CustomerRefusal::TeamDowngraded(kind).push(errors);
        }
    }

    /// Writes what is present into `customer`, after [`check`](Self::check) found nothing wrong;
    /// `modified_at` is the caller's.
    pub fn apply(self, customer: &mut floe_core::Customer) {
        let Self { email, name, billing_address, tax_id: _, locale, metadata, external_id, kind } =
            self;
        if email.is_some() {
            customer.email = email;
        }
        if let Some(name) = name {
            customer.name = name;
        }
        if let Some(address) = billing_address {
            customer.billing_address = address;
        }
        if let Some(locale) = locale {
            customer.locale = locale;
        }
        if let Some(metadata) = metadata {
            customer.metadata = metadata;
        }
        if let Some(external_id) = external_id {
            customer.external_id = external_id;
        }
        if let Some(kind) = kind {
            customer.kind = kind.unwrap_or(CustomerKind::Individual);
        }
    }
}

/// A business rule on customers that a body breaks, with the value that breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerRefusal<'v> {
    /// Another live customer has the e-mail address.
    EmailTaken(&'v str),
    /// Another live customer has the external id.
    ExternalIdTaken(&'v str),
    /// The customer has another external id already.
    ExternalIdFixed(Option<&'v str>),
    /// A billing address cannot be taken away.
    BillingAddressReset,
    /// Floe has no tax ids.
    TaxIdInvalid(&'v str),
    /// A team stays one.
    TeamDowngraded(Option<CustomerKind>),
}

impl CustomerRefusal<'_> {
    /// Adds the error.
    pub fn push(self, errors: &mut Errors) {
        let (field, kind, message, input) = match self {
            Self::EmailTaken(email) => (
                "email",
                "value_error",
                "A customer with this email address already exists.",
                Some(email),
            ),
            Self::ExternalIdTaken(id) => (
                "external_id",
                "value_error",
                "A customer with this external ID already exists.",
                Some(id),
            ),
            Self::ExternalIdFixed(id) => {
                ("external_id", "value_error", "Customer external ID cannot be updated.", id)
            }
            Self::BillingAddressReset => (
                "billing_address",
                "value_error",
                "Customer billing address cannot be reset to null once set.",
                None,
            ),
            Self::TaxIdInvalid(tax_id) => ("tax_id", "invalid", "Invalid tax ID.", Some(tax_id)),
            Self::TeamDowngraded(kind) => (
                "type",
                "value_error",
                "Customer type cannot be downgraded from 'team' to 'individual'.",
                kind.map(CustomerKind::as_str),
            ),
        };
        let input = input.map_or(Json::Null, |text| Json::Str(text.into()));
        errors.push(&Loc::BODY.key(field), Violation::plain(kind, message), &input);
    }
}
