//! The commands that work on a server's meters, events and customers.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{Ended, call, end, floe};
use crate::harness;

/// An organization of its own, and the commands that its token may give.
struct Shell {
    address: String,
    token: String,
}

impl Shell {
    fn new() -> Self {
        let api = harness::organization();
        Self { address: api.address.to_string(), token: api.token.clone().unwrap() }
    }

    fn floe(&self, arguments: &[&str]) -> Ended {
        call(&self.address, &self.token, arguments)
    }

    /// A command that reads standard input.
    fn floe_reading(&self, arguments: &[&str], input: &str) -> Ended {
        let url = format!("http://{}", self.address);
        let mut command = floe(arguments);
        command.env("FLOE_URL", url).env("FLOE_TOKEN", &self.token);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ended::from(child.wait_with_output().unwrap())
    }

    /// Three days of two customers' usage: 30 and 12 tokens, 8, and 50.
    fn with_usage() -> Self {
        let shell = Self::new();
        let lines = r#"
            {"name": "chat", "external_customer_id": "ada", "external_id": "1", "timestamp": "2026-03-01T10:00:00Z", "metadata": {"tokens": 30, "model": "large"}}
            {"name": "chat", "external_customer_id": "bob", "external_id": "2", "timestamp": "2026-03-01T23:30:00Z", "metadata": {"tokens": 12, "model": "small"}}
            {"name": "chat", "external_customer_id": "ada", "external_id": "3", "timestamp": "2026-03-02T10:00:00Z", "metadata": {"tokens": 8, "model": "small"}}
            {"name": "image", "external_customer_id": "ada", "external_id": "4", "timestamp": "2026-03-03T10:00:00Z", "metadata": {"tokens": 50}}"#;
        let sent = shell.floe_reading(&["events", "ingest", "-"], lines).ok();
        assert_eq!(sent, "4 inserted, 0 duplicates\n");
        shell
    }
}

const MARCH: [&str; 4] = ["--start", "2026-03-01", "--end", "2026-03-03"];

#[test]
fn a_meter_is_made_asked_changed_and_archived() {
    let shell = Shell::with_usage();
    let make = [
        "meters",
        "create",
        "Tokens",
        "--where",
        "name = 'chat' and tokens > 10",
        "--sum",
        "tokens",
    ];
    let made = shell.floe(&[&make[..], &["--json"]].concat()).json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["filter"]["clauses"][1]["operator"], "gt");
    assert_eq!(made["aggregation"], serde_json::json!({"func": "sum", "property": "tokens"}));
    let listed = shell.floe(&["meters", "list"]).ok();
    assert!(listed.contains("name = \"chat\" and tokens > 10  sum tokens"), "{listed}");
    assert_eq!(shell.floe(&["meters", "get", "Tokens", "--json"]).json(), made);
    assert_eq!(shell.floe(&["meters", "get", id, "--json"]).json(), made);

    let ask = [&["meters", "quantities", "Tokens"][..], &MARCH].concat();
    let shown = shell.floe(&ask).ok();
    let bar = "█".repeat(24);
    let expected = format!(
        "START           QUANTITY\n\
         Sun 2026-03-01        42  {bar}\n\
         Mon 2026-03-02         0\n\
         Tue 2026-03-03         0\n\n\
         Total 42 (UTC)\n"
    );
    assert_eq!(shown, expected);
    let json = shell.floe(&[&ask[..], &["--json"]].concat()).json();
    assert_eq!((&json["total"], json["quantities"].as_array().unwrap().len()), (&42.0.into(), 3));
    // Half past eleven at night in UTC is the next day in Paris.
    let paris = ["--timezone", "Europe/Paris", "--csv"];
    let csv = shell.floe(&[&ask[..], &paris].concat()).ok();
    let days = ["2026-02-28T23:00:00Z,30", "2026-03-01T23:00:00Z,12", "2026-03-02T23:00:00Z,0"];
    assert_eq!(csv, format!("start,quantity\n{}\n", days.join("\n")));
    let of = |arguments: &[&str]| shell.floe(&[&ask[..], arguments, &["--json"]].concat()).json();
    assert_eq!(of(&["--customer", "bob"])["total"], 12.0);
    assert_eq!(of(&["--customer-aggregation", "max"])["quantities"][0]["quantity"], 30.0);
    assert_eq!(of(&["--metadata", "model=large"])["total"], 30.0);

    let change =
        ["meters", "update", "Tokens", "--name", "Chat tokens", "--max", "tokens", "--json"];
    shell.floe(&change).fails(1, "aggregation");
    let change =
        ["meters", "update", "Tokens", "--name", "Chat tokens", "--metadata", "a=1", "--json"];
    let changed = shell.floe(&change).json();
    assert_eq!((&changed["name"], &changed["metadata"]["a"]), (&"Chat tokens".into(), &1.into()));
    let archived = shell.floe(&["meters", "archive", "Chat tokens"]).ok();
    assert_eq!(archived, format!("Archived the meter `Chat tokens` ({id}).\n"));
    assert_eq!(shell.floe(&["meters", "list", "--json"]).json(), Value::Array(vec![]));
    let ids = |arguments: &[&str]| shell.floe(arguments).json()[0]["id"].clone();
    assert_eq!(ids(&["meters", "list", "--archived", "--json"]), id);
    shell.floe(&["meters", "unarchive", id]).ok();
    assert_eq!(ids(&["meters", "list", "--query", "chat", "--json"]), id);
}

#[test]
fn what_is_wrong_with_a_meter_is_told() {
    let shell = Shell::new();
    let create = |more: &[&str]| shell.floe(&[&["meters", "create", "M"], more].concat());
    create(&[]).fails(2, "say what the meter makes of events: --count, or --sum");
    create(&["--sum", "a", "--max", "b"]).fails(2, "cannot be used with");
    create(&["--count", "--where", "name = chat"]).fails(2, "put text in quotes: \"chat\"");
    create(&["--count", "--where", "tokens >"]).fails(2, "here a value is missing");
    create(&["--count", "--metadata", "x"]).fails(2, "it must be KEY=VALUE");
    create(&["--count", "--custom-label", "x"]).fails(2, "is for --unit custom");
    let short = shell.floe(&["meters", "create", "ab", "--count"]);
    short.fails(1, "body.name: String should have at least 3 characters");
    let ask = ["meters", "quantities"];
    let ask = |more: &[&str]| shell.floe(&[&ask[..], more].concat());
    ask(&["No such"]).fails(4, "there is no meter `No such`; `floe meters list` shows");
    ask(&["00000000-0000-4000-8000-000000000000"]).fails(4, "has no such thing");
    ask(&["M", "--start", "soon"])
        .fails(2, "--start: `soon` is no time. Write a date (2026-01-31)");
    ask(&["M", "--timezone", "Mars"]).fails(2, "`Mars` is no time zone");
    ask(&["M", "--start", "2026-03-02", "--end", "2026-03-01"]).fails(2, "is before --start");
    ask(&["M", "--interval", "eon"]).fails(2, "[possible values: hour, day");
    ask(&["M", "--json", "--csv"]).fails(2, "cannot be used with");
    for _ in 0..2 {
        shell.floe(&["meters", "create", "Twin", "--count"]).ok();
    }
    shell.floe(&["meters", "get", "Twin"]).fails(1, "there are several meters of the name `Twin`");
    // `%` is no pattern.
    shell.floe(&["meters", "get", "T%"]).fails(4, "there is no meter `T%`");
}

#[test]
fn events_are_sent_and_looked_at() {
    let shell = Shell::with_usage();
    let one = ["events", "ingest", "--name", "chat", "--customer", "eve", "--external-id", "5"];
    let more = [
        "--timestamp",
        "2026-03-04T00:00:00+01:00",
        "--metadata",
        "tokens=7",
        "--metadata",
        "zip='01234'",
    ];
    let one = [&one[..], &more].concat();
    assert_eq!(shell.floe(&one).ok(), "1 inserted, 0 duplicates\n");
    assert_eq!(shell.floe(&one).ok(), "0 inserted, 1 duplicates\n");

    let listed = shell.floe(&["events", "list", "--limit", "2"]).ok();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("TIMESTAMP "), "{listed}");
    assert!(
        lines[1]
            .starts_with(r#"2026-03-03T23:00:00Z  chat   eve       {"tokens":7,"zip":"01234"}"#),
        "{listed}"
    );
    assert_eq!(lines.last(), Some(&"2 of 5 events"));
    let ids = |arguments: &[&str]| {
        let listed = shell.floe(&[&["events", "list", "--json"], arguments].concat()).json();
        let events = listed.as_array().unwrap().iter();
        events
            .map(|event| event["timestamp"].as_str().unwrap()[8..13].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--where", "tokens >= 12 and name != 'image'"]), ["01T23", "01T10"]);
    assert_eq!(ids(&["--customer", "ada", "--oldest-first"]), ["01T10", "02T10", "03T10"]);
    assert_eq!(ids(&["--name", "image", "--name", "none"]), ["03T10"]);
    assert_eq!(
        ids(&["--start", "2026-03-02T10:00:00Z", "--end", "2026-03-03"]),
        ["03T23", "03T10", "02T10"]
    );
    assert_eq!(ids(&["--metadata", "model=small"]), ["02T10", "01T23"]);
    assert_eq!(ids(&["--query", "LARGE"]), ["01T10"]);
    let csv = shell.floe(&["events", "list", "--csv", "--name", "image"]).ok();
    assert!(csv.starts_with("timestamp,name,customer,metadata,id\n2026-03-03T10:00:00Z,image,ada,\"{\"\"tokens\"\":50}\","), "{csv}");

    let event = &shell.floe(&["events", "list", "--json", "--limit", "1"]).json()[0];
    let id = event["id"].as_str().unwrap();
    assert_eq!(&shell.floe(&["events", "get", id, "--json"]).json(), event);
    let names = shell.floe(&["events", "names", "--csv"]).ok();
    assert!(names.contains("\nchat,user,4,2026-03-01T10:00:00Z,2026-03-03T23:00:00Z\n"), "{names}");

    shell
        .floe(&["events", "get", "00000000-0000-4000-8000-000000000000"])
        .fails(4, "no such thing");
    shell.floe(&["events", "ingest"]).fails(2, "--name <NAME>");
    shell.floe(&["events", "ingest", "--name", "x"]).fails(2, "--customer <EXTERNAL_ID>");
    shell.floe(&["events", "list", "--meter", "none"]).fails(4, "there is no meter `none`");
    shell.floe(&["events", "list", "--limit", "0"]).fails(2, "above 0");
    let future =
        ["events", "ingest", "--name", "x", "--customer", "y", "--timestamp", "2999-01-01"];
    shell.floe(&future).fails(1, "timestamp");
    let read = |text: &str| shell.floe_reading(&["events", "ingest", "-"], text);
    read("").fails(1, "there are no events in it");
    read("{\"name\":\"a\",\"external_customer_id\":\"b\"}\n{\"name\":")
        .fails(1, "its event number 2 is none");
    let list =
        r#"[{"name":"a","external_customer_id":"b"},{"name":"a","external_customer_id":"b"}]"#;
    assert_eq!(read(list).ok(), "2 inserted, 0 duplicates\n");
    assert_eq!(read(&format!(r#"{{"events": {list}}}"#)).ok(), "2 inserted, 0 duplicates\n");
    shell.floe(&["events", "ingest", "/no/such/file"]).fails(1, "cannot read /no/such/file");
}

#[test]
fn customers_are_made_credited_and_deleted() {
    let shell = Shell::with_usage();
    let create = [
        "customers",
        "create",
        "ada@example.com",
        "--external-id",
        "ada",
        "--name",
        "Ada",
        "--metadata",
        "plan=pro",
    ];
    let made = shell.floe(&[&create[..], &["--json"]].concat()).json();
    let id = made["id"].as_str().unwrap();
    shell.floe(&create).fails(1, "A customer with this email address already exists.");
    assert_eq!(shell.floe(&["customers", "get", "ada", "--json"]).json(), made);
    assert_eq!(shell.floe(&["customers", "get", id, "--json"]).json(), made);
    let listed = shell.floe(&["customers", "list", "--query", "ada"]).ok();
    assert!(listed.contains(&format!("{id}  ada          ada@example.com  Ada ")), "{listed}");
    let updated = shell.floe(&["customers", "update", "ada", "--name", "", "--json"]).json();
    assert_eq!(updated["name"], Value::Null);

    shell.floe(&["meters", "create", "Tokens", "--sum", "tokens"]).ok();
    let on = ["--customer", "ada", "--meter", "Tokens"];
    let credit = |more: &[&str]| {
        let command = [&["customer-meters", "credit"], &on[..], more].concat();
        let credited = shell.floe(&[&command[..], &["--json"]].concat()).json();
        (credited["credited_units"].clone(), credited["balance"].clone())
    };
    // 30 + 8 + 50 were consumed.
    assert_eq!(credit(&["--units", "100", "--external-id", "x"]), (100.into(), 12.0.into()));
    assert_eq!(credit(&["--units", "100", "--external-id", "x"]), (100.into(), 12.0.into()));
    assert_eq!(credit(&["--units", "-5", "--rollover"]), (95.into(), 7.0.into()));
    let csv = shell.floe(&["customer-meters", "list", "--csv"]).ok();
    assert!(csv.ends_with(",ada,Tokens,88,95,7\n"), "{csv}");
    let state = shell.floe(&["customers", "state", "ada"]).ok();
    assert!(state.contains("      88        95        7"), "{state}");
    let reset = [&["customer-meters", "reset"], &on[..]].concat();
    shell
        .floe(&reset)
        .fails(1, "Reset `Tokens` of the customer ada, with a balance of 7? Say so with --yes");
    let after = shell.floe(&[&reset[..], &["--yes", "--json"]].concat()).json();
    assert_eq!(after["consumed_units"], 0.0);
    let meter = after["id"].as_str().unwrap();
    shell.floe(&["customer-meters", "credit", meter, "--units", "1"]).ok();
    shell
        .floe(&["customer-meters", "credit", "--customer", "ada", "--units", "1"])
        .fails(2, "--meter");
    shell.floe(&["customer-meters", "credit", "--units", "1"]).fails(2, "required");

    shell.floe(&["customers", "delete", "ada"]).fails(1, "Say so with --yes");
    let deleted = shell.floe(&["customers", "delete", "ada", "--yes"]).ok();
    assert_eq!(deleted, format!("Deleted the customer `ada` ({id}).\n"));
    shell.floe(&["customers", "get", "ada"]).fails(4, "there is no customer `ada`");
}

#[test]
fn nobody_answering_has_a_code_of_its_own() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = listener.local_addr().unwrap().to_string();
    drop(listener);
    call(&nowhere, "t", &["meters", "list"]).fails(5, "start it with `floe serve`");
}

#[test]
fn shells_complete_and_manuals_tell_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = end(&mut floe(&["completions", shell])).ok();
        assert!(script.contains("customer-meters") && script.contains("timezone"), "{shell}");
    }
    // What a shell makes of it.
    let script = end(&mut floe(&["completions", "bash"])).ok();
    let complete = format!(
        "{script}\nCOMP_WORDS=(floe met) COMP_CWORD=1; _floe floe met floe; echo \"${{COMPREPLY[@]}}\""
    );
    match Command::new("bash").args(["-c", &complete]).output() {
        Ok(output) => assert_eq!(String::from_utf8(output.stdout).unwrap(), "meters\n"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    end(floe(&["man"]).arg(&pages)).ok();
    let page = std::fs::read_to_string(pages.join("floe-meters-quantities.1")).unwrap();
    assert!(page.contains("Europe") || page.contains("timezone"), "{page}");
    assert!(std::fs::read_to_string(pages.join("floe.1")).unwrap().contains("Exit codes"));
    end(floe(&["man"]).arg(pages.join("floe.1"))).fails(1, "cannot write man pages");
}

#[test]
fn a_quick_start_ends_with_quantities_and_counts_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let start = || {
        let mut command = floe(&["quickstart", "--exit", "--listen", "127.0.0.1:0"]);
        end(command.current_dir(folder.path())).ok()
    };
    let shown = start();
    let sample = std::fs::read_to_string(folder.path().join("floe-quickstart/usage.csv")).unwrap();
    let rows: Vec<Vec<&str>> = sample.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert!(
        shown.contains(&format!("{} inserted, 0 duplicates, 0 refused", rows.len())),
        "{shown}"
    );
    let tokens = |of: &str| -> u64 {
        let rows = rows.iter().filter(|row| row[1] == of || of.is_empty());
        rows.map(|row| row[4].parse::<u64>().unwrap()).sum()
    };
    assert!(shown.contains(&format!("\nTotal {} (UTC)\n", tokens(""))), "{shown}");
    assert!(shown.contains(&format!("\nTotal {} (UTC)\n", tokens("ada"))), "{shown}");
    let customer = format!("\nlinus     -     {:>8}  ", tokens("linus"));
    assert!(shown.contains(&customer), "{customer} is not in {shown}");

    let again = start();
    assert!(again.contains(" inserted, ") && again.contains("is there from an earlier run"));
    // An hour may have passed in between.
    let known = format!(" {} duplicates, 0 refused", rows.len());
    assert!(again.contains(&known), "{known} is not in {again}");

    // Another one's folder, and a port that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = floe(&["quickstart", "--exit", "--listen", &address]);
    let refused = end(command.current_dir(folder.path()));
    refused.fails(1, "--listen choose another folder and address: cannot listen on");
}

#[test]
fn what_is_exported_and_imported_elsewhere_counts_the_same() {
    let (from, to) = (Shell::with_usage(), Shell::new());
    let folder = TempDir::new().unwrap();
    let child = r#"{"name": "part", "external_customer_id": "ada", "parent_id": "1", "timestamp": "2026-03-02T01:00:00Z", "metadata": {"tokens": 0.1, "zip": "01234", "seven": "7", "quote": "\"", "truth": "true", "brace": "{", "big": 123456789012345678901, "ok": true, "_cost": {"amount": "0.25", "currency": "usd"}}}"#;
    from.floe_reading(&["events", "ingest", "-"], child).ok();
    let questions: [&[&str]; 4] =
        [&["--sum", "tokens"], &["--count"], &["--sum", "_cost.amount"], &["--unique", "zip"]];
    let ask = |shell: &Shell| {
        let mut answers = Vec::new();
        for (index, aggregation) in questions.iter().enumerate() {
            let name = format!("meter {index} {}", uuid::Uuid::new_v4());
            shell.floe(&[&["meters", "create", &name], *aggregation].concat()).ok();
            let ask = [&["meters", "quantities", &name, "--json"][..], &MARCH].concat();
            answers.push(shell.floe(&ask).json());
            let ask = [&["meters", "customers", &name, "--csv"][..], &MARCH].concat();
            answers.push(Value::String(shell.floe(&ask).ok()));
        }
        answers
    };
    let expected = ask(&from);
    assert_eq!(expected[0]["total"], 100.1);
    for file in ["events.ndjson", "events.ndjson.zst", "events.ndjson.gz"] {
        let path = folder.path().join(file).display().to_string();
        from.floe(&["export", "events", "--output", &path]).ok();
        let imported = to.floe(&["import", &path]).ok();
        let first = file == "events.ndjson";
        let counts = if first { "5 inserted, 0 duplicates" } else { "0 inserted, 5 duplicates" };
        assert!(imported.starts_with(counts), "{file}: {imported}");
        assert_eq!(ask(&to), expected, "{file}");
    }
    let events = |shell: &Shell| {
        let listed = shell.floe(&["events", "list", "--name", "part", "--json"]).json();
        (listed[0]["metadata"].clone(), listed[0]["parent_id"].is_string())
    };
    assert_eq!(events(&to), events(&from));
    assert!(events(&to).1);

    for file in ["events.csv", "events.csv.zst", "events.parquet"] {
        let to = Shell::new();
        let path = folder.path().join(file).display().to_string();
        from.floe(&["export", "events", "--output", &path]).ok();
        let imported = to.floe(&["import", &path]).ok();
        assert!(imported.starts_with("5 inserted, 0 duplicates"), "{file}: {imported}");
        assert_eq!(ask(&to), expected, "{file}");
        assert_eq!(events(&to), events(&from), "{file}");
    }
}

#[test]
fn quantities_begin_with_a_whole_interval_and_have_the_last() {
    let shell = Shell::with_usage();
    shell.floe(&["meters", "create", "All", "--sum", "tokens"]).ok();
    // By days from the afternoon on: the last day is there, and the first is whole.
    let range = ["--start", "2026-03-01T15:00", "--end", "2026-03-03T12:00"];
    let ask = [&["meters", "quantities", "All", "--csv"][..], &range].concat();
    let days = ["2026-03-01T00:00:00Z,42", "2026-03-02T00:00:00Z,8", "2026-03-03T00:00:00Z,50"];
    assert_eq!(shell.floe(&ask).ok(), format!("start,quantity\n{}\n", days.join("\n")));
    let months = shell.floe(&[&ask[..], &["--interval", "month"]].concat()).ok();
    assert_eq!(months, "start,quantity\n2026-03-01T00:00:00Z,100\n");
    // What is sent now is in a table of the last hours.
    shell.floe(&["events", "ingest", "--name", "now", "--customer", "ada"]).ok();
    shell.floe(&["meters", "create", "Now", "--where", "name = 'now'", "--count"]).ok();
    for range in [["--start", "7d"], ["--start", "1m"]] {
        let ask = [&["meters", "quantities", "Now", "--json"][..], &range].concat();
        assert_eq!(shell.floe(&ask).json()["total"], 1.0, "{range:?}");
    }
    shell
        .floe(&["events", "list", "--start", "2026-03-02", "--end", "2026-03-01"])
        .fails(2, "is before --start");
}
