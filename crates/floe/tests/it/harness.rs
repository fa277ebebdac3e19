//! A server to talk to, a client that checks every answer, and shorthand for requests.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ROOT_TOKEN: &str = "root-token-of-the-tests";
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// A running `floe serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server on a data folder, on a port of the system's choice.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_floe"));
        Self::start_by(command, data, "127.0.0.1:0", arguments)
    }

    /// The same at an address where another one was.
    pub(crate) fn start_at(data: &Path, address: SocketAddr) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_floe"));
        Self::start_by(command, data, &address.to_string(), &[])
    }

    /// The same on a disk that is soon full: no file may be longer than so many KiB.
    pub(crate) fn start_limited(data: &Path, file_kib_max: u32) -> Self {
        let script = format!("trap '' XFSZ; ulimit -f {file_kib_max}; exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_floe")]);
        Self::start_by(command, data, "127.0.0.1:0", &[])
    }

    fn start_by(mut command: Command, data: &Path, listen: &str, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", listen, "--log-format", "json", "--data"])
            .arg(data)
            .args(arguments)
            .env("FLOE_ROOT_TOKEN", ROOT_TOKEN)
            .env_remove("FLOE_CONFIG")
            .env_remove("FLOE_DATA")
            .env_remove("FLOE_LISTEN")
            .env_remove("FLOE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("floe starts");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, receiver) = channel();
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    let _ = sender.send(address);
                }
                let mut log = shared.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok(address) = receiver.recv_timeout(START_TIME_MAX) else {
            let _ = child.kill();
            panic!("floe did not start:\n{}", log.lock().unwrap());
        };
        let server = Self { child, address, log };
        let began = Instant::now();
        while !client()
            .get(format!("http://{address}/healthz"))
            .send()
            .is_ok_and(|answer| answer.status() == 200)
        {
            assert!(began.elapsed() < START_TIME_MAX, "no health:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// The most memory that it ever had, in KiB; `None` where the system does not tell.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A client with the root token.
    pub(crate) fn root(&self) -> Api {
        Api::new(self.address, Some(ROOT_TOKEN))
    }

    /// A new organization with a token that may do everything in it.
    pub(crate) fn organization(&self) -> Api {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        // A folder outlives the process that counts.
        let slug = format!("o-{}-{n}", uuid::Uuid::new_v4().simple());
        let body = json!({"name": slug, "slug": slug});
        let made = self.root().post("/v1/organizations/", &body).expect(201);
        self.token(text(&made, "id"), &SCOPES)
    }

    /// A client with a new token of an organization.
    pub(crate) fn token(&self, organization: &str, scopes: &[&str]) -> Api {
        let body = json!({"organization_id": organization, "comment": "test", "scopes": scopes});
        let made = self.root().post("/v1/organization-access-tokens/", &body).expect(201);
        let mut api = Api::new(self.address, Some(text(&made, "token")));
        organization.clone_into(&mut api.organization_id);
        api
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(mut self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Kills it at once, as a power cut would end it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that says that the server is ready.
fn address_in(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    if fields.get("message")? != "serving" {
        return None;
    }
    fields.get("address")?.as_str()?.parse().ok()
}

/// Every scope that there is.
pub(crate) const SCOPES: [&str; 11] = [
    "meters:read",
    "meters:write",
    "events:read",
    "events:write",
    "customers:read",
    "customers:write",
    "customer_meters:read",
    "customer_meters:write",
    "organizations:read",
    "organization_access_tokens:read",
    "organization_access_tokens:write",
];

/// The server that most tests share, each in organizations of its own.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = TempDir::new().unwrap().keep();
        let server = Server::start(&folder.join("data"));
        guard(server.child.id(), &folder);
        server
    })
}

/// Nothing drops a static when the tests end: a process that waits for our end kills the server
/// and removes its folder.
fn guard(server: u32, folder: &Path) {
    let script = r#"cat >/dev/null; kill -9 "$1"; rm -rf "$2""#;
    let mut guard = Command::new("sh")
        .args(["-c", script, "guard", &server.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    // Its standard input is closed when this process ends, however it ends.
    static GUARD: OnceLock<(Child, PathBuf)> = OnceLock::new();
    assert!(guard.stdin.is_some());
    let _ = guard.try_wait();
    let _ = GUARD.set((guard, folder.to_owned()));
}

/// A new organization on the shared server, and a token that may do everything in it.
pub(crate) fn organization() -> Api {
    server().organization()
}

/// The root token on the shared server.
pub(crate) fn root() -> Api {
    server().root()
}

/// A caller.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    /// Whose token it is; empty for none.
    pub(crate) organization_id: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
    /// Null if it has no body.
    pub(crate) json: Value,
    asked: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body, if the status is the one expected.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        self.json
    }

    /// The items of a page.
    #[track_caller]
    pub(crate) fn items(self) -> Vec<Value> {
        let json = self.expect(200);
        let Some(Value::Array(items)) = json.get("items") else { panic!("no page: {json}") };
        items.clone()
    }

    /// `type` and `loc` of the errors of a 422, as `type@loc.loc`.
    #[track_caller]
    pub(crate) fn errors(&self) -> Vec<String> {
        assert_eq!(self.status, 422, "{}: {}", self.asked, self.text);
        let class = text(&self.json, "error");
        assert!(["RequestValidationError", "PolarRequestValidationError"].contains(&class));
        let items = self.json["detail"].as_array().expect("a list of errors");
        assert!(!items.is_empty(), "{}", self.text);
        items
            .iter()
            .map(|item| {
                assert!(item["msg"].is_string(), "{item}");
                assert!(item.get("input").is_some(), "{item}");
                assert!(item.get("ctx").is_none_or(Value::is_object), "{item}");
                let loc = item["loc"].as_array().expect("a loc");
                let loc: Vec<_> = loc
                    .iter()
                    .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
                    .collect();
                format!("{}@{}", text(item, "type"), loc.join("."))
            })
            .collect()
    }

    /// The answer is 422 of these errors: `type@loc.loc`, separated by spaces.
    #[track_caller]
    pub(crate) fn refuses(&self, errors: &str) {
        assert_eq!(self.errors().join(" "), errors, "{}: {}", self.asked, self.text);
        let class = text(&self.json, "error");
        assert!(class == "RequestValidationError", "{class} for {errors}");
    }

    /// As `refuses`, by rules beyond the schema.
    #[track_caller]
    pub(crate) fn refuses_by_rule(&self, errors: &str) {
        assert_eq!(self.errors().join(" "), errors, "{}: {}", self.asked, self.text);
        let class = text(&self.json, "error");
        assert!(class == "PolarRequestValidationError", "{class} for {errors}");
        for item in self.json["detail"].as_array().unwrap() {
            assert!(item.get("ctx").is_none(), "business errors have no ctx: {item}");
        }
    }

    /// The answer is the 404 of a row that the caller cannot see.
    #[track_caller]
    pub(crate) fn is_absent(&self) {
        assert_eq!(self.status, 404, "{}: {}", self.asked, self.text);
        assert_eq!(self.json, json!({"error": "ResourceNotFound", "detail": "Not found"}));
    }
}

pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // floe-client brings its TLS along, so here reqwest has TLS without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(120))
            .build()
            .unwrap()
    })
}

impl Api {
    pub(crate) fn new(address: SocketAddr, token: Option<&str>) -> Self {
        Self {
            address,
            token: token.map(str::to_owned),
            organization_id: String::new(),
            headers: Vec::new(),
        }
    }

    /// The same caller with a further header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut api = self.clone();
        api.headers.push((name.to_owned(), value.to_owned()));
        api
    }

    /// The same caller without a token.
    pub(crate) fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same caller with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None::<&str>)
    }

    /// A GET with parameters, which are escaped.
    pub(crate) fn query(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        self.get(&format!("{path}?{}", encode(parameters)))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body.to_string()))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(body.to_string()))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None::<&str>)
    }

    /// Sends a request, and checks what holds for every answer: nothing is a server's failure,
    /// and each is JSON that nobody may cache, of a version of the API.
    #[track_caller]
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<impl Into<reqwest::blocking::Body>>,
    ) -> Answer {
        let answer = self.send_unchecked(method, path, body);
        assert!(answer.status < 500, "{}: {} {}", answer.asked, answer.status, answer.text);
        answer
    }

    /// As [`send`](Self::send), but the server may fail.
    #[track_caller]
    pub(crate) fn send_unchecked(
        &self,
        method: &str,
        path: &str,
        body: Option<impl Into<reqwest::blocking::Body>>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let mut request = client().request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                request = request.header("Content-Type", "application/json");
            }
            request = request.body(body);
        }
        for (name, value) in &self.headers {
            if !value.is_empty() || !name.eq_ignore_ascii_case("content-type") {
                request = request.header(name, value);
            }
        }
        let answer = request.send().unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let status = answer.status().as_u16();
        let headers = answer.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let text = answer.text().unwrap();
        let mut asked = format!("{method} {path}");
        if asked.len() > 300 {
            let end = (0..=300).rev().find(|end| asked.is_char_boundary(*end)).unwrap();
            asked.truncate(end);
        }
        let json = if text.is_empty() {
            Value::Null
        } else {
            let raw = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            assert!(raw.is_ok(), "{asked}: not JSON: {text}");
            // Of valid JSON, only a number beyond f64 cannot be a value here.
            serde_json::from_str(&text).unwrap_or_default()
        };
        let answer = Answer { status, headers, text, json, asked };
        if path.starts_with("/v1/") {
            if status != 204 {
                let is_export = status == 200 && path.starts_with("/v1/events/export");
                let kind = if is_export { "application/x-ndjson" } else { "application/json" };
                assert_eq!(answer.header("content-type"), Some(kind), "{path}");
            }
            if status < 300 && status != 204 {
                let cache = answer.header("cache-control");
                assert_eq!(cache, Some("private, no-store"), "{}", answer.asked);
            }
        }
        answer
    }

    /// Ingests events, all of them new.
    #[track_caller]
    pub(crate) fn ingest(&self, events: &Value) {
        let count = events.as_array().unwrap().len();
        let answer = self.post("/v1/events/ingest", &json!({"events": events})).expect(200);
        assert_eq!(answer, json!({"inserted": count, "duplicates": 0}));
    }

    /// Makes a meter and returns its id. The filter is of clauses that must all hold.
    #[track_caller]
    pub(crate) fn meter(&self, clauses: &Value, aggregation: &Value) -> String {
        let body = json!({
            "name": "meter",
            "filter": {"conjunction": "and", "clauses": clauses},
            "aggregation": aggregation,
        });
        id(&self.post("/v1/meters/", &body).expect(201))
    }

    /// A meter that counts all events.
    #[track_caller]
    pub(crate) fn count_meter(&self) -> String {
        self.meter(&json!([]), &json!({"func": "count"}))
    }

    /// Makes a customer.
    #[track_caller]
    pub(crate) fn customer(&self, email: &str, external_id: Option<&str>) -> Value {
        let body = json!({"email": email, "external_id": external_id});
        self.post("/v1/customers/", &body).expect(201)
    }

    /// A meter's quantities and total, with their points' times.
    #[track_caller]
    pub(crate) fn points(
        &self,
        meter: &str,
        parameters: &[(&str, &str)],
    ) -> (Vec<(String, f64)>, f64) {
        let path = format!("/v1/meters/{meter}/quantities");
        let answer = self.query(&path, parameters).expect(200);
        let points = answer["quantities"].as_array().unwrap().iter();
        let points =
            points.map(|p| (text(p, "timestamp").to_owned(), p["quantity"].as_f64().unwrap()));
        (points.collect(), answer["total"].as_f64().unwrap())
    }

    /// A meter's quantities and total, by day from `start` to `end`, in UTC.
    #[track_caller]
    pub(crate) fn quantities(
        &self,
        meter: &str,
        start: &str,
        end: &str,
        more: &[(&str, &str)],
    ) -> (Vec<f64>, f64) {
        let mut parameters =
            vec![("start_timestamp", start), ("end_timestamp", end), ("interval", "day")];
        parameters.extend(more);
        let (points, total) = self.points(meter, &parameters);
        (points.into_iter().map(|(_, quantity)| quantity).collect(), total)
    }
}

/// Parameters of a query, escaped.
pub(crate) fn encode(parameters: &[(&str, &str)]) -> String {
    let pairs =
        parameters.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Text as a part of an address.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

/// A member that is text.
#[track_caller]
pub(crate) fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no text `{key}`: {json}"))
}

/// The `id` of something.
#[track_caller]
pub(crate) fn id(json: &Value) -> String {
    text(json, "id").to_owned()
}

/// The members `key` of items, as text.
#[track_caller]
pub(crate) fn column(items: &[Value], key: &str) -> Vec<String> {
    items.iter().map(|item| text(item, key).to_owned()).collect()
}

/// The object has exactly these keys.
#[track_caller]
pub(crate) fn assert_keys(json: &Value, keys: &str) {
    let mut found: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
    let mut keys: Vec<_> = keys.split_whitespace().map(str::to_owned).collect();
    found.sort();
    keys.sort();
    assert_eq!(found, keys, "{json}");
}

/// Sends bytes on a connection of their own and returns all that comes back until the other side
/// closes it, or nothing came for a while.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // The server may answer and close before it has read all.
    let _ = stream.write_all(bytes);
    read_all(&mut stream, Duration::from_secs(2))
}

/// Reads until the end, or until nothing came for a while.
pub(crate) fn read_all(stream: &mut TcpStream, silence: Duration) -> String {
    stream.set_read_timeout(Some(silence)).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
