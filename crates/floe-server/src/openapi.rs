//! The OpenAPI document, from what the handlers say of themselves beside their code. It owns what
//! they have in common: refusals, errors, authentication.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::OnceLock;

use floe_core::Scope;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, ParameterStyle};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, Object, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, Header, HttpMethod, Info, OpenApi, PathItem, Ref, RefOr, Required, Response,
};
use utoipa::{IntoParams, IntoResponses, OpenApi as _, ToSchema};
use uuid::Uuid;

use crate::auth::Needs;
use crate::routes::{
    bulk, customer_meters, customers, event_meters, event_properties, event_stream, event_totals,
    event_types, events, events_export, meter_customers, meter_preview, meters, organizations,
    system, system_storage, tokens,
};

const INTRODUCTION: &str = "\
Floe stores usage events and meters them. Its API is that of Polar's meters, events and customers.

Requests and answers are JSON. Send a token with every request under `/v1`: \
`Authorization: Bearer <token>`. An organization's token sees its own organization and nothing \
else: what belongs to others is not found. The root token sees everything, or acts as one \
organization with the header `Polar-Organization: <id>`. Ids are UUIDs of version 4.

In answers, instants are in UTC with a `Z` and, unless they are whole seconds, six digits of a \
second. In requests they need an offset. Every field of an answer is always there, null if there \
is nothing to say. In a query, a list is the parameter repeated: `name=a&name=b`.

A change that was answered with 2xx is on disk and survives a crash. 503 means that the server has \
too much to do, no space left or a disk that fails: try again after the seconds in `Retry-After`.

The body of a request may be compressed: `Content-Encoding: gzip` or `zstd` (with a window of at \
most 8 MiB). Its limit counts after decompression.

The header `Polar-Version` may ask for version `2026-04`, `2026-10` or `2027-01`, which are alike \
here; any other is answered with 404. Paths are served with and without a slash at the end.";

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        meters::create_meter,
        meters::list_meters,
        meters::get_meter,
        meters::update_meter,
        meters::get_meter_quantities,
        meter_preview::preview_meter,
        meter_customers::list_meter_customers,
        events::ingest_events,
        bulk::ingest_bulk,
        events::list_events,
        events::list_event_names,
        events_export::export_events,
        event_stream::stream_events,
        event_properties::list_event_properties,
        events::get_event,
        event_meters::list_event_meters,
        event_totals::get_event_totals,
        event_types::list_event_types,
        event_types::update_event_type,
        customers::create_customer,
        customers::list_customers,
        customers::get_customer,
        customers::update_customer,
        customers::delete_customer,
        customers::get_customer_state,
        customers::get_customer_by_external_id,
        customers::update_customer_by_external_id,
        customers::delete_customer_by_external_id,
        customers::get_customer_state_by_external_id,
        customer_meters::list_customer_meters,
        customer_meters::get_customer_meter,
        customer_meters::credit_customer_meter,
        customer_meters::reset_customer_meter,
        organizations::create_organization,
        organizations::list_organizations,
        organizations::get_organization,
        organizations::update_organization,
        tokens::create_token,
        tokens::list_tokens,
        tokens::update_token,
        tokens::delete_token,
        system_storage::get_system,
        system_storage::create_backup,
        system_storage::get_storage,
        system::health,
        system::metrics,
        system::openapi,
        system::docs,
    ),
    components(schemas(
        Unauthorized,
        Forbidden,
        ResourceNotFound,
        RequestBodyTooLarge,
        BadRequest,
        UnsupportedMediaType,
        ServiceUnavailable,
        ValidationFailure,
    )),
    tags(
        (name = "events", description = "What happened: each use of what is metered."),
        (name = "meters", description = "Which events count, and what is computed from them."),
        (name = "customers", description = "Whose usage it is."),
        (name = "customer meters", description = "Each customer's usage and credits on a meter."),
        (name = "event types", description = "The names of events, and labels for them."),
        (
            name = "organizations",
            description = "Tenants, each with its own events, meters and customers."
        ),
        (
            name = "organization access tokens",
            description = "What programs of an organization authenticate with."
        ),
        (name = "system", description = "The server itself."),
    ),
    servers((url = "/", description = "This server.")),
)]
struct Annotated;

/// The document, made once.
pub(crate) fn document() -> &'static OpenApi {
    static DOCUMENT: OnceLock<OpenApi> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = Annotated::openapi();
        document.info = Info::builder()
            .title("Floe")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(INTRODUCTION))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, bearer());
        components.responses.extend(shared_responses());
        refer_to_items(&mut components.schemas);
        for item in document.paths.paths.values_mut() {
            for (method, operation) in operations_mut(item) {
                complete(method, operation);
            }
        }
        document
    })
}

/// The document as JSON text, made once.
pub(crate) fn json() -> &'static RawValue {
    static JSON: OnceLock<Box<RawValue>> = OnceLock::new();
    // A document is JSON: the default, null, is not reached.
    JSON.get_or_init(|| to_raw_value(document()).unwrap_or_default())
}

/// Makes a page name the schema of its items, of which the derive puts a copy into each page.
fn refer_to_items(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, schema) in schemas {
        if let Some(item) = name.strip_prefix("Page_")
            && let RefOr::T(Schema::Object(page)) = schema
        {
            let items = Array::builder()
                .items(Ref::from_schema_name(item))
                .description(Some("The items on the page."));
            page.properties.insert("items".to_owned(), items.build().into());
        }
    }
}

/// The operations of a path that this API has methods for.
fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    [
        (HttpMethod::Get, get),
        (HttpMethod::Post, post),
        (HttpMethod::Patch, patch),
        (HttpMethod::Delete, delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds what follows from an operation's shape: who may call it, and which errors it has.
fn complete(method: HttpMethod, operation: &mut Operation) {
    let scopes = take_scopes(operation);
    let Some(scopes) = scopes else {
        // Everybody may: it says so, lest a tool think that it was forgotten.
        operation.security = Some(Vec::new());
        return;
    };
    operation.security = Some(if scopes.is_empty() {
        vec![SecurityRequirement::new(BEARER, [""; 0])]
    } else {
        scopes.iter().map(|scope| SecurityRequirement::new(BEARER, [scope])).collect()
    });
    let mut parameters: Vec<&mut Parameter> = Vec::new();
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameters.push(parameter);
        }
    }
    let in_path = parameters.iter().any(|p| p.parameter_in == ParameterIn::Path);
    let is_checked = !parameters.is_empty() || operation.request_body.is_some();
    for parameter in parameters {
        if matches!(parameter.parameter_in, ParameterIn::Query | ParameterIn::Header) {
            not_null(parameter);
        }
    }
    let has_body = operation.request_body.is_some();
    // What has many lines refuses each by itself.
    let has_lines = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key(bulk::NDJSON),
        _ => false,
    };
    if let Some(RefOr::T(RequestBody { required, .. })) = &mut operation.request_body {
        *required = Some(Required::True);
    }
    // There is a bound on how many of those are open.
    let is_stream = match operation.responses.responses.get("200") {
        Some(RefOr::T(ok)) => ok.content.contains_key("text/event-stream"),
        _ => false,
    };
    let errors = [
        ("404", "NotFound", in_path),
        ("400", "BadBody", has_body),
        ("413", "TooLarge", has_body && !has_lines),
        ("415", "UnsupportedMediaType", has_body),
        ("422", "Invalid", is_checked && !has_lines),
        ("503", "Unavailable", is_stream || !matches!(method, HttpMethod::Get)),
    ];
    for (status, name, _) in errors.into_iter().filter(|(_, _, is_possible)| *is_possible) {
        let response = RefOr::Ref(Ref::from_response_name(name));
        operation.responses.responses.insert(status.to_owned(), response);
    }
}

/// Text in a query or header is never null: a parameter is there or not.
fn not_null(parameter: &mut Parameter) {
    let kind = match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(object))) => &mut object.schema_type,
        Some(RefOr::T(Schema::Array(array))) => &mut array.schema_type,
        Some(RefOr::T(Schema::OneOf(one_of))) => {
            let is_null = |item: &RefOr<Schema>| {
                matches!(item, RefOr::T(Schema::Object(object))
                    if object.schema_type == SchemaType::Type(Type::Null))
            };
            one_of.items.retain(|item| !is_null(item));
            if one_of.items.len() == 1 {
                parameter.schema = one_of.items.pop();
            }
            return;
        }
        _ => return,
    };
    if let SchemaType::Array(kinds) = kind {
        kinds.retain(|kind| *kind != Type::Null);
        if let [only] = kinds.as_slice() {
            *kind = SchemaType::Type(only.clone());
        }
    }
}

const BEARER: &str = "bearer";

fn bearer() -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    let names = Scope::ALL.map(|(name, _)| format!("`{name}`"));
    http.description = Some(format!(
        "The root token, or an organization's with one of the scopes that an operation names. \
         There are {}.",
        names.join(", ")
    ));
    SecurityScheme::Http(http)
}

/// Answers 401 and 403 of operations for callers who have what `N` names.
pub(crate) struct Refusals<N>(PhantomData<N>);

/// Where [`Refusals`] leaves the scopes for [`take_scopes`].
const SCOPES: &str = "x-scopes";

impl<N: Needs> IntoResponses for Refusals<N> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let scopes: Vec<&str> = N::ANY.iter().map(|scope| scope.as_str()).collect();
        let description = match scopes.as_slice() {
            [] => "The token is not the root token.".to_owned(),
            [scope] => format!("The token lacks the scope `{scope}`."),
            scopes => format!("The token has none of the scopes `{}`.", scopes.join("`, `")),
        };
        let mut forbidden = response(&description, "Forbidden");
        let scopes = serde_json::Value::from(scopes);
        forbidden.extensions = Some(Extensions::builder().add(SCOPES, scopes).build());
        let unauthorized = RefOr::Ref(Ref::from_response_name("Unauthorized"));
        [("401".to_owned(), unauthorized), ("403".to_owned(), RefOr::T(forbidden))].into()
    }
}

/// The scopes of which a caller needs one, none of which is needed if there are none; `None` if
/// everybody may call.
fn take_scopes(operation: &mut Operation) -> Option<Vec<String>> {
    let RefOr::T(forbidden) = operation.responses.responses.get_mut("403")? else { return None };
    let mut extensions = forbidden.extensions.take()?;
    let scopes = extensions.remove(SCOPES)?;
    let scopes = scopes.as_array()?;
    Some(scopes.iter().filter_map(|scope| scope.as_str().map(str::to_owned)).collect())
}

fn response(description: &str, schema: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    Response::builder().description(description).content("application/json", content).build()
}

fn shared_responses() -> [(String, RefOr<Response>); 7] {
    let integer = Object::builder().schema_type(Type::Integer).minimum(Some(0)).build();
    let mut unauthorized = response("There is no token, or it is not valid.", "Unauthorized");
    unauthorized.headers.insert("WWW-Authenticate".to_owned(), RefOr::T(Header::default()));
    let mut unavailable = response(
        "There is too much to do, no space left, or the disk failed: try again.",
        "ServiceUnavailable",
    );
    let mut retry_after = Header::new(integer);
    retry_after.description = Some("Seconds to wait.".to_owned());
    unavailable.headers.insert("Retry-After".to_owned(), RefOr::T(retry_after));
    let not_found = response(
        "There is no such thing, or it belongs to another organization.",
        "ResourceNotFound",
    );
    let mut unsupported = response(
        "The body is of a media type, or compressed in a way, that is not read here.",
        "UnsupportedMediaType",
    );
    let text = || Object::builder().schema_type(Type::String).build();
    for (name, description) in [
        ("Accept-Encoding", "How a body may be compressed, if that is what is wrong."),
        ("Accept", "The media type of a body, if that is what is wrong."),
    ] {
        let mut header = Header::new(text());
        header.description = Some(description.to_owned());
        unsupported.headers.insert(name.to_owned(), RefOr::T(header));
    }
    let bad_body = response(
        "The body ends early, is not UTF-8, or is not compressed as its Content-Encoding says.",
        "BadRequest",
    );
    [
        ("Unauthorized", unauthorized),
        ("BadBody", bad_body),
        ("UnsupportedMediaType", unsupported),
        ("NotFound", not_found),
        (
            "TooLarge",
            response(
                "The body is over 10 MiB (10485760 bytes), decompressed.",
                "RequestBodyTooLarge",
            ),
        ),
        ("Invalid", response("Parameters or fields are wrong; all that are.", "ValidationFailure")),
        ("Unavailable", unavailable),
    ]
    .map(|(name, response)| (name.to_owned(), RefOr::T(response)))
}

/// Conditions on metadata, `metadata[key]=value`.
pub(crate) struct MetadataQuery;

impl IntoParams for MetadataQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = || Object::builder().schema_type(Type::String).build();
        let value = OneOfBuilder::new().item(text()).item(Array::new(text())).build();
        let schema = Object::builder()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(value.into()))));
        let parameter = Parameter::builder()
            .name("metadata")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .style(Some(ParameterStyle::DeepObject))
            .explode(Some(true))
            .description(Some(
                "Conditions on metadata, as in `metadata[plan]=pro`: the text of a top-level value \
                 is equal. Different keys must all match; a key that repeats, with any of its \
                 values.",
            ))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

/// The customer that a path names by its external id.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is only described: handlers read the path by hand")]
pub(crate) struct ExternalIdPath {
    /// The caller's own identifier of the customer; `/` as `%2F`.
    external_id: String,
}

/// The organization whose external ids a path is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is only described: handlers read the query by hand")]
pub(crate) struct OrganizationQuery {
    /// The organization of the external id: needed with the root token that acts for none, ignored
    /// otherwise.
    organization_id: Option<Uuid>,
}

/// The server answers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(crate) struct Health {
    #[schema(pattern = "^ok$")]
    status: String,
}

/// Errors, as `crate::error` writes them.
#[expect(dead_code, reason = "they are only described")]
mod errors {
    use utoipa::ToSchema;

    /// Without a token there are `error` and `detail`; with one that is not valid, `error` and
    /// `error_description`.
    #[derive(ToSchema)]
    pub(super) struct Unauthorized {
        /// `Unauthorized` or `invalid_token`.
        error: String,
        #[schema(required = false)]
        detail: String,
        #[schema(required = false)]
        error_description: String,
    }

    /// For lack of a scope there are `error` and `error_description`; for an organization that the
    /// token may not act for, `error` and `detail`.
    #[derive(ToSchema)]
    pub(super) struct Forbidden {
        /// `insufficient_scope` or `NotPermitted`.
        error: String,
        #[schema(required = false)]
        detail: String,
        #[schema(required = false)]
        error_description: String,
    }

    #[derive(ToSchema)]
    pub(super) struct ResourceNotFound {
        #[schema(pattern = "^ResourceNotFound$")]
        error: String,
        /// What is missing, for people.
        detail: String,
    }

    #[derive(ToSchema)]
    pub(super) struct RequestBodyTooLarge {
        #[schema(pattern = "^RequestBodyTooLarge$")]
        error: String,
        /// What the limit is, for people.
        detail: String,
    }

    #[derive(ToSchema)]
    pub(super) struct BadRequest {
        /// What is wrong, for people.
        detail: String,
        /// `BadRequest` if it is about compression.
        #[schema(required = false)]
        error: String,
    }

    #[derive(ToSchema)]
    pub(super) struct UnsupportedMediaType {
        #[schema(pattern = "^UnsupportedMediaType$")]
        error: String,
        /// What is read here, for people.
        detail: String,
    }

    #[derive(ToSchema)]
    pub(super) struct ServiceUnavailable {
        #[schema(pattern = "^ServiceUnavailable$")]
        error: String,
        /// What there is too much of, for people.
        detail: String,
    }

    /// All that is wrong with a request. Nothing of it was done.
    #[derive(ToSchema)]
    pub(super) struct ValidationFailure {
        /// `RequestValidationError` if the request has the wrong form,
        /// `PolarRequestValidationError` if it breaks a rule about what is stored.
        error: String,
        detail: Vec<ValidationError>,
    }

    #[derive(ToSchema)]
    pub(crate) struct ValidationError {
        /// What kind of error it is, as in `missing`.
        r#type: String,
        /// Where it is: `body`, `query`, `path` or `header`, then keys and indices.
        loc: Vec<Location>,
        /// What is wrong, for people.
        msg: String,
        /// What was sent there.
        input: serde_json::Value,
        /// Values that the message names.
        #[schema(required = false, value_type = Object)]
        ctx: serde_json::Value,
    }

    #[derive(serde::Serialize, ToSchema)]
    #[serde(untagged)]
    pub(super) enum Location {
        #[schema(title = "key")]
        Key(String),
        #[schema(title = "index")]
        Index(u64),
    }
}

pub(crate) use errors::ValidationError;
use errors::{
    BadRequest, Forbidden, RequestBodyTooLarge, ResourceNotFound, ServiceUnavailable, Unauthorized,
    UnsupportedMediaType, ValidationFailure,
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use floe_api::customer::{CustomerCreate, CustomerUpdate};
    use floe_api::customer_meter::{CreditCreate, ResetCreate};
    use floe_api::errors::Errors;
    use floe_api::event_type::EventTypeUpdate;
    use floe_api::json::Json;
    use floe_api::meter_preview::MeterPreviewCreate;
    use floe_api::organization::{OrganizationCreate, OrganizationUpdate};
    use floe_api::token::{TokenCreate, TokenUpdate};
    use floe_api::{IngestRequest, MeterCreate, MeterUpdate};
    use floe_store::embedded::system_time;
    use serde_json::{Value, json};

    use super::*;

    fn json_document() -> Value {
        let mut document = serde_json::to_value(document()).unwrap();
        // The version changes without a change of the API.
        document["info"]["version"] = json!("[version]");
        document
    }

    #[test]
    fn the_document_is_as_before() {
        insta::assert_json_snapshot!("openapi", json_document());
    }

    /// Method, path without a slash at the end, handler.
    type Route = (String, String, String);

    /// Reads the router's source, since a router does not tell its routes.
    fn routes() -> BTreeSet<Route> {
        let source = include_str!("app.rs");
        let table = source.split("fn router(").nth(1).unwrap().split("\n}").next().unwrap();
        for other in ["nest(", "route_service(", "any(", "put(", "MethodRouter", "method_routing"] {
            assert!(!table.contains(other), "this test does not know `{other}`");
        }
        let mut routes = BTreeSet::new();
        for route in table.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            let mut found = 0;
            for method in ["get", "post", "patch", "delete"] {
                let call = format!("{method}(");
                for (at, _) in route.match_indices(&call) {
                    let is_whole =
                        !route[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                    if is_whole {
                        let handler = route[at + call.len()..].split(')').next().unwrap();
                        let handler = handler.rsplit("::").next().unwrap();
                        routes.insert((method.to_owned(), path.to_owned(), handler.to_owned()));
                        found += 1;
                    }
                }
            }
            assert!(found > 0, "{path}");
        }
        routes
    }

    #[test]
    fn every_route_is_in_the_document_and_none_besides() {
        let mut routes = routes();
        // An event of that id, like any other: see the contract, section 1.1.
        let alias = ("get", "/v1/events/ingest", "get_event_named_ingest");
        assert!(routes.remove(&(alias.0.to_owned(), alias.1.to_owned(), alias.2.to_owned())));
        let alias = ("get", "/v1/meters/preview", "get_meter_named_preview");
        assert!(routes.remove(&(alias.0.to_owned(), alias.1.to_owned(), alias.2.to_owned())));
        let mut documented = BTreeSet::new();
        for (path, item) in json_document()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                documented.insert((method.clone(), path.trim_end_matches('/').to_owned(), id));
            }
        }
        assert_eq!(documented, routes);
    }

    #[test]
    fn collections_end_with_a_slash_and_nothing_else_does() {
        for (path, item) in json_document()["paths"].as_object().unwrap() {
            let answer = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
            let is_list = answer["$ref"].as_str().is_some_and(|name| name.contains("/Page_"));
            // Lists of what is no resource of its own.
            let is_other =
                ["/v1/events/names", "/v1/events/{id}/meters", "/v1/meters/{id}/customers"]
                    .contains(&&**path);
            assert_eq!(path.ends_with('/'), is_list && !is_other, "{path}");
        }
    }

    #[test]
    fn all_that_the_document_refers_to_is_there() {
        let document = json_document();
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        for reference in &used {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for group in ["schemas", "responses"] {
            for name in document["components"][group].as_object().unwrap().keys() {
                let reference = format!("#/components/{group}/{name}");
                assert!(used.contains(&reference), "{reference} is not used");
            }
        }
    }

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_field_of_an_answer_is_required() {
        let document = json_document();
        let mut pending = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                references(&operation["responses"], &mut pending);
            }
        }
        let mut seen = BTreeSet::new();
        // What is there only if it was sent, and what depends on the error.
        let optional = [
            ("EventMetadataOutput", "_cost"),
            ("EventMetadataOutput", "_llm"),
            ("LLMMetadata", "cached_input_tokens"),
            ("Unauthorized", "detail"),
            ("Unauthorized", "error_description"),
            ("Forbidden", "detail"),
            ("Forbidden", "error_description"),
            ("ValidationError", "ctx"),
            ("BadRequest", "error"),
        ];
        while let Some(reference) = pending.pop_first() {
            let name = reference.rsplit('/').next().unwrap();
            let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
            for part in parts {
                let required = part["required"].as_array().cloned().unwrap_or_default();
                for field in part["properties"].as_object().into_iter().flatten().map(|f| f.0) {
                    let is_optional = optional.contains(&(name, field.as_str()));
                    assert_ne!(required.contains(&json!(field)), is_optional, "{name}.{field}");
                }
            }
            let mut inner = BTreeSet::new();
            references(schema, &mut inner);
            seen.insert(reference);
            pending.extend(inner.difference(&seen).cloned());
        }
        assert!(seen.len() > 30);
    }

    #[test]
    fn counts_are_integers() {
        let document = json_document();
        for (schema, field) in [
            ("IngestResponse", "inserted"),
            ("IngestResponse", "duplicates"),
            ("Event", "child_count"),
            ("EventName", "occurrences"),
            ("EventTypeWithStats", "occurrences"),
            ("Pagination", "total_count"),
            ("Pagination", "max_page"),
            ("CustomerMeter", "credited_units"),
            ("CustomerStateMeter", "credited_units"),
        ] {
            let field = &document["components"]["schemas"][schema]["properties"][field];
            assert_eq!(field["type"], "integer", "{schema}");
        }
        let multiplier = &document["components"]["schemas"]["Meter"]["properties"];
        assert_eq!(multiplier["custom_multiplier"]["type"], json!(["integer", "null"]));
    }

    #[test]
    fn operations_say_who_may_call_them_and_what_may_go_wrong() {
        let document = json_document();
        let check = |path: &str, method: &str, scopes: &[&str], answers: &[&str]| {
            let operation = &document["paths"][path][method];
            let needs: Vec<_> = scopes.iter().map(|scope| json!({"bearer": [scope]})).collect();
            assert_eq!(operation["security"], json!(needs), "{method} {path}");
            let found: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
            assert_eq!(found, answers, "{method} {path}");
        };
        let write = ["200", "400", "401", "403", "413", "415", "422", "503"];
        check("/v1/events/ingest", "post", &["events:write"], &write);
        let lines = ["200", "400", "401", "403", "415", "503"];
        check("/v1/events/bulk", "post", &["events:write"], &lines);
        let read = ["200", "401", "403", "404", "422"];
        check("/v1/meters/{id}", "get", &["meters:read", "meters:write"], &read);
        check("/v1/customer-meters/{id}", "get", &["customer_meters:read"], &read);
        let delete = ["204", "401", "403", "404", "422", "503"];
        check("/v1/customers/{id}", "delete", &["customers:write"], &delete);
        check("/healthz", "get", &[], &["200"]);
        assert!(!document.to_string().contains(SCOPES));
    }

    #[test]
    fn examples_of_bodies_are_accepted() {
        fn parse(operation: &str, body: &Json<'_>, errors: &mut Errors) -> bool {
            match operation {
                "create_meter" => MeterCreate::parse(body, errors).is_some(),
                "preview_meter" => MeterPreviewCreate::parse(body, errors).is_some(),
                "update_meter" => MeterUpdate::parse(body, errors).is_some(),
                "ingest_events" => IngestRequest::parse(body, system_time(), errors).is_some(),
                "update_event_type" => EventTypeUpdate::parse(body, errors).is_some(),
                "create_customer" => CustomerCreate::parse(body, errors).is_some(),
                "update_customer" => CustomerUpdate::parse(body, errors).is_some(),
                "update_customer_by_external_id" => {
                    CustomerUpdate::parse_by_external_id(body, errors).is_some()
                }
                "credit_customer_meter" => CreditCreate::parse(body, errors).is_some(),
                "reset_customer_meter" => ResetCreate::parse(body, errors).is_some(),
                "create_organization" => OrganizationCreate::parse(body, errors).is_some(),
                "update_organization" => OrganizationUpdate::parse(body, errors).is_some(),
                "create_token" => TokenCreate::parse(body, system_time(), errors).is_some(),
                "update_token" => TokenUpdate::parse(body, errors).is_some(),
                "create_backup" => floe_api::system::BackupCreate::parse(body, errors).is_some(),
                other => panic!("{other} has a body that this test does not know"),
            }
        }
        for item in json_document()["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                if operation.get("requestBody").is_none() {
                    continue;
                }
                let id = operation["operationId"].as_str().unwrap();
                if id == "ingest_bulk" {
                    let content = &operation["requestBody"]["content"][bulk::NDJSON];
                    let lines = content["example"].as_str().unwrap();
                    assert_eq!(lines.lines().count(), 2);
                    for line in lines.lines() {
                        floe_api::EventLine::parse(line.as_bytes(), system_time()).unwrap();
                    }
                    continue;
                }
                let content = &operation["requestBody"]["content"]["application/json"];
                assert!(content["example"].is_object(), "{id}");
                let text = content["example"].to_string();
                let mut errors = Errors::new();
                let body = floe_api::json::parse(text.as_bytes()).unwrap();
                assert!(parse(id, &body, &mut errors), "{id}: {:?}", errors.items());
                assert!(errors.is_empty(), "{id}");
            }
        }
    }
}
