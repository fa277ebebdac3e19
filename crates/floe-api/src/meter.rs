//! Meters on the wire: filters, aggregations, requests and answers (contract sections 2 and 3).

mod aggregation;
mod filter;

use floe_core::limits::METER_NAME_CHARS_MIN;
use floe_core::{Metadata, MetadataCondition, MeterId, MeterUnit, OrganizationId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

pub use self::aggregation::{
    WireAggregation, aggregation_from_json_text, aggregation_to_json_text, parse_aggregation,
};
pub use self::filter::{
    WireFilter, filter_from_json_text, filter_parameter, filter_to_json_text, parse_filter,
};
use crate::errors::{self, ErrorClass, Errors, Loc, ValidationFailure, Violation};
use crate::fields::{Fields, text, unless_refused};
use crate::json::{self, Json};
use crate::metadata::{metadata_conditions, parse_metadata};
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar::{self, IntBounds};
use crate::serialize::{display, optional_display};

/// Adds the refusal of an `organization_id` in a body whose object stands at `loc`, when the
/// caller is an organization (contract section 1.14). A business error.
pub fn organization_token_error(loc: &Loc<'_>, organization_id: Uuid, errors: &mut Errors) {
    let violation = Violation::plain(
        "organization_token",
        "Setting organization_id is disallowed when using an organization token.",
    );
    let input = Json::Str(organization_id.to_string().into());
    errors.push(&loc.key("organization_id"), violation, &input);
}

/// A meter to create.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeterCreate {
    /// At least 3 characters; need not be unique.
    #[cfg_attr(feature = "openapi", schema(min_length = 3))]
    pub name: String,
    /// What its quantity is a number of.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = crate::schema::MeterUnit, required = false, default = "scalar")
    )]
    pub unit: MeterUnit,
    /// What a custom unit is called: needed if the unit is `custom`, else not allowed.
    pub custom_label: Option<String>,
    /// What a custom unit multiplies by, for display.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub custom_multiplier: Option<i64>,
    /// Which events it counts.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Filter))]
    pub filter: floe_core::Filter,
    /// What it computes from them.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Aggregation))]
    pub aggregation: floe_core::Aggregation,
    /// The caller's own data.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = crate::schema::MetadataInput, required = false)
    )]
    pub metadata: Metadata<'static>,
    /// Whose meter it is: needed with the root token, not allowed with an organization's.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "uuid"))]
    pub organization_id: Option<Uuid>,
}

impl MeterCreate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let metadata = fields.present("metadata", errors, parse_metadata);
        let name = fields.required("name", errors, name);
        let unit = fields.present("unit", errors, unit);
        let custom_label = fields.optional("custom_label", errors, text);
        let custom_multiplier = fields.optional("custom_multiplier", errors, multiplier);
        let filter = fields.required("filter", errors, parse_filter);
        let aggregation = fields.required("aggregation", errors, parse_aggregation);
        let organization_id = fields.optional("organization_id", errors, scalar::uuid4);
        if errors.len() > before {
            return None;
        }
        let meter = Self {
            name: name?,
            unit: unit.unwrap_or(MeterUnit::Scalar),
            custom_label,
            custom_multiplier,
            filter: filter?,
            aggregation: aggregation?,
            metadata: metadata.unwrap_or_default(),
            organization_id,
        };
        let conflict = match (meter.unit, &meter.custom_label) {
            (MeterUnit::Custom, None) => "custom_label is required when unit is 'custom'.",
            (MeterUnit::Scalar | MeterUnit::Token, Some(_)) => {
                "custom_label and custom_multiplier are only allowed when unit is 'custom'."
            }
            _ => return Some(meter),
        };
        fields.refuse(errors::value_error(conflict), errors);
        None
    }
}

/// Changes of a meter: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeterUpdate {
    /// At least 3 characters; null counts as absent.
    #[cfg_attr(feature = "openapi", schema(min_length = 3))]
    pub name: Option<String>,
    /// What its quantity is a number of; null counts as absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::MeterUnit>))]
    pub unit: Option<MeterUnit>,
    /// What a custom unit is called; null clears it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub custom_label: Option<Option<String>>,
    /// What a custom unit multiplies by, for display; null clears it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 1))]
    pub custom_multiplier: Option<Option<i64>>,
    /// Replaces all of it; null is refused.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = crate::schema::MetadataInput, required = false)
    )]
    pub metadata: Option<Metadata<'static>>,
    /// Refused once the meter counted an event; null counts as absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Filter>))]
    pub filter: Option<floe_core::Filter>,
    /// Refused once the meter counted an event; null counts as absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Aggregation>))]
    pub aggregation: Option<floe_core::Aggregation>,
    /// Whether to archive or to unarchive; null counts as absent.
    pub is_archived: Option<bool>,
}

impl MeterUpdate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let update = Self {
            metadata: fields.present("metadata", errors, parse_metadata),
            name: fields.optional("name", errors, name),
            unit: fields.optional("unit", errors, unit),
            custom_label: fields.nullable("custom_label", errors, text),
            custom_multiplier: fields.nullable("custom_multiplier", errors, multiplier),
            filter: fields.optional("filter", errors, parse_filter),
            aggregation: fields.optional("aggregation", errors, parse_aggregation),
            is_archived: fields.optional("is_archived", errors, scalar::boolean),
        };
        unless_refused(update, before, errors)
    }

    /// Whether nothing is to be written, so that not even `modified_at` changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What to answer if the meter already aggregates events; `None` if the update leaves filter
    /// and aggregation alone (contract section 3.4).
    #[must_use]
    pub fn locked_error(&self) -> Option<ValidationFailure> {
        let filter = self.filter.as_ref().map(|filter| ("filter", filter_to_json_text(filter)));
        let aggregation = self
            .aggregation
            .as_ref()
            .map(|aggregation| ("aggregation", aggregation_to_json_text(aggregation)));
        let mut errors = Errors::new();
        for (key, text) in filter.into_iter().chain(aggregation) {
            let violation = Violation::plain(
                "forbidden",
                "This field can't be updated because the meter is already aggregating events.",
            );
            let input = json::parse(text.as_bytes()).unwrap_or(Json::Null);
            errors.push(&Loc::BODY.key(key), violation, &input);
        }
        errors.into_result(ErrorClass::PolarRequestValidationError).err()
    }
}

fn name(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    scalar::sized_string(json, loc, errors, METER_NAME_CHARS_MIN, usize::MAX).map(str::to_owned)
}

fn unit(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<MeterUnit> {
    scalar::enum_value(json, loc, errors, &MeterUnit::ALL)
}

fn multiplier(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<i64> {
    let bounds = IntBounds { gt: Some(0), le: Some(i64::MAX), ..IntBounds::default() };
    scalar::int_within(json, loc, errors, bounds)
}

/// A meter: which events count, and what is computed from them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meter {
    /// The caller's own data.
    #[serde(serialize_with = "crate::metadata::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::MetadataOutput))]
    pub metadata: Metadata<'static>,
    /// When it was made.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    #[serde(serialize_with = "optional_display")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, required = true)
    )]
    pub modified_at: Option<Timestamp>,
    /// Its id.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub id: MeterId,
    /// At least 3 characters; not unique.
    pub name: String,
    /// What its quantity is a number of.
    #[serde(serialize_with = "crate::serialize::unit")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::MeterUnit))]
    pub unit: MeterUnit,
    /// What a custom unit is called.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub custom_label: Option<String>,
    /// What a custom unit multiplies by, for display.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub custom_multiplier: Option<i64>,
    /// Which events it counts.
    #[serde(serialize_with = "filter::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Filter))]
    pub filter: floe_core::Filter,
    /// What it computes from them.
    #[serde(serialize_with = "aggregation::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Aggregation))]
    pub aggregation: floe_core::Aggregation,
    /// Its organization.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub organization_id: OrganizationId,
    /// When it was archived, if it is.
    #[serde(serialize_with = "optional_display")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, required = true)
    )]
    pub archived_at: Option<Timestamp>,
}

impl From<&floe_core::Meter> for Meter {
    fn from(meter: &floe_core::Meter) -> Self {
        Self {
            metadata: meter.metadata.clone(),
            created_at: meter.created_at,
            modified_at: meter.modified_at,
            id: meter.id,
            name: meter.name.clone(),
            unit: meter.unit,
            custom_label: meter.custom_label.clone(),
            custom_multiplier: meter.custom_multiplier,
            filter: meter.filter.clone(),
            aggregation: meter.aggregation.clone(),
            organization_id: meter.organization_id,
            archived_at: meter.archived_at,
        }
    }
}

/// What a list of meters is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeterSort {
    /// When they were made.
    CreatedAt,
    /// Their names.
    Name,
}

/// Parameters of `GET /v1/meters/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetersListParams {
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// Part of the name, whatever the case; no wildcards (S15).
    pub query: Option<String>,
    /// Only those that are archived, or only those that are not.
    pub is_archived: Option<bool>,
    /// Conditions on the meter's own metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(MeterSort, Direction)>,
}

impl MetersListParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [("created_at", MeterSort::CreatedAt), ("name", MeterSort::Name)];
        let params = Self {
            organization_ids: organization_ids(query, errors),
            query: query.last("query").map(str::to_owned),
            is_archived: query.optional("is_archived", errors, scalar::boolean),
            metadata: metadata_conditions(query),
            paging: query.paging(errors),
            sorting: query.sorting(&options, &[(MeterSort::Name, Direction::Ascending)], errors),
        };
        unless_refused(params, before, errors)
    }
}

/// The parameter `organization_id` of lists.
pub(crate) fn organization_ids(
    query: &QueryParams,
    errors: &mut Errors,
) -> Option<Vec<OrganizationId>> {
    let ids = query.uuids("organization_id", errors)?;
    Some(ids.into_iter().map(OrganizationId).collect())
}

#[cfg(test)]
mod tests;
