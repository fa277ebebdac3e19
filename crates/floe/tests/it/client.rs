//! The typed client and its examples, against a server.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use floe_client::{
    Aggregation, AggregationFunction, Client, Cost, CreditCreate, CustomerCreate, CustomerDelete,
    CustomerKind, CustomerMetersList, CustomerSort, CustomerUpdate, CustomersList, Error,
    EventCreate, EventNameSort, EventNamesList, EventSource, EventTypeUpdate, EventTypesList,
    EventsList, EventsStream, Filter, FilterClause, IngestorOptions, Interval, LargeInteger, Llm,
    Metadata, MetadataValue, MeterCreate, MeterSort, MeterUnit, MeterUpdate, MetersList,
    OrganizationUpdate, Quantities, Timestamp, TokenCreate, TokenUpdate, TokensList, Uuid,
};

use crate::harness::{Api, ROOT_TOKEN, organization, server};

/// The client's calls need a runtime; one does for all tests.
static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

fn url() -> String {
    format!("http://{}", server().address)
}

fn client_of(api: &Api) -> Client {
    Client::new(url(), api.token.as_ref().unwrap()).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An id of nothing.
fn unknown_id() -> Uuid {
    Uuid::parse_str("9f1b5c3e-0f0a-4c55-9d5c-1f6f8a3b2c4d").unwrap()
}

fn usage(customer: &str, at: &str, tokens: i64) -> EventCreate {
    EventCreate::for_external_customer("usage", customer)
        .timestamp(time(at))
        .property("tokens", tokens)
}

fn march(interval: Interval) -> Quantities {
    Quantities::new(time("2024-03-01T00:00:00Z"), time("2024-03-03T23:59:59Z"), interval)
}

#[test]
fn meters_are_made_changed_listed_and_count() {
    let client = client_of(&organization());
    RUNTIME.block_on(async {
        let events = [
            usage("a", "2024-03-01T10:00:00Z", 5),
            usage("a", "2024-03-02T10:00:00Z", 7).property("model", "x-large"),
            usage("b", "2024-03-02T11:00:00Z", 20),
            EventCreate::for_external_customer("other", "a").property("tokens", 1000),
        ];
        let ingested = client.events().ingest(&events).await.unwrap();
        assert_eq!((ingested.inserted, ingested.duplicates), (4, 0));
        let either = Filter::or()
            .clause(FilterClause::greater_or_equal("tokens", 7))
            .clause(FilterClause::not_like("model", "small"));
        let filter =
            Filter::and().clause(FilterClause::equal("name", "usage")).nest(either).unwrap();
        let create = MeterCreate::new("Tokens", filter.clone(), Aggregation::sum("tokens"))
            .custom_unit("kT")
            .custom_multiplier(1000)
            .metadata(Metadata::new().with("plan", "pro"));
        let meters = client.meters();
        let meter = meters.create(&create).await.unwrap();
        assert_eq!((&meter.filter, meter.unit), (&filter, MeterUnit::Custom));
        assert_eq!(meters.get(meter.id).await.unwrap(), meter);
        // 5 is less than 7, and that event has no model.
        let answer = meters.quantities(meter.id, &march(Interval::Day)).await.unwrap();
        let days: Vec<_> =
            answer.quantities.iter().map(|day| (day.timestamp.to_string(), day.quantity)).collect();
        let day = |n: u8| format!("2024-03-0{n}T00:00:00Z");
        assert_eq!(days, [(day(1), 0.0), (day(2), 27.0), (day(3), 0.0)]);
        assert_eq!(answer.total, 27.0);
        let of_a = march(Interval::Month).external_customer_id("a").metadata("tokens", 7);
        assert_eq!(meters.quantities(meter.id, &of_a).await.unwrap().total, 7.0);
        let greatest = march(Interval::Month)
            .timezone("Europe/Berlin")
            .customer_aggregation_function(AggregationFunction::Max);
        assert_eq!(
            meters.quantities(meter.id, &greatest).await.unwrap().quantities[0].quantity,
            20.0
        );
        let update = MeterUpdate::new()
            .unit(MeterUnit::Scalar)
            .custom_label(None)
            .custom_multiplier(None)
            .metadata([("plan", "free")]);
        let updated = meters.update(meter.id, &update).await.unwrap();
        assert_eq!((updated.custom_label, updated.custom_multiplier), (None, None));
        assert_eq!(updated.name, "Tokens", "what is not named stays");
        let error = meters.update(meter.id, &MeterUpdate::new().filter(filter)).await.unwrap_err();
        assert_eq!(error.violations()[0].kind, "forbidden");
        let second = MeterCreate::new("All", Filter::and(), Aggregation::count()).token_unit();
        meters.create(&second).await.unwrap();
        let names = async |list: MetersList| {
            let page = meters.list(&list).await.unwrap();
            page.items.into_iter().map(|meter| meter.name).collect::<Vec<_>>()
        };
        assert_eq!(names(MetersList::new()).await, ["All", "Tokens"]);
        assert_eq!(names(MetersList::new().descending(MeterSort::Name).limit(1)).await, ["Tokens"]);
        assert_eq!(names(MetersList::new().metadata("plan", "free")).await, ["Tokens"]);
        assert_eq!(names(MetersList::new().query("oke")).await, ["Tokens"]);
        assert!(meters.archive(meter.id).await.unwrap().archived_at.is_some());
        assert_eq!(names(MetersList::new().is_archived(true)).await, ["Tokens"]);
        assert!(meters.unarchive(meter.id).await.unwrap().archived_at.is_none());
        let mut all = meters.list_all(&MetersList::new().limit(1));
        let mut count = 0;
        while let Some(meter) = all.next().await {
            meter.unwrap();
            count += 1;
        }
        assert_eq!(count, 2);
        let unknown = meters.get(unknown_id()).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound { .. }), "{unknown:?}");
        let error = meters.quantities(meter.id, &march(Interval::Hour).timezone("Mars")).await;
        let error = error.unwrap_err();
        assert_eq!(error.violations()[0].input, "Mars");
        let short = MeterCreate::new("ab", Filter::and(), Aggregation::count());
        let error = meters.create(&short).await.unwrap_err();
        assert_eq!(
            error.violations()[0].to_string(),
            "body.name: String should have at least 3 characters"
        );
    });
}

#[test]
fn events_come_back_as_they_were_sent() {
    let client = client_of(&organization());
    RUNTIME.block_on(async {
        let large: LargeInteger = "123456789012345678901234567890".parse().unwrap();
        let metadata = Metadata::new()
            .with("_cost", Cost::usd("0.0125").unwrap())
            .with("_llm", Llm::new("acme", "large", 3, 4).prompt("p").cached_input_tokens(1))
            .with("i", -7)
            .with("u", u64::MAX)
            .with("l", MetadataValue::LargeInteger(large))
            .with("f", 7.0)
            .with("s", "é")
            .with("b", true);
        let parent = usage("a", "2024-03-01T10:00:00.123456Z", 1).external_id("parent");
        let child = EventCreate::for_external_customer("child", "a")
            .timestamp(time("2024-03-02T00:00:00Z"))
            .external_id("child")
            .parent_id("parent")
            .external_member_id("m")
            .metadata(metadata.clone());
        let batch = [parent.clone(), child];
        client.events().ingest(&batch).await.unwrap();
        let again = client.events().ingest(&batch).await.unwrap();
        assert_eq!((again.inserted, again.duplicates), (0, 2));
        let events = client.events().list(&EventsList::new()).await.unwrap().items;
        assert_eq!(events[0].name, "child");
        assert_eq!(events[0].metadata, metadata);
        assert_eq!(events[0].parent_id, Some(events[1].id));
        assert_eq!(events[0].external_member_id.as_deref(), Some("m"));
        assert_eq!(events[1].timestamp, time("2024-03-01T10:00:00.123456Z"));
        assert_eq!((events[1].child_count, events[1].source), (1, EventSource::User));
        assert_eq!(client.events().get(events[0].id).await.unwrap(), events[0]);
        let names = async |list: EventsList| {
            let page = client.events().list(&list).await.unwrap();
            page.items.into_iter().map(|event| event.name).collect::<Vec<_>>()
        };
        assert_eq!(names(EventsList::new().name("usage")).await, ["usage"]);
        assert_eq!(names(EventsList::new().after(time("2024-03-01T12:00:00Z"))).await, ["child"]);
        assert_eq!(names(EventsList::new().before(time("2024-03-01T12:00:00Z"))).await, ["usage"]);
        assert_eq!(names(EventsList::new().parent_id(events[1].id)).await, ["child"]);
        assert_eq!(names(EventsList::new().depth(0)).await, ["usage"]);
        assert_eq!(names(EventsList::new().metadata("f", 7.0)).await, ["child"]);
        let filter = Filter::and().clause(FilterClause::less("tokens", 2));
        assert_eq!(names(EventsList::new().filter(&filter)).await, ["usage"]);
        let mut all = client.events().list_all(&EventsList::new().limit(1));
        assert_eq!(all.next().await.unwrap().unwrap().name, "usage", "the earliest first");
        assert_eq!(all.next().await.unwrap().unwrap().name, "child");
        assert!(all.next().await.is_none());
        let list = EventNamesList::new().ascending(EventNameSort::Name).source(EventSource::User);
        let found = client.events().names(&list).await.unwrap().items;
        assert_eq!((found[0].name.as_str(), found[0].occurrences), ("child", 1));
        let types = client.event_types().list(&EventTypesList::new().query("CHI")).await.unwrap();
        let id = types.items[0].id.unwrap();
        let update = EventTypeUpdate::new(" Child ").label_property_selector("s");
        let updated = client.event_types().update(id, &update).await.unwrap();
        assert_eq!(updated.label, "Child");
        assert_eq!(updated.label_property_selector.as_deref(), Some("s"));
        let early = [usage("a", "2999-01-01T00:00:00Z", 1), parent];
        let error = client.events().ingest(&early).await.unwrap_err();
        let violation = &error.violations()[0];
        assert!(violation.to_string().starts_with("body.events.0."), "{violation}");
    });
}

#[test]
fn customers_are_made_found_changed_credited_and_deleted() {
    let client = client_of(&organization());
    RUNTIME.block_on(async {
        let customers = client.customers();
        let ada = CustomerCreate::new("ada@example.com")
            .external_id("u/1 ü")
            .name("Ada")
            .billing_address(floe_client::Address::new("US").state("CA").line1("1 Main"))
            .locale("FR-ca")
            .metadata([("n", 1)]);
        let ada = customers.create(&ada).await.unwrap();
        assert_eq!(ada.locale.as_deref(), Some("fr-CA"));
        assert_eq!(ada.billing_address.as_ref().unwrap().state.as_deref(), Some("US-CA"));
        let owner = floe_client::CustomerOwner::new("o@example.com").name("O").external_id("o");
        let team = customers.create(&CustomerCreate::team_of(owner)).await.unwrap();
        assert_eq!((team.kind, team.email), (CustomerKind::Team, None));
        assert_eq!(customers.get(ada.id).await.unwrap(), ada);
        assert_eq!(customers.get_external("u/1 ü").await.unwrap(), ada);
        let list = CustomersList::new().ascending(CustomerSort::CreatedAt);
        assert_eq!(customers.list(&list).await.unwrap().items[0], ada);
        let by_email = CustomersList::new().email("ADA@example.com").metadata("n", 1);
        assert_eq!(customers.list(&by_email).await.unwrap().pagination.total_count, 1);
        let update = CustomerUpdate::new().name(None).locale(None).email("ada@example.org");
        let ada = customers.update_external("u/1 ü", &update).await.unwrap();
        assert_eq!((ada.name.as_deref(), ada.locale.as_deref()), (None, None));
        let kind = CustomerUpdate::new().kind(CustomerKind::Individual);
        let error = customers.update(team.id, &kind).await.unwrap_err();
        assert_eq!(error.violations().len(), 1, "{error}");
        let taken = customers.create(&CustomerCreate::new("ada@EXAMPLE.org")).await.unwrap_err();
        assert!(taken.violations()[0].to_string().starts_with("body.email: "), "{taken}");

        let meter = MeterCreate::new("Tokens", Filter::and(), Aggregation::sum("tokens"));
        let meter = client.meters().create(&meter).await.unwrap();
        let event = EventCreate::for_customer("usage", ada.id).property("tokens", 30);
        client.events().ingest(&[event]).await.unwrap();
        let list = CustomerMetersList::new().customer_id(ada.id).meter_id(meter.id);
        let found = client.customer_meters().list(&list).await.unwrap().items.remove(0);
        assert_eq!((found.consumed_units, found.credited_units, found.balance), (30.0, 0, -30.0));
        let credit = CreditCreate::new(100).external_id("i").rollover(true);
        for _ in 0..2 {
            let found = client.customer_meters().credit(found.id, &credit).await.unwrap();
            assert_eq!((found.credited_units, found.balance), (100, 70.0));
        }
        assert_eq!(client.customer_meters().get(found.id).await.unwrap().balance, 70.0);
        let state = customers.state(ada.id).await.unwrap();
        assert_eq!(state.customer.email.as_deref(), Some("ada@example.org"));
        assert_eq!(state.active_meters[0].balance, 70.0);
        assert_eq!(customers.state_external("u/1 ü").await.unwrap(), state);
        let reset = client.customer_meters().reset(found.id).await.unwrap();
        assert_eq!(
            (reset.consumed_units, reset.credited_units),
            (0.0, 70),
            "what is left rolls over"
        );
        let zero = client.customer_meters().credit(found.id, &CreditCreate::new(0)).await;
        assert_eq!(zero.unwrap_err().violations().len(), 1);
        customers.delete_external("u/1 ü", CustomerDelete::Anonymize).await.unwrap();
        customers.delete(team.id, CustomerDelete::Keep).await.unwrap();
        let gone = customers.delete(team.id, CustomerDelete::Keep).await.unwrap_err();
        assert!(matches!(gone, Error::NotFound { .. }));
    });
}

#[test]
fn organizations_and_tokens_are_made_and_changed() {
    let api = organization();
    let root = Client::new(url(), ROOT_TOKEN).unwrap();
    let id = Uuid::parse_str(&api.organization_id).unwrap();
    RUNTIME.block_on(async {
        let update = OrganizationUpdate::new().name("New name");
        let updated = root.organizations().update(id, &update).await.unwrap();
        assert_eq!(root.organizations().get(id).await.unwrap(), updated);
        assert_eq!(client_of(&api).organizations().get(id).await.unwrap().name, "New name");
        let token = TokenCreate::new("c", ["events:write"]).organization(id);
        let made = root.tokens().create(&token).await.unwrap();
        let token_id = made.organization_access_token.id;
        let narrow = Client::new(url(), &made.token).unwrap();
        let error = narrow.meters().list(&MetersList::new()).await.unwrap_err();
        let Error::Forbidden { scope: Some(scope), .. } = error else { panic!("{error:?}") };
        let scopes: std::collections::BTreeSet<_> = scope.split(' ').collect();
        assert_eq!(scopes, ["meters:read", "meters:write"].into());
        let update = TokenUpdate::new().comment("d").scopes(["meters:read"]);
        let updated = root.tokens().update(token_id, &update).await.unwrap();
        assert_eq!(
            (updated.comment.as_str(), updated.scopes),
            ("d", vec!["meters:read".to_owned()])
        );
        narrow.meters().list(&MetersList::new()).await.unwrap();
        let mut comments = Vec::new();
        let mut all = root.tokens().list_all(&TokensList::new().organization(id).limit(1));
        while let Some(token) = all.next().await {
            comments.push(token.unwrap().comment);
        }
        assert_eq!(comments.last().map(String::as_str), Some("d"));
        root.tokens().revoke(token_id).await.unwrap();
        let error = narrow.meters().list(&MetersList::new()).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized));
    });
}

#[test]
fn a_stream_yields_events_and_goes_on_from_its_place() {
    let client = client_of(&organization());
    RUNTIME.block_on(async {
        let ingest = async |numbers: std::ops::Range<i64>| {
            let events: Vec<_> = numbers.map(|n| usage("a", "2024-03-01T10:00:00Z", n)).collect();
            client.events().ingest(&events).await.unwrap();
        };
        ingest(0..1).await;
        let large = Filter::and().clause(FilterClause::greater_or_equal("tokens", 2));
        let asked = EventsStream::new().name("usage").external_customer_id("a").filter(&large);
        let mut stream = client.events().stream(asked.clone()).await.unwrap();
        ingest(1..5).await;
        let mut place = None;
        for expected in 2_i64..4 {
            let event = stream.next().await.unwrap();
            assert_eq!(event.metadata.get("tokens"), Some(&MetadataValue::from(expected)));
            let id = event.id.to_string();
            let got = client.events().get(event.id).await.unwrap();
            assert_eq!(got, event);
            assert_eq!(stream.place(), Some(id.as_str()));
            place = Some(id);
        }
        drop(stream);
        // In another process, perhaps.
        let asked = asked.after(place.unwrap());
        let mut stream = client.events().stream(asked).await.unwrap();
        let event = stream.next().await.unwrap();
        assert_eq!(event.metadata.get("tokens"), Some(&MetadataValue::from(4_i64)));
        let nowhere = EventsStream::new().after("nowhere");
        let error = client.events().stream(nowhere).await.unwrap_err();
        assert!(matches!(error, Error::Validation(_)), "{error}");
        let nobody = EventsStream::new().organization(unknown_id());
        let error = client.events().stream(nobody).await.unwrap_err();
        assert!(matches!(error, Error::Validation(_)), "{error}");
    });
}

#[test]
fn an_ingestor_counts_once_and_tells_what_is_refused() {
    let client = client_of(&organization());
    RUNTIME.block_on(async {
        let ingestor = IngestorOptions::new().batch_events(7).start(&client).unwrap();
        for n in 0..50 {
            ingestor.send(usage("a", "2024-03-01T00:00:00Z", n)).await.unwrap();
        }
        ingestor.send(EventCreate::for_customer("usage", unknown_id())).await.unwrap();
        ingestor.send(EventCreate::for_external_customer("a", "b")).await.unwrap();
        let flushed = ingestor.close().await.unwrap();
        assert_eq!((flushed.inserted, flushed.refused_total), (51, 1));
        let reason = flushed.refused[0].reason.to_string();
        assert!(reason.contains("customer_id: Customer not found"), "{reason}");
    });
}

/// A program of the client's `examples`, which cargo builds beside this one.
fn example(name: &str, token: &str, arguments: &[&str]) -> String {
    let mut path = PathBuf::from(env!("CARGO_BIN_EXE_floe"));
    path.set_file_name("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.exists() {
        // Cargo builds them with the whole workspace; not if only this crate is tested.
        let built = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--package", "floe-client", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "{name} is built");
    }
    let output = Command::new(&path)
        .args(arguments)
        .env("FLOE_URL", url())
        .env("FLOE_TOKEN", token)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{name}: {stdout}\n{stderr}");
    stdout
}

#[test]
fn the_examples_run() {
    let token = organization().token.unwrap();
    assert_eq!(example("readme", &token, &[]), "120\n");
    let token = organization().token.unwrap();
    assert_eq!(
        example("meter", &token, &[]),
        "3 new, 0 known\n2026-03-01T00:00:00Z 120\n2026-03-02T00:00:00Z 80\ntotal 200\nLarge\n"
    );
    let token = organization().token.unwrap();
    let customers = example("customers", &token, &[]);
    assert_eq!(
        customers,
        "Uploads: 700 of 1000 left\nUploads: 0 left\nupload is called Upload\n\
         body.email: A customer with this email address already exists.\n1 meters\ngone\n"
    );
    let token = organization().token.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ingested = example("ingestor", &token, &[folder.path().to_str().unwrap()]);
    let lines: Vec<_> = ingested.lines().collect();
    assert_eq!(lines[..2], ["0 of the last run", "250 new, 1 refused"]);
    assert!(lines[2].contains("body.events.0."), "{}", lines[2]);
    assert_eq!(lines[3], "250 listed");
    let organization = example("organization", ROOT_TOKEN, &["acme-of-the-examples"]);
    let lines: Vec<_> = organization.lines().collect();
    assert!(lines[1].contains("meters:read"), "{}", lines[1]);
    assert_eq!(
        [lines[0], lines[2], lines[3], lines[4]],
        ["Acme Ltd", "0 meters", "ingestion", "revoked"]
    );
}
