//! Customer meters, credits and resets (contract sections 5.6 to 5.8, semantics section 12).

use floe_core::limits::CREDIT_UNITS_MAX;
use floe_core::{
    CustomerId, CustomerMeterId, CustomerMeterUnits, MeterId, OrganizationId, Timestamp,
};
use serde::Serialize;
use uuid::Uuid;

use crate::customer::Customer;
use crate::errors::{self, Errors, Loc};
use crate::fields::{Fields, text, unless_refused};
use crate::json::Json;
use crate::meter::{Meter, organization_ids};
use crate::quantity::customer_ids;
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar::{self, IntBounds};
use crate::wire::WireTimestamp;

/// What customer meters are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerMeterSort {
    /// The later creation of customer and meter.
    CreatedAt,
    /// The newest event of theirs; never is null.
    ModifiedAt,
    /// The customer's id.
    CustomerId,
    /// The customer's name.
    CustomerName,
    /// The meter's id.
    MeterId,
    /// The meter's name.
    MeterName,
    /// What was used.
    ConsumedUnits,
    /// What was credited.
    CreditedUnits,
    /// What is left.
    Balance,
}

/// Parameters of GET `/v1/customer-meters/`; those that are given must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerMetersListParams {
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// Any of these customers.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Any of the customers with these external ids.
    pub external_customer_ids: Option<Vec<String>>,
    /// Any of these meters; archived ones are hidden unless this is given.
    pub meter_ids: Option<Vec<MeterId>>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(CustomerMeterSort, Direction)>,
}

impl CustomerMetersListParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [
            ("created_at", CustomerMeterSort::CreatedAt),
            ("modified_at", CustomerMeterSort::ModifiedAt),
            ("customer_id", CustomerMeterSort::CustomerId),
            ("customer_name", CustomerMeterSort::CustomerName),
            ("meter_id", CustomerMeterSort::MeterId),
            ("meter_name", CustomerMeterSort::MeterName),
            ("consumed_units", CustomerMeterSort::ConsumedUnits),
            ("credited_units", CustomerMeterSort::CreditedUnits),
            ("balance", CustomerMeterSort::Balance),
        ];
        let default = [(CustomerMeterSort::ModifiedAt, Direction::Descending)];
        let params = Self {
            organization_ids: organization_ids(query, errors),
            customer_ids: customer_ids(query, errors),
            external_customer_ids: query.strings("external_customer_id"),
            meter_ids: meter_ids(query, errors),
            paging: query.paging(errors),
            sorting: query.sorting(&options, &default, errors),
        };
        unless_refused(params, before, errors)
    }
}

fn meter_ids(query: &QueryParams, errors: &mut Errors) -> Option<Vec<MeterId>> {
    Some(query.uuids("meter_id", errors)?.into_iter().map(MeterId).collect())
}

/// The parameters of GET `/v1/customer-meters/`, for documentation; paging apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CustomerMetersListQuery {
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// Any of these customers; may repeat.
    pub customer_id: Option<Vec<Uuid>>,
    /// Any of the customers with these external ids; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Any of these meters; archived ones are hidden unless this is given. May repeat.
    pub meter_id: Option<Vec<Uuid>>,
    /// `created_at`, `modified_at`, `customer_id`, `customer_name`, `meter_id`, `meter_name`,
    /// `consumed_units`, `credited_units` or `balance`, with `-` in front to descend; may repeat.
    #[param(default = json!(["-modified_at"]))]
    pub sorting: Option<Vec<String>>,
}

/// What one customer used and was credited on one meter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerMeter {
    /// Its id.
    pub id: Uuid,
    /// The later creation of customer and meter.
    pub created_at: WireTimestamp,
    /// When the newest of its events was ingested, if there is one.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// The customer's id.
    pub customer_id: Uuid,
    /// The meter's id.
    pub meter_id: Uuid,
    /// What was used since the last reset.
    pub consumed_units: f64,
    /// What was credited since the last reset.
    pub credited_units: i64,
    /// Credited less consumed; may be negative.
    pub balance: f64,
    /// The customer.
    pub customer: Customer,
    /// The meter.
    pub meter: Meter,
}

impl CustomerMeter {
    /// The customer meter of `customer` and `meter`.
    #[must_use]
    pub fn new(
        id: CustomerMeterId,
        modified_at: Option<Timestamp>,
        units: CustomerMeterUnits,
        customer: Customer,
        meter: &floe_core::Meter,
    ) -> Self {
        let CustomerMeterUnits { consumed, credited, balance } = units;
        Self {
            id: id.0,
            created_at: customer.created_at.max(meter.created_at.into()),
            modified_at: modified_at.map(Into::into),
            customer_id: customer.id,
            meter_id: meter.id.0,
            consumed_units: consumed,
            credited_units: credited,
            balance,
            customer,
            meter: Meter::from(meter),
        }
    }
}

/// A meter in the state of a customer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerStateMeter {
    /// The id of the customer meter.
    pub id: Uuid,
    /// The later creation of customer and meter.
    pub created_at: WireTimestamp,
    /// When the newest of its events was ingested, if there is one.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// The meter's id.
    pub meter_id: Uuid,
    /// What was used since the last reset.
    pub consumed_units: f64,
    /// What was credited since the last reset.
    pub credited_units: i64,
    /// Credited less consumed; may be negative.
    pub balance: f64,
}

impl CustomerStateMeter {
    /// The customer meter of `customer` and `meter`.
    #[must_use]
    pub fn new(
        id: CustomerMeterId,
        modified_at: Option<Timestamp>,
        units: CustomerMeterUnits,
        customer: &floe_core::Customer,
        meter: &floe_core::Meter,
    ) -> Self {
        let CustomerMeterUnits { consumed, credited, balance } = units;
        Self {
            id: id.0,
            created_at: customer.created_at.max(meter.created_at).into(),
            modified_at: modified_at.map(Into::into),
            meter_id: meter.id.0,
            consumed_units: consumed,
            credited_units: credited,
            balance,
        }
    }
}

/// Units to credit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreditCreate {
    /// Units to credit, not 0; negative ones revoke.
    #[cfg_attr(feature = "openapi", schema(minimum = -2147483647, maximum = 2147483647))]
    pub units: i64,
    /// Whether what is left of them survives a reset.
    #[cfg_attr(feature = "openapi", schema(required = false, default = false))]
    pub rollover: bool,
    /// The caller's identifier: the same credit twice counts once.
    pub external_id: Option<String>,
}

impl CreditCreate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let units = fields.required("units", errors, units);
        let rollover = fields.present("rollover", errors, scalar::boolean).unwrap_or(false);
        let external_id = fields.optional("external_id", errors, text);
        unless_refused(Self { units: units?, rollover, external_id }, before, errors)
    }
}

fn units(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<i64> {
    let bounds = IntBounds { ge: Some(-CREDIT_UNITS_MAX), le: Some(CREDIT_UNITS_MAX), gt: None };
    let units = scalar::int_within(json, loc, errors, bounds)?;
    if units == 0 {
        errors.push(loc, errors::value_error("Units must not be zero."), json);
        return None;
    }
    Some(units)
}

/// An object; nothing in it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResetCreate {}

impl ResetCreate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        Fields::of_body(body, errors).map(|_| Self {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::{any_body, check_errors, json_text, read};
    use crate::json::parse;
    use proptest::prelude::*;

    #[test]
    fn lists_sort_by_all_their_columns() {
        let mut errors = Errors::new();
        let params = CustomerMetersListParams::parse(&QueryParams::parse(""), &mut errors).unwrap();
        assert_eq!(params.sorting, [(CustomerMeterSort::ModifiedAt, Direction::Descending)]);
        let names = "created_at modified_at customer_id customer_name meter_id meter_name \
                     consumed_units credited_units balance";
        let query: Vec<String> =
            names.split(' ').map(|name| format!("sorting={name}&sorting=-{name}")).collect();
        let query = QueryParams::parse(&query.join("&"));
        let params = CustomerMetersListParams::parse(&query, &mut errors).unwrap();
        assert_eq!(params.sorting.len(), 18);
    }

    #[test]
    fn wrong_parameters_are_all_told() {
        let query = QueryParams::parse(
            "customer_id=x&meter_id=a8ea8fc6-0a41-1545-90b9-11be3a6eaaac&limit=0&sorting=name\
             &external_customer_id=a,b",
        );
        let mut errors = Errors::new();
        assert_eq!(CustomerMetersListParams::parse(&query, &mut errors), None);
        let kinds: Vec<_> = errors.items().iter().map(|item| item.violation().kind()).collect();
        assert_eq!(kinds, ["uuid_parsing", "uuid_version", "greater_than", "enum"]);
    }

    #[test]
    fn a_credit_has_units() {
        let check = |body: &str, units, rollover, external_id: Option<&str>| {
            let external_id = external_id.map(str::to_owned);
            let credit = Some(CreditCreate { units, rollover, external_id });
            assert_eq!(read(body, CreditCreate::parse).0, credit, "{body}");
        };
        check(r#"{"units":5}"#, 5, false, None);
        check(r#"{"units":-5.0,"rollover":1,"external_id":null,"x":0}"#, -5, true, None);
        check(r#"{"units":"2147483647","external_id":"a"}"#, i32::MAX.into(), false, Some("a"));
    }

    #[test]
    fn wrong_credits_are_refused() {
        let check = |body: &str, expected: &str| {
            check_errors(body, CreditCreate::parse, expected);
        };
        check("{}", r#"missing ["body","units"]"#);
        check(r#"{"units":0}"#, r#"value_error ["body","units"]"#);
        check(r#"{"units":2147483648}"#, r#"less_than_equal ["body","units"]"#);
        check(r#"{"units":-2147483648}"#, r#"greater_than_equal ["body","units"]"#);
        check(
            r#"{"units":1.5,"rollover":null,"external_id":7}"#,
            r#"int_from_float ["body","units"]; bool_type ["body","rollover"]; string_type ["body","external_id"]"#,
        );
        check(r#"{"units":1,"external_id":"a\u0000"}"#, r#"value_error ["body","external_id"]"#);
        let mut errors = Errors::new();
        CreditCreate::parse(&parse(br#"{"units":0}"#).unwrap(), &mut errors);
        assert_eq!(
            json_text(&errors),
            r#"[{"type":"value_error","loc":["body","units"],"msg":"Value error, Units must not be zero.","input":0,"ctx":{"error":{}}}]"#
        );
    }

    #[test]
    fn a_reset_is_an_object() {
        assert_eq!(read("{}", ResetCreate::parse).0, Some(ResetCreate {}));
        assert_eq!(read(r#"{"x":1}"#, ResetCreate::parse).0, Some(ResetCreate {}));
        check_errors("[]", ResetCreate::parse, r#"model_attributes_type ["body"]"#);
        check_errors("null", ResetCreate::parse, r#"missing ["body"]"#);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in any_body(&["units", "rollover", "external_id"])) {
            read(&body, CreditCreate::parse);
        }
    }
}
