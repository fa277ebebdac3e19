//! `GET /v1/event-stream`: what comes, in which order, where it goes on, and when it ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{call, floe};
use crate::harness::{
    Api, ROOT_TOKEN, SCOPES, Server, client, encode, id, organization, root, server, text,
};

const WAIT_MAX: Duration = Duration::from_secs(60);
/// What does not come within this time is taken not to come.
const SILENCE: Duration = Duration::from_millis(600);

/// A message: its id, and the event that it holds.
#[derive(Debug, Clone)]
struct Message {
    id: String,
    event: Value,
}

/// A stream that is read by a thread of its own.
struct Stream {
    messages: Receiver<Message>,
}

impl Stream {
    /// Opens a stream, and waits until the server said that it is there.
    #[track_caller]
    fn open(api: &Api, parameters: &[(&str, &str)]) -> Self {
        let url = format!("http://{}/v1/event-stream?{}", api.address, encode(parameters));
        let mut request = client().get(url).bearer_auth(api.token.as_deref().unwrap());
        for (name, value) in &api.headers {
            request = request.header(name, value);
        }
        let answer = request.send().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "private, no-store");
        let mut lines = BufReader::new(answer);
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert_eq!(first, ": alive\n");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let (mut id, mut event, mut kind) = (String::new(), None, String::new());
            for line in lines.lines().map_while(Result::ok) {
                match line.split_once(": ") {
                    Some(("id", value)) => value.clone_into(&mut id),
                    Some(("event", value)) => value.clone_into(&mut kind),
                    Some(("data", value)) => event = Some(serde_json::from_str(value).unwrap()),
                    Some(("", "alive")) => {}
                    _ => assert_eq!(line, ""),
                }
                if line.is_empty()
                    && let Some(event) = event.take()
                {
                    assert_eq!(kind, "event");
                    if sender.send(Message { id: id.clone(), event }).is_err() {
                        return;
                    }
                }
            }
        });
        Self { messages }
    }

    #[track_caller]
    fn next(&self) -> Message {
        self.messages.recv_timeout(WAIT_MAX).expect("a message")
    }

    /// The names of the next events.
    #[track_caller]
    fn names(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| text(&self.next().event, "name").to_owned()).collect()
    }

    #[track_caller]
    fn is_silent(&self) {
        let next = self.messages.recv_timeout(SILENCE);
        assert_eq!(next.err(), Some(RecvTimeoutError::Timeout));
    }

    #[track_caller]
    fn ends(&self) {
        let next = self.messages.recv_timeout(WAIT_MAX);
        assert_eq!(next.err(), Some(RecvTimeoutError::Disconnected));
    }
}

fn event(name: &str, customer: &str, tokens: i64) -> Value {
    json!({
        "name": name, "external_customer_id": customer, "metadata": {"tokens": tokens},
        "timestamp": "2024-05-01T10:00:00Z",
    })
}

#[test]
fn events_come_as_they_are_ingested_and_as_the_list_has_them() {
    let api = organization();
    api.ingest(&json!([event("before", "ada", 1)]));
    let stream = Stream::open(&api, &[]);
    stream.is_silent();
    // By their timestamps the second would be first.
    let mut second = event("second", "ada", 3);
    second["timestamp"] = json!("2023-01-01T00:00:00Z");
    api.ingest(&json!([event("first", "ada", 2), second]));
    let messages = [stream.next(), stream.next()];
    assert_eq!(text(&messages[0].event, "name"), "first");
    assert_eq!(text(&messages[1].event, "name"), "second");
    for Message { event, .. } in &messages {
        assert_eq!(*event, api.get(&format!("/v1/events/{}", id(event))).expect(200));
    }
    // Credits and resets are events, too.
    let meter = api.count_meter();
    api.customer("ada@example.com", Some("ada"));
    let row = api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items().remove(0);
    let path = format!("/v1/customer-meters/{}/credits", id(&row));
    api.post(&path, &json!({"units": 5})).expect(201);
    assert_eq!(stream.names(1), ["meter.credited"]);
    stream.is_silent();
}

#[test]
fn parameters_choose_events() {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let clauses = json!([{"property": "tokens", "operator": "gt", "value": 10}]);
    let filter = json!({"conjunction": "and", "clauses": clauses}).to_string();
    let by_name = Stream::open(&api, &[("name", "a"), ("name", "b")]);
    let of_ada = Stream::open(&api, &[("customer_id", &ada)]);
    let of_bob = Stream::open(&api, &[("external_customer_id", "bob"), ("name", "c")]);
    let many = Stream::open(&api, &[("filter", &filter)]);
    api.ingest(&json!([
        event("a", "ada", 1),
        event("b", "bob", 20),
        event("c", "bob", 10),
        event("d", "eve", 11),
        event("c", "eve", 11),
    ]));
    assert_eq!(by_name.names(2), ["a", "b"]);
    assert_eq!(of_ada.names(1), ["a"]);
    assert_eq!(of_bob.names(1), ["c"]);
    assert_eq!(many.names(3), ["b", "d", "c"]);
    for stream in [by_name, of_ada, of_bob, many] {
        stream.is_silent();
    }
}

#[test]
fn what_a_meter_counts_is_chosen() {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let clauses = json!([{"property": "name", "operator": "ne", "value": "b"}]);
    let meter = api.meter(&clauses, &json!({"func": "sum", "property": "tokens"}));
    let all = Stream::open(&api, &[("meter_id", &meter)]);
    let named = Stream::open(&api, &[("meter_id", &meter), ("name", "a"), ("name", "b")]);
    let no_number =
        json!({"name": "a", "external_customer_id": "ada", "metadata": {"tokens": "5"}});
    api.ingest(&json!([
        event("a", "ada", 1),
        event("b", "ada", 2),
        event("c", "bob", 3),
        no_number
    ]));
    // A credit passes the filter, and has units, but is no usage.
    let row = api.get(&format!("/v1/customer-meters/?customer_id={ada}")).items().remove(0);
    let credits = format!("/v1/customer-meters/{}/credits", id(&row));
    api.post(&credits, &json!({"units": 5})).expect(201);
    api.ingest(&json!([event("d", "bob", 4)]));
    assert_eq!(all.names(3), ["a", "c", "d"]);
    assert_eq!(named.names(1), ["a"]);
    let listed = api.query("/v1/events/", &[("meter_id", &meter), ("limit", "10")]).items();
    assert_eq!(crate::harness::column(&listed, "name").len(), 3);
    for stream in [all, named] {
        stream.is_silent();
    }
    let path = "/v1/event-stream";
    let other = organization();
    let theirs = other.count_meter();
    api.query(path, &[("meter_id", &theirs)]).refuses_by_rule("meter_id@query.meter_id");
    let asked = [("meter_id", theirs.as_str()), ("organization_id", &api.organization_id)];
    root().query(path, &asked).refuses_by_rule("meter_id@query.meter_id");
    api.query(path, &[("meter_id", "x")]).refuses("uuid_parsing@query.meter_id");
}

#[test]
fn a_stream_follows_its_meter_as_it_is_changed() {
    let api = organization();
    let clauses = |name: &str| json!([{"property": "name", "operator": "eq", "value": name}]);
    let meter = api.meter(&clauses("a"), &json!({"func": "count"}));
    let stream = Stream::open(&api, &[("meter_id", &meter)]);
    let filter = json!({"conjunction": "and", "clauses": clauses("b")});
    api.patch(&format!("/v1/meters/{meter}"), &json!({"filter": filter})).expect(200);
    api.ingest(&json!([event("a", "ada", 1), event("b", "ada", 2)]));
    assert_eq!(stream.names(1), ["b"]);
    stream.is_silent();
}

#[test]
fn organizations_do_not_see_each_other() {
    let (api, other) = (organization(), organization());
    let stream = Stream::open(&api, &[]);
    let as_root = Stream::open(&root(), &[("organization_id", &api.organization_id)]);
    let acting = root().with("Polar-Organization", &api.organization_id);
    let acting = Stream::open(&acting, &[]);
    other.ingest(&json!([event("theirs", "ada", 1)]));
    api.ingest(&json!([event("ours", "ada", 1)]));
    for stream in [stream, as_root, acting] {
        assert_eq!(stream.names(1), ["ours"]);
        stream.is_silent();
    }
    let path = "/v1/event-stream";
    other
        .query(path, &[("organization_id", &api.organization_id)])
        .refuses_by_rule("organization_id@query.organization_id");
    // An event of another organization is none.
    let theirs = id(&other.get("/v1/events/").items()[0]);
    api.with("Last-Event-ID", &theirs)
        .get(path)
        .refuses_by_rule("value_error@header.last-event-id");
    for scope in ["events:read", "events:write"] {
        let reader = server().token(&api.organization_id, &[scope]);
        Stream::open(&reader, &[]);
    }
    let reader = server().token(&api.organization_id, &["meters:read"]);
    assert_eq!(reader.get(path).status, 403);
    assert_eq!(api.anonymous().get(path).status, 401);
}

#[test]
fn wrong_requests_are_refused() {
    let api = organization();
    let path = "/v1/event-stream";
    root().get(path).refuses("missing@query.organization_id");
    let nobody = [("organization_id", "c3c2b1e0-4a27-4c3e-8f4e-1f5f0b1f2d3c")];
    root().query(path, &nobody).refuses_by_rule("organization_id@query.organization_id");
    api.query(path, &[("customer_id", "x"), ("organization_id", "y")])
        .refuses("uuid_parsing@query.organization_id uuid_parsing@query.customer_id.0");
    assert_eq!(api.query(path, &[("filter", "{")]).status, 422);
    for cursor in ["x", "1", "c3c2b1e0-4a27-4c3e-8f4e-1f5f0b1f2d3c"] {
        api.with("Last-Event-ID", cursor)
            .get(path)
            .refuses_by_rule("value_error@header.last-event-id");
    }
}

#[test]
fn a_stream_goes_on_where_another_ended() {
    let api = organization();
    let stream = Stream::open(&api, &[]);
    api.ingest(&json!([event("1", "ada", 1), event("2", "ada", 2), event("3", "ada", 3)]));
    let first = stream.next();
    drop(stream);
    api.ingest(&json!([event("4", "ada", 4)]));
    let again = Stream::open(&api.with("Last-Event-ID", &first.id), &[]);
    assert_eq!(again.names(3), ["2", "3", "4"]);
    again.is_silent();
    let filter = Stream::open(&api.with("Last-Event-ID", &first.id), &[("name", "4")]);
    assert_eq!(filter.names(1), ["4"]);
    // What stands for the beginning.
    let all = api.with("Last-Event-ID", "00000000-0000-0000-0000-000000000000");
    assert_eq!(Stream::open(&all, &[]).names(4), ["1", "2", "3", "4"]);
    // An empty one is none.
    let none = Stream::open(&api.with("Last-Event-ID", ""), &[]);
    none.is_silent();
}

#[test]
fn events_come_from_segments_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = Server::start_with(folder.path(), &["--seal-events", "10"]);
    let api = server.organization();
    let (address, token) = (api.address, api.token.clone().unwrap());
    let batch = |from: i64, to: i64| -> Value {
        (from..to).map(|n| event(&format!("n{}", n % 7), &format!("c{}", n % 3), n)).collect()
    };
    let stream = Stream::open(&api, &[]);
    for from in (0..100).step_by(25) {
        api.ingest(&batch(from, from + 25));
    }
    let messages: Vec<_> = (0..100).map(|_| stream.next()).collect();
    for (n, message) in messages.iter().enumerate() {
        assert_eq!(message.event["metadata"]["tokens"], json!(n));
    }
    server.terminate();
    stream.ends();
    let server = Server::start_at(folder.path(), address);
    let api = server.root().with_token(&token).with("Last-Event-ID", &messages[39].id);
    let tokens = |parameters: &[(&str, &str)], count: usize| -> Vec<i64> {
        let stream = Stream::open(&api, parameters);
        let seen = (0..count).map(|_| stream.next().event["metadata"]["tokens"].as_i64().unwrap());
        let seen = seen.collect();
        stream.is_silent();
        seen
    };
    assert_eq!(tokens(&[], 60), (40..100).collect::<Vec<_>>());
    let sevenths: Vec<_> = (40..100).filter(|n| n % 7 == 2 && n % 3 == 1).collect();
    let parameters = [("name", "n2"), ("external_customer_id", "c1")];
    assert_eq!(tokens(&parameters, sevenths.len()), sevenths);
}

#[test]
fn a_slow_reader_gets_everything_and_holds_nobody_up() {
    let api = organization();
    let url = format!("http://{}/v1/event-stream", api.address);
    let answer = client().get(url).bearer_auth(api.token.as_deref().unwrap()).send().unwrap();
    // More than the buffers between the two take, none of which is read yet.
    let long = "x".repeat(400);
    for batch in 0..20_i64 {
        let events: Value = (0..1000)
            .map(|n| {
                let mut event = event("big", "ada", batch * 1000 + n);
                event["metadata"]["text"] = json!(long);
                event
            })
            .collect();
        api.ingest(&events);
    }
    let lines = BufReader::new(answer).lines().map_while(Result::ok);
    let events = lines.filter_map(|line| {
        let event: Value = serde_json::from_str(line.strip_prefix("data: ")?).unwrap();
        event["metadata"]["tokens"].as_i64()
    });
    assert!(events.take(20_000).eq(0..20_000));
}

#[test]
fn a_stream_ends_with_its_token() {
    let api = organization();
    let made = |scopes: &[&str], expires_in: Option<u64>| {
        let mut body = json!({
            "organization_id": api.organization_id, "comment": "short", "scopes": scopes,
        });
        if let Some(seconds) = expires_in {
            body["expires_in"] = json!(format!("PT{seconds}S"));
        }
        root().post("/v1/organization-access-tokens/", &body).expect(201)
    };
    let token_id = |made: &Value| id(&made["organization_access_token"]);
    let (revoked, narrowed) = (made(&SCOPES, None), made(&SCOPES, None));
    let of_revoked = Stream::open(&api.with_token(text(&revoked, "token")), &[]);
    let of_narrowed = Stream::open(&api.with_token(text(&narrowed, "token")), &[]);
    let of_expiring = made(&SCOPES, Some(3));
    let of_expiring = Stream::open(&api.with_token(text(&of_expiring, "token")), &[]);
    let kept = Stream::open(&api, &[]);
    let path = |made: &Value| format!("/v1/organization-access-tokens/{}", token_id(made));
    assert_eq!(root().delete(&path(&revoked)).status, 204);
    root().patch(&path(&narrowed), &json!({"scopes": ["meters:read"]})).expect(200);
    of_revoked.ends();
    of_narrowed.ends();
    of_expiring.ends();
    api.ingest(&json!([event("after", "ada", 1)]));
    assert_eq!(kept.names(1), ["after"]);
}

#[test]
fn a_server_stops_although_streams_are_open() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    let api = server.organization();
    let streams: Vec<_> = (0..5).map(|_| Stream::open(&api, &[])).collect();
    let began = Instant::now();
    server.terminate();
    // Open requests would be waited for as long as this.
    assert!(began.elapsed() < Duration::from_secs(20));
    for stream in streams {
        stream.ends();
    }
}

/// `floe events tail` while it runs.
struct Tail {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Tail {
    fn start(api: &Api, arguments: &[&str]) -> Self {
        let mut arguments = arguments.to_vec();
        arguments.splice(0..0, ["events", "tail"]);
        let mut child = floe(&arguments)
            .env("FLOE_URL", format!("http://{}", api.address))
            .env("FLOE_TOKEN", api.token.as_deref().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
            let (sender, receiver) = channel();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
            receiver
        }
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Waits until it shows events, and forgets those sent to find that out.
    fn ready(&self, api: &Api) {
        let began = Instant::now();
        loop {
            api.ingest(&json!([event("ready", "ready", 1000)]));
            if self.out.recv_timeout(SILENCE).is_ok() {
                break;
            }
            assert!(began.elapsed() < WAIT_MAX, "it does not begin");
        }
        while self.out.recv_timeout(SILENCE).is_ok() {}
    }

    #[track_caller]
    fn line(&self) -> String {
        self.out.recv_timeout(WAIT_MAX).expect("a line")
    }

    /// Ends it as Ctrl-C does.
    #[track_caller]
    fn interrupt(mut self) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_prints_a_line_an_event() {
    let api = organization();
    let for_people = Tail::start(&api, &[]);
    let for_programs =
        Tail::start(&api, &["--json", "--where", "tokens > 10", "--customer", "ready"]);
    let odd = json!([{"property": "tokens", "operator": "eq", "value": 10},
        {"property": "tokens", "operator": "eq", "value": 1000}]);
    let odd = json!({"conjunction": "or", "clauses": odd});
    let meter = json!({"name": "Odd", "filter": odd, "aggregation": {"func": "count"}});
    api.post("/v1/meters/", &meter).expect(201);
    let of_meter = Tail::start(&api, &["--meter", "Odd"]);
    for_people.ready(&api);
    for_programs.ready(&api);
    of_meter.ready(&api);
    for tail in [&for_people, &for_programs] {
        while tail.out.recv_timeout(SILENCE).is_ok() {}
    }
    api.ingest(&json!([
        event("odd\u{1b}[2J", "ready", 10),
        event("even", "ready", 11),
        event("even", "ada", 12),
    ]));
    assert_eq!(for_people.line(), r#"2024-05-01T10:00:00Z  odd\u{1b}[2J  ready  {"tokens":10}"#);
    assert_eq!(for_people.line(), r#"2024-05-01T10:00:00Z  even  ready  {"tokens":11}"#);
    let event: Value = serde_json::from_str(&for_programs.line()).unwrap();
    assert_eq!((text(&event, "name"), &event["metadata"]["tokens"]), ("even", &json!(11)));
    assert_eq!(of_meter.line(), r#"2024-05-01T10:00:00Z  odd\u{1b}[2J  ready  {"tokens":10}"#);
    assert!(of_meter.out.recv_timeout(SILENCE).is_err());
    for_people.interrupt();
    for_programs.interrupt();
    of_meter.interrupt();
}

#[test]
fn tail_goes_on_when_the_server_is_back() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    let api = server.organization();
    let tail = Tail::start(&api, &[]);
    tail.ready(&api);
    server.terminate();
    let said = tail.err.recv_timeout(WAIT_MAX).unwrap();
    assert!(said.starts_with("Lost the server: "), "{said}");
    let server = Server::start_at(folder.path(), api.address);
    // While nobody may be listening.
    api.ingest(&json!([event("meanwhile", "ada", 1)]));
    assert_eq!(tail.line(), r#"2024-05-01T10:00:00Z  meanwhile  ada  {"tokens":1}"#);
    assert_eq!(tail.err.recv_timeout(WAIT_MAX).unwrap(), "The server is back.");
    tail.interrupt();
    drop(server);
}

#[test]
fn tail_says_what_is_wrong() {
    let address = server().address.to_string();
    call(&address, "wrong", &["events", "tail"]).fails(1, "check --token");
    call(&address, ROOT_TOKEN, &["events", "tail"]).fails(1, "name one with --organization");
    call("127.0.0.1:1", "x", &["events", "tail"]).fails(5, "floe serve");
}
