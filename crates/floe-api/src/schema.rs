//! Types that exist only to document the wire in OpenAPI, where the real ones are read or written
//! by hand. Their names and fields are Polar's.
#![expect(missing_docs, reason = "the wire's own names, described in the contract")]

use std::collections::HashMap;

use serde::Serialize;
use utoipa::openapi::schema::{Array, Object, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A value of metadata: a text of 1 to 500 characters, a number or a boolean.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum MetadataValue {
    #[schema(title = "string")]
    Text(String),
    #[schema(title = "integer")]
    Integer(i64),
    #[schema(title = "number")]
    Number(f64),
    #[schema(title = "boolean")]
    Boolean(bool),
}

/// At most 50 keys of 1 to 40 characters.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataInput(pub HashMap<String, MetadataValue>);

/// The caller's own data.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataOutput(pub HashMap<String, MetadataValue>);

/// What a meter's quantity is a number of.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MeterUnit {
    Scalar,
    Token,
    Custom,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FilterConjunction {
    And,
    Or,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterOperator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    Like,
    NotLike,
}

/// A text of at most 1000 characters, an integer of 32 bits or a boolean.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FilterClauseValue {
    #[schema(title = "string")]
    Text(String),
    #[schema(title = "integer")]
    Integer(i32),
    #[schema(title = "boolean")]
    Boolean(bool),
}

/// A comparison of one property.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilterClause {
    /// `name`, `source`, `timestamp`, or a path of metadata keys joined by dots.
    pub property: String,
    pub operator: FilterOperator,
    pub value: FilterClauseValue,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FilterMember {
    Clause(FilterClause),
    #[schema(no_recursion)]
    Filter(Box<Filter>),
}

/// Clauses that must all hold, or of which one must; no clause is true. At most 64 levels.
#[derive(Debug, Serialize, ToSchema)]
pub struct Filter {
    pub conjunction: FilterConjunction,
    pub clauses: Vec<FilterMember>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CountFunction {
    Count,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PropertyFunction {
    Sum,
    Max,
    Min,
    Avg,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UniqueFunction {
    Unique,
}

/// The number of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountAggregation {
    pub func: CountFunction,
}

/// A function of the numbers of a property.
#[derive(Debug, Serialize, ToSchema)]
pub struct PropertyAggregation {
    pub func: PropertyFunction,
    pub property: String,
}

/// The number of distinct values of a property.
#[derive(Debug, Serialize, ToSchema)]
pub struct UniqueAggregation {
    pub func: UniqueFunction,
    pub property: String,
}

/// What a meter computes from its events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Aggregation {
    Count(CountAggregation),
    Property(PropertyAggregation),
    Unique(UniqueAggregation),
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventSource {
    System,
    User,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CostAmount {
    #[schema(title = "number")]
    Number(f64),
    #[schema(title = "string")]
    Text(String),
}

/// What the usage cost: at most 5 digits before the point and 12 behind it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CostMetadataInput {
    pub amount: CostAmount,
    #[schema(pattern = "^usd$")]
    pub currency: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CostMetadataOutput {
    /// A decimal number.
    pub amount: String,
    pub currency: String,
}

/// What a language model was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct LLMMetadataInput {
    pub vendor: String,
    pub model: String,
    pub prompt: Option<String>,
    pub response: Option<String>,
    pub input_tokens: i64,
    /// Not null.
    #[schema(required = false)]
    pub cached_input_tokens: i64,
    pub output_tokens: i64,
    pub total_tokens: i64,
}

/// What a language model was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct LLMMetadata {
    pub vendor: String,
    pub model: String,
    #[schema(required = true)]
    pub prompt: Option<String>,
    #[schema(required = true)]
    pub response: Option<String>,
    pub input_tokens: i64,
    /// Absent unless it was sent.
    #[schema(required = false)]
    pub cached_input_tokens: i64,
    pub output_tokens: i64,
    pub total_tokens: i64,
}

/// Free keys, whose values are texts of 1 to 500 characters, numbers or booleans, and two of
/// known shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventMetadataInput {
    #[serde(rename = "_cost")]
    #[schema(required = false)]
    pub cost: CostMetadataInput,
    #[serde(rename = "_llm")]
    #[schema(required = false)]
    pub llm: LLMMetadataInput,
    #[serde(flatten)]
    pub other: HashMap<String, MetadataValue>,
}

/// What was ingested as metadata; numbers as they came, but for the text of `_cost.amount`.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventMetadataOutput {
    #[serde(rename = "_cost")]
    #[schema(required = false)]
    pub cost: CostMetadataOutput,
    #[serde(rename = "_llm")]
    #[schema(required = false)]
    pub llm: LLMMetadata,
    #[serde(flatten)]
    pub other: HashMap<String, MetadataValue>,
}

/// An event of a customer of the organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventCreateCustomer {
    /// When the usage happened, with an offset, to the microsecond; not in the future. The time of
    /// the request by default.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub timestamp: Option<String>,
    /// What happened; meters filter by it.
    #[schema(max_length = 128)]
    pub name: String,
    /// Whose event it is: needed with the root token, not allowed with an organization's.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub organization_id: Option<String>,
    /// The caller's identifier, the key of deduplication: of all events of the organization with
    /// the same one, ever, the first is stored and the others count as duplicates, whatever else
    /// they say. Events without one are never duplicates.
    pub external_id: Option<String>,
    /// Id or external id of another event, which may come later.
    pub parent_id: Option<String>,
    #[schema(required = false)]
    pub metadata: EventMetadataInput,
    #[schema(value_type = String, format = "uuid")]
    pub customer_id: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    pub member_id: Option<String>,
}

/// An event of a customer by the caller's own identifier; no such customer need exist.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventCreateExternalCustomer {
    /// When the usage happened, with an offset, to the microsecond; not in the future. The time of
    /// the request by default.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub timestamp: Option<String>,
    /// What happened; meters filter by it.
    #[schema(max_length = 128)]
    pub name: String,
    /// Whose event it is: needed with the root token, not allowed with an organization's.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub organization_id: Option<String>,
    /// The caller's identifier, the key of deduplication: of all events of the organization with
    /// the same one, ever, the first is stored and the others count as duplicates, whatever else
    /// they say. Events without one are never duplicates.
    pub external_id: Option<String>,
    /// Id or external id of another event, which may come later.
    pub parent_id: Option<String>,
    #[schema(required = false)]
    pub metadata: EventMetadataInput,
    pub external_customer_id: String,
    pub external_member_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventCreate {
    Customer(EventCreateCustomer),
    ExternalCustomer(EventCreateExternalCustomer),
}

/// Events to ingest, any number within the 10 MiB of a body; all are stored, or none.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsIngest {
    /// May be empty.
    pub events: Vec<EventCreate>,
}

/// A step of a series of quantities.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeInterval {
    Year,
    Month,
    Week,
    Day,
    Hour,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AggregationFunction {
    Count,
    Sum,
    Max,
    Min,
    Avg,
    Unique,
}

/// A billing address in a request. Texts are trimmed; blank ones are null.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddressInput {
    pub line1: Option<String>,
    pub line2: Option<String>,
    pub postal_code: Option<String>,
    pub city: Option<String>,
    /// Checked for the United States and Canada, where `CA` and `US-CA` are the same.
    pub state: Option<String>,
    /// ISO 3166-1 alpha-2, whatever the case.
    #[schema(example = "US", min_length = 2, max_length = 2)]
    pub country: String,
}

/// An ISO 8601 duration, or seconds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Lifetime {
    #[schema(title = "duration")]
    Duration(String),
    #[schema(title = "seconds")]
    Seconds(f64),
}

/// The names of all scopes.
pub fn scopes() -> Array {
    let names = floe_core::Scope::ALL.map(|(name, _)| name);
    let name = Object::builder().schema_type(Type::String).enum_values(Some(names));
    Array::builder().items(name).description(Some("What it may do; each right once.")).build()
}

/// Names of scopes; absent and null leave them.
pub fn optional_scopes() -> Array {
    let mut array = scopes();
    array.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
    array
}

/// Parameters of `GET /v1/meters/`, besides paging and `metadata[key]=value`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MetersListQuery {
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// Part of the name, whatever the case.
    pub query: Option<String>,
    /// Only archived meters, or only others.
    pub is_archived: Option<bool>,
    /// `created_at` or `name`, with `-` in front to descend; may repeat.
    #[param(default = json!(["name"]))]
    pub sorting: Option<Vec<String>>,
}

/// Parameters of `GET /v1/meters/{id}/quantities`, besides `metadata[key]=value`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QuantitiesQuery {
    /// The first point; with an offset. Not before 2023-01-01T00:00:00Z.
    #[param(value_type = String, format = DateTime, example = "2026-01-01T00:00:00Z")]
    pub start_timestamp: String,
    /// No point is after it, one may be at it; with an offset. May lie in the future.
    #[param(value_type = String, format = DateTime, example = "2026-01-31T23:59:59Z")]
    pub end_timestamp: String,
    /// The step from point to point, and the calendar interval that each counts; weeks begin on
    /// Monday. The span may have at most 7 days for `hour`, 366 for `day`, 371 for `week`, 1460 for
    /// `month` and 3650 for `year`.
    #[param(value_type = TimeInterval, inline, example = "day")]
    pub interval: String,
    /// IANA name of the time zone in which calendar intervals begin.
    #[param(default = "UTC")]
    pub timezone: Option<String>,
    /// Events of any of these customers, or of those in `external_customer_id`; may repeat.
    pub customer_id: Option<Vec<Uuid>>,
    /// Events of the customers with any of these external ids; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Aggregate per customer first, then over the customers by this function.
    #[param(value_type = Option<AggregationFunction>, inline)]
    pub customer_aggregation_function: Option<String>,
}

/// Parameters of `GET /v1/events/`, besides paging and `metadata[key]=value`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsListQuery {
    /// JSON text of a `Filter`, as a meter has one.
    pub filter: Option<String>,
    /// Events strictly after this; with an offset.
    #[param(value_type = Option<String>, format = DateTime)]
    pub start_timestamp: Option<String>,
    /// Events strictly before this; with an offset.
    #[param(value_type = Option<String>, format = DateTime)]
    pub end_timestamp: Option<String>,
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// Events of any of these customers, or of those in `external_customer_id`; may repeat.
    pub customer_id: Option<Vec<Uuid>>,
    /// Events of the customers with any of these external ids; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Events that this meter counts.
    pub meter_id: Option<Uuid>,
    /// Exact; may repeat.
    pub name: Option<Vec<String>>,
    /// Who made the events; may repeat.
    #[param(value_type = Option<Vec<EventSource>>, inline)]
    pub source: Option<Vec<String>>,
    /// At least 3 characters, looked for in names, metadata and customers.
    pub query: Option<String>,
    /// Children of this event; with `depth`, descendants down to that depth.
    pub parent_id: Option<Uuid>,
    /// Levels below `parent_id`, or without it below events that have no parent: 0 are those alone.
    #[param(minimum = 0, maximum = 5)]
    pub depth: Option<u8>,
    /// `timestamp`, with `-` in front to descend.
    #[param(default = json!(["-timestamp"]))]
    pub sorting: Option<Vec<String>>,
}

/// Parameters of `GET /v1/events/names`, besides paging.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventNamesQuery {
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// Events of any of these customers, or of those in `external_customer_id`; may repeat.
    pub customer_id: Option<Vec<Uuid>>,
    /// Events of the customers with any of these external ids; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Who made the events; may repeat.
    #[param(value_type = Option<Vec<EventSource>>, inline)]
    pub source: Option<Vec<String>>,
    /// Part of the name, whatever the case.
    pub query: Option<String>,
    /// `name`, `occurrences`, `first_seen` or `last_seen`, with `-` in front to descend; may
    /// repeat.
    #[param(default = json!(["-last_seen"]))]
    pub sorting: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Schemas = Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>;

    #[test]
    fn recursive_schemas_end_and_refer_to_each_other() {
        fn add<T: ToSchema>(schemas: &mut Schemas) {
            schemas.push((T::name().into_owned(), T::schema()));
            T::schemas(schemas);
        }
        let mut schemas = Vec::new();
        add::<crate::MeterCreate>(&mut schemas);
        add::<crate::MeterUpdate>(&mut schemas);
        add::<crate::Meter>(&mut schemas);
        add::<crate::MeterQuantities>(&mut schemas);
        add::<crate::Event>(&mut schemas);
        add::<crate::EventName>(&mut schemas);
        add::<EventsIngest>(&mut schemas);
        let text = serde_json::to_string(&schemas).unwrap();
        for name in ["FilterClause", "Aggregation", "EventCreateCustomer", "LLMMetadata"] {
            assert!(text.contains(&format!("#/components/schemas/{name}\"")), "{name}");
        }
        let defined: Vec<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(defined.contains(&name), "{name} in {defined:?}");
        }
    }
}
