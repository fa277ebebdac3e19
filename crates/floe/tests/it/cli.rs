//! The command line: what it prints, how it ends, and what a server's start and stop leave.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{self, ROOT_TOKEN};

const WAIT_MAX: Duration = Duration::from_secs(60);

/// `floe` with arguments, and nothing of the environment that it heeds.
pub(crate) fn floe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLOE_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

pub(crate) fn end(command: &mut Command) -> Ended {
    Ended::from(command.output().unwrap())
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

impl Ended {
    /// Standard output of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// It failed with this on standard error, and nothing on standard output.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, message: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert!(self.err.contains(message), "{message} is not in {}", self.err);
    }
}

/// A command against a server, with a token.
pub(crate) fn call(address: &str, token: &str, arguments: &[&str]) -> Ended {
    let url = format!("http://{address}");
    end(floe(arguments).env("FLOE_URL", url).env("FLOE_TOKEN", token))
}

/// A command against the server that tests share, with the root token.
fn root(arguments: &[&str]) -> Ended {
    call(&harness::server().address.to_string(), ROOT_TOKEN, arguments)
}

/// A server that a test starts as it likes; killed when dropped.
struct Serving {
    child: Child,
    /// Lines of standard output.
    out: Receiver<String>,
    address: String,
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Read to the end, so that the server never waits for a reader.
            let _ = sender.send(line);
        }
    });
    receiver
}

impl Serving {
    /// Starts `floe serve` with more arguments, and waits until it listens.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let mut serving = Self { child, out, address: String::new() };
        let mut read = String::new();
        while serving.address.is_empty() {
            let Ok(line) = log.recv_timeout(WAIT_MAX) else { panic!("it does not serve: {read}") };
            if let Some((_, rest)) = line.split_once("serving address=") {
                rest.split(' ').next().unwrap().clone_into(&mut serving.address);
            }
            read.push_str(&line);
        }
        serving
    }

    fn on(data: &Path) -> Self {
        Self::start(floe(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data))
    }

    /// The next token with this prefix on standard output.
    fn token(&self, prefix: &str) -> String {
        loop {
            let line = self.out.recv_timeout(WAIT_MAX).expect("a token");
            if line.trim().starts_with(prefix) {
                return line.trim().to_owned();
            }
        }
    }

    /// Asks it to stop; it must end with 0. Returns the rest of standard output.
    fn stop(mut self) -> String {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.out.iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn help(name: &str, arguments: &[&str]) {
    let text = end(&mut floe(arguments)).ok();
    insta::assert_snapshot!(name, text);
}

#[test]
fn help_says_what_there_is() {
    help("help", &["--help"]);
    let commands = [
        "quickstart",
        "serve",
        "meters",
        "meters create",
        "meters get",
        "meters list",
        "meters quantities",
        "meters customers",
        "meters update",
        "meters archive",
        "meters unarchive",
        "events",
        "events ingest",
        "events list",
        "events get",
        "events names",
        "events tail",
        "customers",
        "customers create",
        "customers get",
        "customers state",
        "customers list",
        "customers update",
        "customers delete",
        "customer-meters",
        "customer-meters list",
        "customer-meters credit",
        "customer-meters reset",
        "organizations",
        "organizations create",
        "organizations get",
        "organizations list",
        "organizations update",
        "tokens",
        "tokens create",
        "tokens list",
        "tokens update",
        "tokens revoke",
        "root-token",
        "root-token rotate",
        "import",
        "export",
        "export events",
        "export quantities",
        "backup",
        "restore",
        "verify",
        "stats",
        "completions",
        "man",
    ];
    for command in commands {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        help(&format!("help_{}", command.replace([' ', '-'], "_")), &arguments);
    }
}

#[test]
fn help_shows_no_secret_of_the_environment() {
    for arguments in [["serve", "--help"], ["tokens", "list"], ["meters", "quantities"]] {
        let mut command = floe(&arguments);
        command.arg("--help").env("FLOE_TOKEN", "a-secret").env("FLOE_ROOT_TOKEN", "a-secret");
        assert!(!end(&mut command).ok().contains("a-secret"));
    }
}

#[test]
fn a_token_is_made_listed_used_and_revoked() {
    let slug = format!("cli-{}", uuid::Uuid::new_v4().simple());
    let made = root(&["organizations", "create", &slug, "--name", "Acme Ltd", "--json"]).json();
    assert_eq!((&made["slug"], &made["name"]), (&slug.as_str().into(), &"Acme Ltd".into()));
    let organization = made["id"].as_str().unwrap();
    assert!(root(&["organizations", "list"]).ok().contains(&format!("{organization}  {slug} ")));
    let again = root(&["organizations", "create", &slug]);
    again.fails(1, "body.slug: An organization with this slug already exists.");

    let scopes = ["--scope", "meters:read", "--scope", "organization_access_tokens:read"];
    let of = ["tokens", "create", "--organization", &slug, "--comment", "the job"];
    let made = root(&[&of[..], &scopes, &["--expires-in", "90d"]].concat());
    assert!(made.err.contains("it is not shown again"), "{}", made.err);
    let out = made.ok();
    let secret = out.trim_end();
    assert!(secret.starts_with("floe_oat_") && !secret.contains(char::is_whitespace), "{out}");

    let address = harness::server().address.to_string();
    let listed = call(&address, secret, &["tokens", "list", "--json"]).json();
    let [token] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(token["comment"], "the job");
    assert_eq!(token["organization_id"], organization);
    assert_eq!(token["scopes"].as_array().unwrap().len(), 2);
    assert!(token["expires_at"].is_string());
    assert!(token.get("token").is_none());
    let listed = root(&["tokens", "list", "--organization", organization]).ok();
    assert!(listed.contains("the job") && !listed.contains(secret), "{listed}");

    let id = token["id"].as_str().unwrap();
    assert_eq!(root(&["tokens", "revoke", id]).ok(), format!("Revoked token {id}.\n"));
    call(&address, secret, &["tokens", "list"]).fails(1, "the server does not know this token");
    root(&["tokens", "revoke", id]).fails(4, &format!("there is no token {id}"));
}

#[test]
fn a_token_may_do_everything_unless_told_otherwise() {
    let slug = format!("cli-{}", uuid::Uuid::new_v4().simple());
    root(&["organizations", "create", &slug]).ok();
    let of = ["tokens", "create", "--organization", &slug, "--comment", "all", "--json"];
    let made = root(&of).json();
    let token = &made["organization_access_token"];
    assert_eq!(token["scopes"].as_array().unwrap().len(), harness::SCOPES.len());
    assert_eq!(token["expires_at"], Value::Null);
    // It makes tokens of its own organization, and names none.
    let address = harness::server().address.to_string();
    let secret = made["token"].as_str().unwrap();
    call(&address, secret, &["tokens", "create", "--comment", "another"]).ok();
    for name in [slug.as_str(), token["organization_id"].as_str().unwrap()] {
        let of = ["tokens", "create", "--comment", "x", "--organization", name];
        call(&address, secret, &of).fails(1, "leave --organization out");
    }
}

#[test]
fn a_list_longer_than_a_page_is_whole() {
    let api = harness::organization();
    let (token, n) = (api.token.clone().unwrap(), 101);
    for i in 0..n {
        let body = serde_json::json!({"comment": format!("n{i}"), "scopes": []});
        api.post("/v1/organization-access-tokens/", &body).expect(201);
    }
    let address = api.address.to_string();
    let listed = call(&address, &token, &["tokens", "list", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), n + 1);
}

#[test]
fn errors_say_what_to_do() {
    let address = harness::server().address.to_string();
    let list = ["organizations", "list"];
    let wrong = "the server does not know this token: it is wrong, expired or revoked; check \
                 --token, FLOE_TOKEN and FLOE_ROOT_TOKEN";
    call(&address, "nobody-has-this-one", &list).fails(1, wrong);
    // Nothing listens on a port that was just given up.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = listener.local_addr().unwrap().to_string();
    drop(listener);
    let down = format!("no server answers at http://{nowhere} (");
    let ended = call(&nowhere, "t", &list);
    ended.fails(5, &down);
    ended.fails(5, "; start it with `floe serve`, or say where it is with --url or FLOE_URL");
    end(&mut floe(&list)).fails(1, "no token: give one with --token or FLOE_TOKEN");
    end(floe(&list).args(["--url", "localhost", "--token", "t"]))
        .fails(2, "no address of a server");
    let create = ["tokens", "create", "--comment", "x"];
    root(&create).fails(1, "the root token is of no organization: name one with --organization");
    let nobody = [&create[..], &["--organization", "no-such-slug"]].concat();
    root(&nobody).fails(4, "there is no organization `no-such-slug`");
    root(&[&create[..], &["--scope", "meters:eat"]].concat()).fails(2, "[possible values: ");
    root(&[&create[..], &["--expires-in", "soon"]].concat()).fails(2, "such as 90d");
    root(&["tokens", "create"]).fails(2, "--comment <TEXT>");
    root(&["tokens", "revoke", "x"]).fails(2, "invalid value 'x' for '<ID>'");
    let weak = harness::server().token(&harness::organization().organization_id, &[]);
    let weak = call(&address, &weak.token.unwrap(), &list);
    weak.fails(1, "a token with more scopes, or the root token, may");
}

#[test]
fn the_root_token_of_the_environment_stands_in_for_a_token() {
    let url = format!("http://{}", harness::server().address);
    let mut command = floe(&["customers", "list", "--url", &url]);
    end(command.env("FLOE_ROOT_TOKEN", ROOT_TOKEN)).ok();
    // A token that is given comes first, by the flag before the environment.
    end(command.env("FLOE_TOKEN", "nobody-has-this-one")).fails(1, "does not know this token");
    end(command.args(["--token", ROOT_TOKEN])).ok();
    // But not for what the root token is for.
    let mut command = floe(&["organizations", "list", "--url", &url]);
    command.env("FLOE_TOKEN", "nobody-has-this-one");
    end(command.env("FLOE_ROOT_TOKEN", ROOT_TOKEN)).ok();
    end(command.args(["--token", "nobody-has-this-one"])).fails(1, "does not know this token");
}

#[test]
fn a_flag_precedes_the_environment_that_a_file_and_that_the_default() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("floe.toml"), "data = \"from-file\"").unwrap();
    let check = |with: &dyn Fn(&mut Command), expected: &str| {
        let mut command = floe(&["serve", "--listen", "127.0.0.1:0"]);
        with(command.current_dir(folder.path()));
        let path = folder.path().join(expected);
        assert!(!path.exists());
        Serving::start(&mut command).stop();
        assert!(path.join("catalog.db").exists(), "{expected}");
    };
    check(&|_| {}, "floe-data");
    let file = |command: &mut Command| {
        command.args(["--config", "floe.toml"]);
    };
    check(&file, "from-file");
    let both = |command: &mut Command| {
        command.env("FLOE_CONFIG", "floe.toml").env("FLOE_DATA", "from-environment");
    };
    check(&both, "from-environment");
    let all = |command: &mut Command| {
        both(command);
        command.args(["--data", "from-flag"]);
    };
    check(&all, "from-flag");
}

#[test]
fn unusable_settings_are_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let serve = |arguments: &[&str]| {
        let mut command = floe(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).current_dir(folder.path());
        command
    };
    let file = folder.path().join("floe.toml");
    std::fs::write(&file, "# mine\nlisen = \"127.0.0.1:0\"\n").unwrap();
    let ended = end(&mut serve(&["--config", "floe.toml"]));
    ended.fails(1, "the configuration file floe.toml is wrong: TOML parse error at line 2");
    ended.fails(1, "unknown field `lisen`, expected one of `data`, `listen`");
    end(&mut serve(&["--config", "none.toml"])).fails(1, "none.toml cannot be read");
    let short = "the root token must have at least 16 characters, got 15";
    end(serve(&[]).env("FLOE_ROOT_TOKEN", "fifteen-letters")).fails(1, short);
    end(&mut serve(&["--log", "=x=y"])).fails(1, "cannot set up logs");
    end(&mut serve(&["--metrics-listen", "here"])).fails(2, "invalid value 'here'");
    std::fs::remove_file(file).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_serves_one_process() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let serving = Serving::on(&data);
    let mut second = floe(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    let ended = end(second.arg(&data));
    let why = format!("another process has the data folder {} open", data.display());
    ended.fails(1, &format!("cannot open the data folder: {why}"));
    // Nor does a second server on the port harm a new folder.
    let other = folder.path().join("other");
    let mut taken = floe(&["serve", "--listen", &serving.address, "--data"]);
    end(taken.arg(&other)).fails(1, &format!("cannot listen on {}", serving.address));
    assert!(!other.exists());
    serving.stop();
}

#[test]
fn a_stopped_server_comes_back_with_everything() {
    let folder = TempDir::new().unwrap();
    let serving = Serving::on(folder.path());
    let (root, token) = (serving.token("floe_root_"), serving.token("floe_oat_"));
    call(&serving.address, &root, &["organizations", "create", "acme"]).ok();
    let list = ["organizations", "list", "--json"];
    let before = call(&serving.address, &root, &list).json();
    let api = harness::Api::new(serving.address.parse().unwrap(), Some(&token));
    api.ingest(&serde_json::json!([{"name": "chat", "external_customer_id": "ada"}]));
    serving.stop();

    let serving = Serving::on(folder.path());
    assert_eq!(call(&serving.address, &root, &list).json(), before);
    let api = harness::Api::new(serving.address.parse().unwrap(), Some(&token));
    assert_eq!(api.get("/v1/events/").items().len(), 1);
    // Secrets are shown once.
    assert_eq!(serving.stop(), "");
}

#[test]
fn a_rotated_root_token_takes_the_old_ones_place() {
    let folder = TempDir::new().unwrap();
    let rotate = || end(floe(&["root-token", "rotate", "--data"]).arg(folder.path()));
    let list = ["organizations", "list"];
    rotate().fails(1, "holds no catalog.db");

    let serving = Serving::on(folder.path());
    let old = serving.token("floe_root_");
    let refused = rotate();
    refused.fails(1, "the root token stays as it is; the server must be stopped: another process");
    call(&serving.address, &old, &list).ok();
    serving.stop();

    let rotated = rotate();
    assert!(rotated.err.contains("it is not shown again"), "{}", rotated.err);
    let new = rotated.ok().trim_end().to_owned();
    assert!(new.starts_with("floe_root_") && new != old);
    let serving = Serving::on(folder.path());
    call(&serving.address, &new, &list).ok();
    call(&serving.address, &old, &list).fails(1, "the server does not know this token");
    serving.stop();
}

#[test]
fn listening_beyond_this_machine_is_warned_of() {
    let folder = TempDir::new().unwrap();
    let check = |address: &str, expected: bool| {
        let mut command = floe(&["serve", "--listen", address, "--data"]);
        let mut child = command
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let line = log.recv_timeout(WAIT_MAX).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(line.contains("put a proxy that speaks TLS in front"), expected, "{line}");
    };
    check("0.0.0.0:0", true);
    check("127.0.0.1:0", false);
}

/// `floe verify` of a folder.
fn verify(data: &Path) -> Ended {
    end(floe(&["verify", "--data"]).arg(data))
}

#[test]
fn a_folder_is_backed_up_restored_and_verified() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let serving = Serving::on(&data);
    let (root, token) = (serving.token("floe_root_"), serving.token("floe_oat_"));
    let api = harness::Api::new(serving.address.parse().unwrap(), Some(&token));
    let event = |id: &str| serde_json::json!([{"name": "chat", "external_customer_id": "ada", "external_id": id}]);
    api.ingest(&event("one"));
    api.ingest(&event("two"));

    let backup = folder.path().join("backup").display().to_string();
    let made = call(&serving.address, &root, &["backup", &backup, "--json"]).json();
    assert_eq!((made["path"].as_str(), made["events"].as_u64()), (Some(&*backup), Some(2)));
    let again = call(&serving.address, &root, &["backup", &backup]);
    again.fails(1, "is not empty; name a folder that is new or empty");
    call(&serving.address, &token, &["backup", &backup]).fails(1, "this token may not do that");
    let inside = data.join("backup").display().to_string();
    call(&serving.address, &root, &["backup", &inside]).fails(1, "lies in the data folder itself");

    let stats = call(&serving.address, &root, &["stats", "--json"]).json();
    assert_eq!((stats["events"].as_u64(), stats["sealed_events"].as_u64()), (Some(2), Some(2)));
    let shown = call(&serving.address, &root, &["stats"]).ok();
    assert!(shown.contains("2 events, 2 of them in segments of 1 organizations"), "{shown}");
    assert!(shown.contains("external_id") && shown.contains("cache: index"), "{shown}");
    call(&serving.address, &token, &["stats"]).fails(1, "this token may not do that");
    // Also while it is served.
    let of_folder = end(floe(&["stats", "--json", "--data"]).arg(&data)).json();
    assert_eq!((&of_folder["events"], &of_folder["columns"]), (&Value::Null, &stats["columns"]));
    verify(&data).fails(2, "another process has the data folder");

    api.ingest(&event("three"));
    serving.stop();
    let clean = verify(&data).ok();
    assert!(clean.ends_with("\nNothing is wrong.\n"), "{clean}");

    let restored = folder.path().join("restored");
    let restore = |to: &Path| end(floe(&["restore", &backup, "--data"]).arg(to));
    assert!(restore(&restored).ok().contains("2 events in 1 segments"));
    restore(&restored).fails(1, "is not empty");
    end(floe(&["restore", "--data"]).arg(folder.path().join("no")).arg(&data))
        .fails(1, "it is no backup");
    verify(&restored).ok();
    verify(Path::new(&backup)).ok();
    let serving = Serving::on(&restored);
    let api = harness::Api::new(serving.address.parse().unwrap(), Some(&token));
    assert_eq!(api.get("/v1/events/").items().len(), 2);
    api.ingest(&event("three"));
    assert_eq!(api.get("/v1/events/").items().len(), 3);
    serving.stop();

    // Without a server.
    let mut offline = floe(&["backup", "--json", "--data"]);
    let second = folder.path().join("second");
    assert_eq!(end(offline.arg(&restored).arg(&second)).json()["events"], 3);
    end(floe(&["backup", "--data"]).arg(folder.path()).arg(folder.path().join("third")))
        .fails(1, "holds no catalog.db");
}

#[test]
fn what_is_wrong_with_a_folder_is_told_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    verify(folder.path()).fails(2, "is no data folder");
    let serving = Serving::on(folder.path());
    let token = serving.token("floe_oat_");
    let api = harness::Api::new(serving.address.parse().unwrap(), Some(&token));
    api.ingest(&serde_json::json!([{"name": "chat", "external_customer_id": "ada"}]));
    serving.stop();
    let journal = folder.path().join("journal/000001.log");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[4096 + 70] ^= 1;
    std::fs::write(journal, bytes).unwrap();
    let found = verify(folder.path());
    assert_eq!(found.code, Some(1), "{found:?}");
    for text in ["1. journal\n", "000001.log", "to do:", "floe restore", "One thing is wrong."] {
        assert!(found.out.contains(text), "{text} is not in {}", found.out);
    }
    let json = end(floe(&["verify", "--json", "--data"]).arg(folder.path()));
    assert_eq!(json.code, Some(1));
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["findings"][0]["file"], "journal");
}
