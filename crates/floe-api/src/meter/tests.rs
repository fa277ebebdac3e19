use proptest::prelude::*;

use super::*;
use crate::errors::ErrorItem;
use crate::fields::tests::{check_errors, read};
use crate::metadata::json_text;

const AGGREGATION: &str = r#""aggregation":{"func":"count"}"#;
const FILTER: &str = r#""filter":{"conjunction":"and","clauses":[]}"#;

fn body(fields: &str) -> String {
    format!(r#"{{"name":"abc",{FILTER},{AGGREGATION}{fields}}}"#)
}

fn filter_body(filter: &str) -> String {
    format!(r#"{{"name":"abc","filter":{filter},{AGGREGATION}}}"#)
}

fn clause_body(clause: &str) -> String {
    filter_body(&format!(r#"{{"conjunction":"and","clauses":[{clause}]}}"#))
}

/// The error items of a body as JSON.
fn items(body: &str) -> String {
    let mut errors = Errors::new();
    MeterCreate::parse(&json::parse(body.as_bytes()).unwrap(), &mut errors);
    serde_json::to_string(errors.items()).unwrap()
}

#[track_caller]
fn check_create(body: &str, expected: &str) {
    check_errors(body, MeterCreate::parse, expected);
}

#[track_caller]
fn create(body: &str) -> MeterCreate {
    let (meter, errors) = read(body, MeterCreate::parse);
    meter.unwrap_or_else(|| panic!("{body}: {errors}"))
}

#[test]
fn the_errors_of_an_empty_body_are_those_recorded() {
    assert_eq!(
        items("{}"),
        r#"[{"type":"missing","loc":["body","name"],"msg":"Field required","input":{}},{"type":"missing","loc":["body","filter"],"msg":"Field required","input":{}},{"type":"missing","loc":["body","aggregation"],"msg":"Field required","input":{}}]"#
    );
    check_create("null", r#"missing ["body"]"#);
    check_create("[]", r#"model_attributes_type ["body"]"#);
}

#[test]
fn the_errors_of_a_fraction_are_those_recorded_for_the_clause() {
    let clause = r#"{"property":"a","operator":"eq","value":1.5}"#;
    let body = filter_body(&format!(
        r#"{{"conjunction":"and","clauses":[{{"conjunction":"or","clauses":[]}},{{"property":"","operator":"eq","value":""}},{clause}]}}"#
    ));
    assert_eq!(
        items(&body),
        r#"[{"type":"string_type","loc":["body","filter","clauses",2,"FilterClause","value","constrained-str"],"msg":"Input should be a valid string","input":1.5},{"type":"int_from_float","loc":["body","filter","clauses",2,"FilterClause","value","constrained-int"],"msg":"Input should be a valid integer, got a number with a fractional part","input":1.5},{"type":"bool_type","loc":["body","filter","clauses",2,"FilterClause","value","bool"],"msg":"Input should be a valid boolean","input":1.5}]"#
    );
}

#[test]
fn unit_and_label_are_compared_when_all_fields_are_valid() {
    let custom = body(r#","unit":"custom""#);
    assert_eq!(
        items(&custom),
        format!(
            r#"[{{"type":"value_error","loc":["body"],"msg":"Value error, custom_label is required when unit is 'custom'.","input":{custom},"ctx":{{"error":{{}}}}}}]"#
        )
    );
    let label = body(r#","unit":"token","custom_label":"x""#);
    assert_eq!(
        items(&label),
        format!(
            r#"[{{"type":"value_error","loc":["body"],"msg":"Value error, custom_label and custom_multiplier are only allowed when unit is 'custom'.","input":{label},"ctx":{{"error":{{}}}}}}]"#
        )
    );
    check_create(&body(r#","unit":"custom","metadata":null"#), r#"dict_type ["body","metadata"]"#);
    create(&body(r#","unit":"scalar","custom_multiplier":5"#));
    create(&body(r#","unit":"custom","custom_label":"x","custom_multiplier":"7""#));
}

#[test]
fn errors_come_in_the_order_of_the_schema() {
    check_create(
        r#"{"organization_id":"x","aggregation":{},"filter":1,"custom_multiplier":0,
            "custom_label":1,"unit":"x","name":"ab","metadata":{"":null}}"#,
        "string_too_short [\"body\",\"metadata\",\"\",\"[key]\"]; \
         string_type [\"body\",\"metadata\",\"\",\"constrained-str\"]; \
         int_type [\"body\",\"metadata\",\"\",\"int\"]; \
         float_type [\"body\",\"metadata\",\"\",\"float\"]; \
         bool_type [\"body\",\"metadata\",\"\",\"bool\"]; \
         string_too_short [\"body\",\"name\"]; \
         enum [\"body\",\"unit\"]; \
         string_type [\"body\",\"custom_label\"]; \
         greater_than [\"body\",\"custom_multiplier\"]; \
         model_attributes_type [\"body\",\"filter\"]; \
         union_tag_not_found [\"body\",\"aggregation\"]; \
         uuid_parsing [\"body\",\"organization_id\"]",
    );
}

#[test]
fn single_fields_are_checked() {
    for (fields, expected) in [
        (r#","unit":null"#, r#"enum ["body","unit"]"#),
        (r#","custom_multiplier":-1"#, r#"greater_than ["body","custom_multiplier"]"#),
        (
            r#","custom_multiplier":9223372036854775808"#,
            r#"less_than_equal ["body","custom_multiplier"]"#,
        ),
        (r#","custom_multiplier":1.5"#, r#"int_from_float ["body","custom_multiplier"]"#),
        (r#","name":"a\u0000b""#, r#"value_error ["body","name"]"#),
        (r#","name":"\ud800abc""#, r#"string_unicode ["body","name"]"#),
        (r#","metadata":{"a":"\u0000"}"#, r#"value_error ["body","metadata"]"#),
        (r#","metadata":{"a\u0000":1}"#, r#"value_error ["body","metadata"]"#),
        (
            r#","organization_id":"1dbfc517-0bbf-1301-9ba8-555ca42b9737""#,
            r#"uuid_version ["body","organization_id"]"#,
        ),
        (r#","name":"äöü""#, ""),
        (r#","custom_label":null,"custom_multiplier":null,"organization_id":null"#, ""),
        (r#","custom_multiplier":9223372036854775807"#, ""),
        (r#","unknown":"\u0000""#, ""),
    ] {
        check_create(&body(fields), expected);
    }
}

#[test]
fn a_clause_is_reported_as_what_it_looks_like() {
    let at = |rest: &str| format!(r#"["body","filter","clauses",0,{rest}]"#);
    for (clause, expected) in [
        ("1", format!("model_attributes_type {}", at(r#""FilterClause""#))),
        (
            "{}",
            format!(
                "missing {}; missing {}; missing {}",
                at(r#""FilterClause","property""#),
                at(r#""FilterClause","operator""#),
                at(r#""FilterClause","value""#)
            ),
        ),
        (r#"{"conjunction":"and"}"#, format!("missing {}", at(r#""Filter","clauses""#))),
        (r#"{"clauses":[]}"#, format!("missing {}", at(r#""Filter","conjunction""#))),
        (
            r#"{"conjunction":"nor","clauses":[{"clauses":1,"conjunction":"or"}]}"#,
            format!(
                "enum {}; list_type {}",
                at(r#""Filter","conjunction""#),
                at(r#""Filter","clauses",0,"Filter","clauses""#)
            ),
        ),
        (
            r#"{"property":1,"operator":"in","value":"x"}"#,
            format!(
                "string_type {}; enum {}",
                at(r#""FilterClause","property""#),
                at(r#""FilterClause","operator""#)
            ),
        ),
        // Valid as a clause, so the stray key does not matter.
        (r#"{"property":"a","operator":"eq","value":1,"conjunction":"x"}"#, String::new()),
        (
            r#"{"property":"a","operator":"eq","value":1.5,"clauses":[]}"#,
            format!("missing {}", at(r#""Filter","conjunction""#)),
        ),
    ] {
        check_create(&clause_body(clause), &expected);
    }
}

#[track_caller]
fn check_value(value: &str, expected: Result<ClauseValueShown, &[&str]>) {
    let clause = format!(r#"{{"property":"a","operator":"eq","value":{value}}}"#);
    let (meter, errors) = read(&clause_body(&clause), MeterCreate::parse);
    match expected {
        Ok(expected) => {
            let filter = filter_to_json_text(&meter.unwrap().filter);
            assert!(filter.contains(&format!("\"value\":{expected}}}")), "{filter}");
        }
        Err(kinds) => {
            let found: Vec<_> =
                errors.split("; ").map(|error| error.split(' ').next().unwrap()).collect();
            assert_eq!(found, kinds, "{value}");
        }
    }
}

type ClauseValueShown = &'static str;

#[test]
fn the_json_type_of_a_clause_value_decides() {
    let long = format!("\"{}\"", "x".repeat(1001));
    let longest = "ä".repeat(1000);
    check_value("\"5\"", Ok("\"5\""));
    check_value("true", Ok("true"));
    check_value("5.0", Ok("5"));
    check_value("-2147483648", Ok("-2147483648"));
    check_value("2147483647", Ok("2147483647"));
    check_value("\"\"", Ok("\"\""));
    create(&clause_body(&format!(r#"{{"property":"a","operator":"eq","value":"{longest}"}}"#)));
    check_value("null", Err(&["string_type", "int_type", "bool_type"]));
    check_value("[1]", Err(&["string_type", "int_type", "bool_type"]));
    check_value("{}", Err(&["string_type", "int_type", "bool_type"]));
    check_value("2147483648", Err(&["string_type", "less_than_equal", "bool_parsing"]));
    check_value("-2147483649", Err(&["string_type", "greater_than_equal", "bool_parsing"]));
    check_value("2147483648.0", Err(&["string_type", "less_than_equal", "bool_parsing"]));
    check_value("99999999999999999999", Err(&["string_type", "less_than_equal", "bool_type"]));
    check_value("NaN", Err(&["string_type", "finite_number", "bool_type"]));
    check_value("1e400", Err(&["string_type", "finite_number", "bool_type"]));
    check_value(&long, Err(&["string_too_long", "int_parsing", "bool_parsing"]));
    check_value("\"\\ud800\"", Err(&["string_unicode", "string_unicode", "string_unicode"]));
}

#[test]
fn booleans_have_no_order_and_are_no_time() {
    let error = r#"value_error ["body","filter","clauses",0,"FilterClause","value"]"#;
    for (property, operator, expected) in [
        ("a", "gt", error),
        ("metadata.timestamp.x", "lte", error),
        ("timestamp", "eq", error),
        ("metadata.timestamp", "ne", error),
        ("timestamp", "like", ""),
        ("a", "ne", ""),
        ("name", "gt", ""),
    ] {
        let clause = format!(r#"{{"property":"{property}","operator":"{operator}","value":true}}"#);
        check_create(&clause_body(&clause), expected);
    }
}

#[test]
fn nul_anywhere_is_refused_at_the_field() {
    for clause in [
        r#"{"property":"\u0000","operator":"eq","value":1}"#,
        r#"{"property":"a","operator":"eq","value":"\u0000"}"#,
        r#"{"property":"a","operator":"eq","value":1,"x\u0000":1}"#,
    ] {
        check_create(&clause_body(clause), r#"value_error ["body","filter"]"#);
    }
    check_create(
        &format!(r#"{{"name":"abc",{FILTER},"aggregation":{{"func":"sum","property":"\u0000"}}}}"#),
        r#"value_error ["body","aggregation"]"#,
    );
}

fn nested(levels: usize) -> String {
    let open = r#"{"conjunction":"and","clauses":["#;
    format!("{}{}", open.repeat(levels), "]}".repeat(levels))
}

#[test]
fn a_filter_has_at_most_64_levels() {
    create(&filter_body(&nested(64)));
    for levels in [65, 66, 200, 600, 100_000] {
        check_create(&filter_body(&nested(levels)), r#"value_error ["body","filter"]"#);
    }
    let mut errors = Errors::new();
    let raw: String = nested(65).bytes().map(|byte| format!("%{byte:02x}")).collect();
    let query = QueryParams::parse(&format!("filter={raw}"));
    assert_eq!(filter_parameter(&query, &mut errors), None);
    assert_eq!(errors.items()[0].loc(), ["query".into(), "filter".into()]);
}

#[test]
fn one_prefix_is_taken_off_on_input_only() {
    let meter = create(
        r#"{"name":"abc","filter":{"conjunction":"and","clauses":[
            {"property":"metadata.metadata.a","operator":"eq","value":1}]},
            "aggregation":{"func":"sum","property":"metadata.metadata.b"}}"#,
    );
    let filter = filter_to_json_text(&meter.filter);
    let aggregation = aggregation_to_json_text(&meter.aggregation);
    assert_eq!(
        filter,
        r#"{"conjunction":"and","clauses":[{"property":"metadata.a","operator":"eq","value":1}]}"#
    );
    assert_eq!(aggregation, r#"{"func":"sum","property":"metadata.b"}"#);
    assert_eq!(filter_from_json_text(&filter), Ok(meter.filter));
    assert_eq!(aggregation_from_json_text(&aggregation), Ok(meter.aggregation));
    assert!(filter_from_json_text("{}").is_err());
    assert!(filter_from_json_text("").is_err());
    assert!(aggregation_from_json_text("{}").is_err());
}

#[test]
fn an_aggregation_is_told_by_its_function() {
    let body =
        |aggregation: &str| format!(r#"{{"name":"abc",{FILTER},"aggregation":{aggregation}}}"#);
    for (aggregation, expected) in [
        ("1", r#"model_attributes_type ["body","aggregation"]"#),
        ("null", r#"model_attributes_type ["body","aggregation"]"#),
        ("{}", r#"union_tag_not_found ["body","aggregation"]"#),
        (r#"{"func":null}"#, r#"union_tag_invalid ["body","aggregation"]"#),
        (r#"{"func":"median","property":"a"}"#, r#"union_tag_invalid ["body","aggregation"]"#),
        (r#"{"func":"sum"}"#, r#"missing ["body","aggregation","sum","property"]"#),
        (
            r#"{"func":"unique","property":5}"#,
            r#"string_type ["body","aggregation","unique","property"]"#,
        ),
    ] {
        check_create(&body(aggregation), expected);
    }
    for (aggregation, expected) in [
        (r#"{"property":"a","func":"count"}"#, r#"{"func":"count"}"#),
        (r#"{"property":"metadata.a.b","func":"avg"}"#, r#"{"func":"avg","property":"a.b"}"#),
        (r#"{"func":"unique","property":"name"}"#, r#"{"func":"unique","property":"name"}"#),
    ] {
        let meter = create(&body(aggregation));
        assert_eq!(aggregation_to_json_text(&meter.aggregation), expected);
        assert_eq!(aggregation_from_json_text(expected), Ok(meter.aggregation));
    }
    assert_eq!(
        items(&body(r#"{"func":"median"}"#)),
        r#"[{"type":"union_tag_invalid","loc":["body","aggregation"],"msg":"Input tag 'median' found using 'func' does not match any of the expected tags: 'count', 'sum', 'max', 'min', 'avg', 'unique'","input":{"func":"median"},"ctx":{"discriminator":"'func'","tag":"median","expected_tags":"'count', 'sum', 'max', 'min', 'avg', 'unique'"}}]"#
    );
}

#[test]
fn an_update_tells_null_from_absent() {
    let update = |body: &str| read(body, MeterUpdate::parse).0.unwrap();
    assert!(update("{}").is_empty());
    assert!(
        update(r#"{"name":null,"unit":null,"filter":null,"aggregation":null,"is_archived":null}"#)
            .is_empty()
    );
    let cleared = update(r#"{"custom_label":null,"custom_multiplier":null}"#);
    assert_eq!((cleared.custom_label.clone(), cleared.custom_multiplier), (Some(None), Some(None)));
    assert!(!cleared.is_empty());
    // Units and labels are not compared here (S33).
    let set =
        update(r#"{"unit":"scalar","custom_label":"x","custom_multiplier":3,"is_archived":"yes"}"#);
    assert_eq!(set.custom_label, Some(Some("x".to_owned())));
    assert_eq!((set.custom_multiplier, set.is_archived), (Some(Some(3)), Some(true)));
    assert!(!update(r#"{"metadata":{}}"#).is_empty());
    check_errors(
        r#"{"metadata":null,"name":"a","unit":1,"custom_multiplier":0,"filter":{},"is_archived":2}"#,
        MeterUpdate::parse,
        "dict_type [\"body\",\"metadata\"]; string_too_short [\"body\",\"name\"]; \
         enum [\"body\",\"unit\"]; greater_than [\"body\",\"custom_multiplier\"]; \
         missing [\"body\",\"filter\",\"conjunction\"]; missing [\"body\",\"filter\",\"clauses\"]; \
         bool_parsing [\"body\",\"is_archived\"]",
    );
}

#[test]
fn a_locked_meter_keeps_filter_and_aggregation() {
    let update = |body: &str| read(body, MeterUpdate::parse).0.unwrap();
    assert!(update(r#"{"name":"abc","filter":null}"#).locked_error().is_none());
    let body = r#"{"aggregation":{"func":"count"},"filter":{"conjunction":"and","clauses":[]}}"#;
    let error = update(body).locked_error().unwrap();
    assert_eq!(
        json_text(&error),
        r#"{"error":"PolarRequestValidationError","detail":[{"type":"forbidden","loc":["body","filter"],"msg":"This field can't be updated because the meter is already aggregating events.","input":{"conjunction":"and","clauses":[]}},{"type":"forbidden","loc":["body","aggregation"],"msg":"This field can't be updated because the meter is already aggregating events.","input":{"func":"count"}}]}"#
    );
}

#[test]
fn an_organization_may_not_name_itself() {
    let id = "1dbfc517-0bbf-4301-9ba8-555ca42b9737";
    let meter = create(&body(&format!(r#","organization_id":"{}""#, id.to_uppercase())));
    let mut errors = Errors::new();
    organization_token_error(&Loc::BODY, meter.organization_id.unwrap(), &mut errors);
    let failure = errors.into_result(ErrorClass::PolarRequestValidationError).unwrap_err();
    assert_eq!(
        json_text(&failure),
        format!(
            r#"{{"error":"PolarRequestValidationError","detail":[{{"type":"organization_token","loc":["body","organization_id"],"msg":"Setting organization_id is disallowed when using an organization token.","input":"{id}"}}]}}"#
        )
    );
}

#[test]
fn an_answer_is_as_recorded() {
    let create = create(
        r#"{"metadata":{"k":"v","n":1,"f":1.5,"b":true},"name":"abc",
            "filter":{"conjunction":"and","clauses":[{"property":"metadata.a","operator":"eq","value":1}]},
            "aggregation":{"func":"unique","property":"u"}}"#,
    );
    let id = |text: &str| Uuid::parse_str(text).unwrap();
    let meter = floe_core::Meter {
        id: MeterId(id("a8ea8fc6-0a41-4545-90b9-11be3a6eaaac")),
        organization_id: OrganizationId(id("ace15817-d7ac-4693-bd33-896efda768cf")),
        number: 1,
        created_at: Timestamp::from_micros(1_795_400_858_966_780).unwrap(),
        modified_at: None,
        archived_at: None,
        name: create.name,
        unit: create.unit,
        custom_label: create.custom_label,
        custom_multiplier: create.custom_multiplier,
        filter: create.filter,
        aggregation: create.aggregation,
        metadata: create.metadata,
    };
    assert_eq!(
        json_text(&Meter::from(&meter)),
        r#"{"metadata":{"k":"v","n":1,"f":1.5,"b":true},"created_at":"2026-11-23T02:27:38.966780Z","modified_at":null,"id":"a8ea8fc6-0a41-4545-90b9-11be3a6eaaac","name":"abc","unit":"scalar","custom_label":null,"custom_multiplier":null,"filter":{"conjunction":"and","clauses":[{"property":"a","operator":"eq","value":1}]},"aggregation":{"func":"unique","property":"u"},"organization_id":"ace15817-d7ac-4693-bd33-896efda768cf","archived_at":null}"#
    );
}

#[test]
fn a_filter_in_a_query_is_json_text() {
    #[track_caller]
    fn check(raw: &str, expected: &str) {
        let mut errors = Errors::new();
        let filter = filter_parameter(&QueryParams::parse(raw), &mut errors);
        assert_eq!(filter.is_none(), raw.is_empty() || !errors.is_empty(), "{raw}");
        let items: Vec<&ErrorItem> = errors.items().iter().collect();
        assert_eq!(serde_json::to_string(&items).unwrap(), expected, "{raw}");
    }
    check("", "[]");
    check(r#"filter={"conjunction":"or","clauses":[]}"#, "[]");
    check(
        "filter=x",
        r#"[{"type":"json_invalid","loc":["query","filter"],"msg":"Invalid JSON: expected value at line 1 column 1","input":"x","ctx":{"error":"expected value at line 1 column 1"}}]"#,
    );
    check(
        "filter=",
        r#"[{"type":"json_invalid","loc":["query","filter"],"msg":"Invalid JSON: EOF while parsing a value at line 1 column 0","input":"","ctx":{"error":"EOF while parsing a value at line 1 column 0"}}]"#,
    );
    check(
        "filter={}",
        r#"[{"type":"missing","loc":["query","filter","conjunction"],"msg":"Field required","input":{}},{"type":"missing","loc":["query","filter","clauses"],"msg":"Field required","input":{}}]"#,
    );
    check(
        r#"filter={"conjunction":"and","clauses":[{"property":"a","operator":"lt","value":false}]}"#,
        r#"[{"type":"value_error","loc":["query","filter","clauses",0,"FilterClause","value"],"msg":"Value error, A boolean cannot be compared with this operator here.","input":false,"ctx":{"error":{}}}]"#,
    );
}

#[test]
fn a_list_has_defaults() {
    let list = |raw: &str| {
        let mut errors = Errors::new();
        let params = MetersListParams::parse(&QueryParams::parse(raw), &mut errors);
        params.ok_or_else(|| serde_json::to_value(errors.items()).unwrap())
    };
    let params = list("hierarchical=false").unwrap();
    assert_eq!(params.sorting, [(MeterSort::Name, Direction::Ascending)]);
    assert_eq!((params.organization_ids, params.query, params.is_archived), (None, None, None));
    let params = list(
        "organization_id=ace15817-d7ac-4693-bd33-896efda768cf&query=a%25&is_archived=false\
         &metadata[k]=1&metadata[k]=2&sorting=-created_at&sorting=name&limit=500",
    )
    .unwrap();
    assert_eq!(params.organization_ids.map(|ids| ids.len()), Some(1));
    assert_eq!((params.query.as_deref(), params.is_archived), (Some("a%"), Some(false)));
    assert_eq!(params.metadata[0].values, ["1", "2"]);
    assert_eq!(params.paging.limit(), 100);
    assert_eq!(
        params.sorting,
        [(MeterSort::CreatedAt, Direction::Descending), (MeterSort::Name, Direction::Ascending)]
    );
    let errors = list("organization_id=x&is_archived=2&limit=0&sorting=unit").unwrap_err();
    let locs: Vec<_> = errors.as_array().unwrap().iter().map(|item| &item["loc"]).collect();
    assert_eq!(
        serde_json::to_string(&locs).unwrap(),
        r#"[["query","organization_id",0],["query","is_archived"],["query","limit"],["query","sorting",0]]"#
    );
}

fn any_filter() -> impl Strategy<Value = floe_core::Filter> {
    use floe_core::{Clause, ClauseValue, Conjunction, Filter, FilterClause, Operator};
    let value = prop_oneof![
        "\\PC{0,5}".prop_map(ClauseValue::Text),
        any::<i32>().prop_map(ClauseValue::Int),
        any::<bool>().prop_map(ClauseValue::Bool),
    ];
    let property = "(metadata\\.|name|timestamp|\\PC){0,3}";
    let leaf = (property, prop::sample::select(&Operator::ALL[..]), value)
        .prop_filter_map("booleans have no order", |(property, (_, operator), value)| {
            FilterClause::new(property, operator, value).ok()
        })
        .prop_map(Clause::Leaf);
    let filter = |members| {
        (any::<bool>(), members).prop_map(|(and, clauses)| Filter {
            conjunction: if and { Conjunction::And } else { Conjunction::Or },
            clauses,
        })
    };
    let clause = leaf.prop_recursive(4, 20, 4, move |inner| {
        filter(prop::collection::vec(inner, 0..4)).prop_map(Clause::Filter)
    });
    filter(prop::collection::vec(clause.boxed(), 0..4))
}

proptest! {
    #[test]
    fn a_stored_filter_is_read_back(filter in any_filter()) {
        prop_assert_eq!(filter_from_json_text(&filter_to_json_text(&filter)), Ok(filter));
    }
}
