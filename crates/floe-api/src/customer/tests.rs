use super::*;
use crate::fields::tests::{any_body, check_errors, json_text, read};
use crate::json::parse;
use proptest::prelude::*;

#[track_caller]
fn check_json(body: &str, expected: &str) {
    let mut errors = Errors::new();
    CustomerCreate::parse(&parse(body.as_bytes()).unwrap(), &mut errors);
    assert_eq!(json_text(&errors), expected);
}

#[test]
fn the_contracts_refusals_are_given_to_the_letter() {
    check_json(
        "{}",
        r#"[{"type":"missing","loc":["body","individual","email"],"msg":"Field required","input":{}}]"#,
    );
    check_json(
        r#"{"email":"bad"}"#,
        r#"[{"type":"value_error","loc":["body","individual","email"],"msg":"value is not a valid email address: An email address must have an @-sign.","input":"bad","ctx":{"reason":"An email address must have an @-sign."}}]"#,
    );
    check_json(
        r#"{"type":"team"}"#,
        r#"[{"type":"value_error","loc":["body","team"],"msg":"Value error, An owner with an email address is required when creating a team customer without an email.","input":{"type":"team"},"ctx":{"error":{}}}]"#,
    );
    check_json(
        r#"{"type":"org"}"#,
        r#"[{"type":"union_tag_invalid","loc":["body"],"msg":"Input tag 'org' found using 'type' does not match any of the expected tags: 'individual', 'team'","input":{"type":"org"},"ctx":{"discriminator":"'type'","tag":"org","expected_tags":"'individual', 'team'"}}]"#,
    );
}

#[test]
fn fields_are_normalised() {
    let body = r#"{
        "type": "individual", "email": "User@Example.COM", "external_id": " u1 ", "name": "  ",
        "billing_address": {"country": "us", "state": "CA"}, "tax_id": "", "locale": "FR-ca",
        "metadata": {"plan": "pro", "seats": 3}, "organization_id": null, "owner": null,
        "unknown": "\u0000"
    }"#;
    let customer = read(body, CustomerCreate::parse).0.unwrap();
    assert_eq!(customer.kind, CustomerKind::Individual);
    assert_eq!(customer.email.as_deref(), Some("User@example.com"));
    assert_eq!(customer.external_id.as_deref(), Some("u1"));
    assert_eq!((customer.name, customer.tax_id), (None, None));
    assert_eq!(customer.billing_address.unwrap().state.as_deref(), Some("US-CA"));
    assert_eq!(customer.locale.as_deref(), Some("fr-CA"));
    assert_eq!(customer.metadata.iter().len(), 2);
}

#[test]
fn a_team_needs_an_address_or_an_owner() {
    let kind = |body: &str| read(body, CustomerCreate::parse).0.map(|customer| customer.kind);
    assert_eq!(kind(r#"{"type":"team","email":"a@b.co"}"#), Some(CustomerKind::Team));
    let owner = r#"{"type":"team","owner":{"email":"a@b.co","name":"A","external_id":null}}"#;
    let team = read(owner, CustomerCreate::parse).0.unwrap();
    assert_eq!((team.kind, team.email), (CustomerKind::Team, None));
    let check = |body: &str, expected: &str| check_errors(body, CustomerCreate::parse, expected);
    check(r#"{"type":"team","email":null,"owner":null}"#, r#"value_error ["body","team"]"#);
    check(r#"{"type":"team","owner":{}}"#, r#"missing ["body","team","owner","email"]"#);
    check(r#"{"type":"team","email":"a"}"#, r#"value_error ["body","team","email"]"#);
}

#[test]
fn wrong_bodies_are_refused_in_the_order_of_the_schema() {
    let check = |body: &str, expected: &str| check_errors(body, CustomerCreate::parse, expected);
    check("null", r#"missing ["body"]"#);
    check("[]", r#"model_attributes_type ["body"]"#);
    check(r#"{"type":null,"email":"a@b.co"}"#, r#"union_tag_invalid ["body"]"#);
    check(r#"{"type":7}"#, r#"union_tag_invalid ["body"]"#);
    check(r#"{"email":null}"#, r#"string_type ["body","individual","email"]"#);
    check(
        r#"{"email":1,"name":2,"external_id":3,"locale":"en_US","tax_id":4,"metadata":null,
            "organization_id":"x","owner":[],"billing_address":"DE"}"#,
        r#"dict_type ["body","individual","metadata"]; string_type ["body","individual","external_id"]; string_type ["body","individual","name"]; model_attributes_type ["body","individual","billing_address"]; string_type ["body","individual","tax_id"]; value_error ["body","individual","locale"]; uuid_parsing ["body","individual","organization_id"]; model_attributes_type ["body","individual","owner"]; string_type ["body","individual","email"]"#,
    );
    check(
        r#"{"email":"a@b.co","billing_address":{}}"#,
        r#"missing ["body","individual","billing_address","country"]"#,
    );
    check(
        r#"{"email":"a@b.co","billing_address":{"country":"ru"}}"#,
        r#"enum ["body","individual","billing_address","country"]"#,
    );
    let name = "é".repeat(257);
    check(
        &format!(r#"{{"email":"a@b.co","name":"{name}"}}"#),
        r#"string_too_long ["body","individual","name"]"#,
    );
    check(
        r#"{"email":"a@b.co","external_id":"\u0000","metadata":{"a\u0000":1}}"#,
        r#"value_error ["body","individual","metadata"]; value_error ["body","individual","external_id"]"#,
    );
    check(
        r#"{"email":"a@b.co","name":"\ud800"}"#,
        r#"string_unicode ["body","individual","name"]"#,
    );
}

#[test]
fn business_rules_of_create_are_collected() {
    let body = r#"{"email":"a@b.co","external_id":"x","tax_id":"DE1"}"#;
    let customer = read(body, CustomerCreate::parse).0.unwrap();
    let mut errors = Errors::new();
    customer.check(|email| email == "a@b.co", |id| id == "x", &mut errors);
    assert_eq!(
        json_text(&errors),
        r#"[{"type":"value_error","loc":["body","email"],"msg":"A customer with this email address already exists.","input":"a@b.co"},{"type":"value_error","loc":["body","external_id"],"msg":"A customer with this external ID already exists.","input":"x"},{"type":"invalid","loc":["body","tax_id"],"msg":"Invalid tax ID.","input":"DE1"}]"#
    );
    let mut errors = Errors::new();
    let free = CustomerCreate { tax_id: None, ..customer };
    free.check(|_| false, |_| false, &mut errors);
    assert!(errors.is_empty());
}

fn stored() -> floe_core::Customer {
    floe_core::Customer {
        id: floe_core::CustomerId(Uuid::from_u128(1)),
        organization_id: OrganizationId(Uuid::from_u128(2)),
        number: 0,
        created_at: Timestamp::from_micros(0).unwrap(),
        modified_at: None,
        deleted_at: None,
        kind: CustomerKind::Team,
        email: Some("User@example.com".to_owned()),
        external_id: Some("ext".to_owned()),
        name: Some("A".to_owned()),
        billing_address: None,
        locale: None,
        metadata: Metadata::default(),
    }
}

#[track_caller]
fn check_update(body: &str, stored: &floe_core::Customer, expected: &[(&str, &str)]) {
    let update = read(body, CustomerUpdate::parse).0.unwrap();
    let mut errors = Errors::new();
    update.check(stored, |email| email == "b@b.co", |id| id == "b", &mut errors);
    let found: Vec<_> = errors
        .items()
        .iter()
        .map(|item| (serde_json::to_string(item.loc()).unwrap(), item.violation().msg()))
        .collect();
    let found: Vec<_> = found.iter().map(|(loc, msg)| (loc.as_str(), *msg)).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn business_rules_of_updates_look_at_the_customer() {
    const EMAIL: (&str, &str) =
        (r#"["body","email"]"#, "A customer with this email address already exists.");
    const ADDRESS: (&str, &str) = (
        r#"["body","billing_address"]"#,
        "Customer billing address cannot be reset to null once set.",
    );
    const FIXED: (&str, &str) =
        (r#"["body","external_id"]"#, "Customer external ID cannot be updated.");
    const TAKEN: (&str, &str) =
        (r#"["body","external_id"]"#, "A customer with this external ID already exists.");
    const TYPE: (&str, &str) =
        (r#"["body","type"]"#, "Customer type cannot be downgraded from 'team' to 'individual'.");
    const TAX: (&str, &str) = (r#"["body","tax_id"]"#, "Invalid tax ID.");
    let team = stored();
    let person =
        floe_core::Customer { kind: CustomerKind::Individual, external_id: None, ..stored() };
    check_update("{}", &team, &[]);
    check_update(r#"{"email":null,"name":null,"locale":null,"tax_id":null}"#, &team, &[]);
    check_update(r#"{"email":"b@B.co"}"#, &team, &[EMAIL]);
    check_update(r#"{"billing_address":null,"tax_id":"x"}"#, &team, &[ADDRESS, TAX]);
    check_update(r#"{"external_id":" ext "}"#, &team, &[]);
    check_update(r#"{"external_id":"other"}"#, &team, &[FIXED]);
    check_update(r#"{"external_id":null}"#, &team, &[FIXED]);
    check_update(r#"{"external_id":" "}"#, &team, &[FIXED]);
    check_update(r#"{"external_id":null}"#, &person, &[]);
    check_update(r#"{"external_id":"b"}"#, &person, &[TAKEN]);
    check_update(r#"{"external_id":"c"}"#, &person, &[]);
    check_update(r#"{"type":"team"}"#, &team, &[]);
    check_update(r#"{"type":"individual"}"#, &team, &[TYPE]);
    check_update(r#"{"type":null}"#, &team, &[TYPE]);
    check_update(r#"{"type":null}"#, &person, &[]);
    check_update(r#"{"type":"team"}"#, &person, &[]);
    check_update(
        r#"{"type":null,"external_id":null,"billing_address":null,"email":"b@b.co"}"#,
        &team,
        &[EMAIL, ADDRESS, FIXED, TYPE],
    );
}

#[test]
fn wrong_updates_are_refused_without_a_tag() {
    let check = |body: &str, expected: &str| check_errors(body, CustomerUpdate::parse, expected);
    check("null", r#"missing ["body"]"#);
    check(
        r#"{"type":"x","external_id":1,"locale":"","billing_address":{"country":"US","state":"X"},
            "name":[],"email":"x","metadata":null,"tax_id":0}"#,
        r#"dict_type ["body","metadata"]; value_error ["body","email"]; string_type ["body","name"]; value_error ["body","billing_address"]; string_type ["body","tax_id"]; value_error ["body","locale"]; string_type ["body","external_id"]; enum ["body","type"]"#,
    );
}

#[test]
fn an_update_by_external_id_ignores_external_id_and_type() {
    let body = r#"{"external_id":1,"type":"x","name":" B "}"#;
    let update = read(body, CustomerUpdate::parse_by_external_id).0.unwrap();
    let expected = CustomerUpdate { name: Some(Some("B".to_owned())), ..CustomerUpdate::default() };
    assert_eq!(update, expected);
}

#[test]
fn an_update_writes_what_is_present() {
    let mut customer = stored();
    read("{}", CustomerUpdate::parse).0.unwrap().apply(&mut customer);
    assert_eq!(customer, stored());
    let body = r#"{"email":null,"name":" ","locale":"DE","metadata":{"a":1},
                   "billing_address":{"country":"DE"}}"#;
    read(body, CustomerUpdate::parse).0.unwrap().apply(&mut customer);
    assert_eq!(customer.email, stored().email);
    assert_eq!((customer.name, customer.locale.as_deref()), (None, Some("de")));
    assert_eq!(customer.metadata.iter().len(), 1);
    assert_eq!(customer.billing_address.unwrap().country, "DE");
    assert!(read("{}", CustomerUpdate::parse).0.unwrap().is_empty());
    assert!(!read(r#"{"name":null}"#, CustomerUpdate::parse).0.unwrap().is_empty());
}

#[test]
fn lists_and_deletions_have_parameters() {
    let mut errors = Errors::new();
    let params = CustomersListParams::parse(&QueryParams::parse(""), &mut errors).unwrap();
    assert_eq!(params.sorting, [(CustomerSort::CreatedAt, Direction::Descending)]);
    let query =
        QueryParams::parse("email=A%40b.co&query=x&active=false&metadata[a]=1&sorting=name");
    let params = CustomersListParams::parse(&query, &mut errors).unwrap();
    assert_eq!(params.email.as_deref(), Some("A@b.co"));
    assert_eq!((params.active, params.metadata.len()), (Some(false), 1));
    let query = QueryParams::parse("organization_id=x&active=2&sorting=external_id");
    assert_eq!(CustomersListParams::parse(&query, &mut errors), None);
    assert_eq!(errors.len(), 3);

    let mut errors = Errors::new();
    let mut anonymize = |raw| {
        DeleteParams::parse(&QueryParams::parse(raw), &mut errors).map(|params| params.anonymize)
    };
    assert_eq!(anonymize(""), Some(false));
    assert_eq!(anonymize("anonymize=true"), Some(true));
    assert_eq!(anonymize("anonymize="), None);
}

#[test]
fn every_field_is_answered() {
    let customer = Customer::new(&stored(), Timestamp::from_micros(-1));
    assert_eq!(
        serde_json::to_string(&customer).unwrap(),
        concat!(
            r#"{"id":"00000000-0000-0000-0000-000000000001","created_at":"1970-01-01T00:00:00Z","#,
            r#""modified_at":null,"metadata":{},"external_id":"ext","email":"User@example.com","#,
            r#""email_verified":false,"type":"team","name":"A","billing_name":"A","#,
            r#""billing_address":null,"tax_id":null,"locale":null,"#,
            r#""organization_id":"00000000-0000-0000-0000-000000000002","#,
            r#""default_payment_method_id":null,"deleted_at":null,"#,
            r#""first_user_event_at":"1969-12-31T23:59:59.999999Z","avatar_url":"#,
            r#""https://www.gravatar.com/avatar/"#,
            r#"b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514?d=404"}"#,
        )
    );
    let nobody = floe_core::Customer { email: None, ..stored() };
    assert_eq!(Customer::new(&nobody, None).avatar_url, None);
}

#[test]
fn a_state_is_a_customer_with_lists() {
    let mut customer = stored();
    customer.metadata = read(r#"{"n":123456789012345678901,"f":1.0}"#, |json, errors| {
        parse_metadata(json, &Loc::BODY, errors)
    })
    .0
    .unwrap();
    let state = CustomerState::new(Customer::new(&customer, None), Vec::new());
    let text = serde_json::to_string(&state).unwrap();
    assert!(text.contains(r#""metadata":{"n":123456789012345678901,"f":1.0}"#), "{text}");
    let tail = r#""active_subscriptions":[],"granted_benefits":[],"active_meters":[]}"#;
    assert!(text.ends_with(tail), "{text}");
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in any_body(&[
        "type", "email", "external_id", "name", "billing_address", "tax_id", "locale", "metadata",
        "organization_id", "owner",
    ])) {
        read(&body, CustomerCreate::parse);
        read(&body, CustomerUpdate::parse);
        read(&body, CustomerUpdate::parse_by_external_id);
    }
}
