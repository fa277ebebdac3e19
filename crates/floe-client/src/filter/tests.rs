//! Filters, as servers take and refuse them.

use super::*;

#[test]
fn any_filter_of_the_wire_is_read_and_written() {
    for text in [
        r#"{"conjunction":"and","clauses":[]}"#,
        r#"{"conjunction":"or","clauses":[{"property":"a.b","operator":"not_like","value":""}]}"#,
        r#"{"conjunction":"and","clauses":[{"property":"a","operator":"like","value":-2147483648},{"conjunction":"or","clauses":[{"property":"","operator":"ne","value":false}]}]}"#,
    ] {
        let filter: Filter = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), text);
    }
    let filter: Filter = serde_json::from_str(
        r#"{"conjunction":"and","clauses":[{"property":"a","operator":"eq","value":5.0}]}"#,
    )
    .unwrap();
    assert_eq!(filter, Filter::and().clause(FilterClause::equal("a", 5)));
}

#[test]
fn what_servers_refuse_is_no_filter() {
    let clause = |operator: &str, value: &str| {
        let text = format!(r#"{{"property":"a","operator":"{operator}","value":{value}}}"#);
        serde_json::from_str::<FilterClause>(&text)
    };
    assert!(clause("eq", "1").is_ok());
    for value in ["1.5", "null", "2147483648", "-2147483649", "[]", "{}", "1e20"] {
        assert!(clause("eq", value).is_err(), "{value}");
    }
    assert!(clause("gt", "true").is_err());
    let error = serde_json::from_str::<Filter>(r#"{"conjunction":"and"}"#).unwrap_err();
    assert!(error.to_string().starts_with("missing field `clauses`"), "{error}");
    let text = r#"{"conjunction":"and","clauses":[{"property":"a"}]}"#;
    let error = serde_json::from_str::<Filter>(text).unwrap_err();
    assert!(error.to_string().starts_with("missing field `operator`"), "{error}");
    assert!(clause("is", "1").is_err());
    assert!(FilterClause::new("timestamp", Operator::Equal, true).is_err());
    assert!(FilterClause::new("a", Operator::NotEqual, true).is_ok());
}

#[test]
fn it_nests_so_deep_and_no_deeper() {
    let mut filter = Filter::and();
    for _ in 1..FILTER_LEVELS_MAX {
        filter = Filter::or().nest(filter).unwrap();
    }
    let text = serde_json::to_string(&filter).unwrap();
    assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
    assert_eq!(Filter::or().nest(filter.clone()), Err(InvalidFilter::TooDeep));
    let mut inner = Filter::or().clause(FilterClause::equal("a", 1));
    for _ in 1..FILTER_LEVELS_MAX {
        inner = Filter::or().nest(inner).unwrap();
    }
    let meter = format!(r#"[{{"filter":{}}}]"#, serde_json::to_string(&inner).unwrap());
    let read: Vec<std::collections::BTreeMap<String, Filter>> =
        serde_json::from_str(&meter).unwrap();
    assert_eq!(read[0]["filter"], inner);
    let text = format!(r#"{{"conjunction":"or","clauses":[{text}]}}"#);
    assert!(serde_json::from_str::<Filter>(&text).is_err());
}
