//! The recorded evaluations of Polar's server, given to the reference evaluator.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "a test fails by panicking, and the question is whether the bits are the same"
)]

mod recorded;

use std::collections::HashMap;

use floe_core::{CustomerDirectory, CustomerId, CustomerSelection, evaluate};

#[test]
fn recorded_cases_agree_to_the_last_bit() {
    assert_eq!(check_file("vectors.jsonl"), 733);
}

#[test]
fn recorded_cases_before_2023_agree_to_the_last_bit() {
    assert_eq!(check_file("vectors-below-http.jsonl"), 12);
}

fn check_file(name: &str) -> usize {
    let text = recorded::read(name);
    let cases = recorded::cases(&text);
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let directory = Directory(case.customers().into_iter().collect());
            let select = |ids: &[_], external_ids: &[_]| {
                CustomerSelection::resolve(ids, external_ids, &directory)
            };
            case.disagreement(&evaluate(&case.query(select), &case.events(), &directory))
        })
        .collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    cases.len()
}

/// The customers of a case, by both spellings.
struct Directory(HashMap<CustomerId, Option<String>>);

impl CustomerDirectory for Directory {
    fn customer_with_external_id(&self, external_id: &str) -> Option<CustomerId> {
        self.0.iter().find(|(_, text)| text.as_deref() == Some(external_id)).map(|(id, _)| *id)
    }

    fn external_id_of(&self, id: CustomerId) -> Option<Option<String>> {
        self.0.get(&id).cloned()
    }
}
