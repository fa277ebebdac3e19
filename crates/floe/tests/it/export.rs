//! `floe export`: what is written to files, and what is refused.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Ended, call};
use crate::events_export;
use crate::harness::{Api, ROOT_TOKEN, id, organization, server};

/// `floe export` as an organization.
fn export(api: &Api, arguments: &[&str]) -> Ended {
    let arguments = [&["export"], arguments].concat();
    call(&api.address.to_string(), api.token.as_deref().unwrap(), &arguments)
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// The names of all files in a folder.
fn files(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn usage() -> Api {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let bob = id(&api.customer("bob@example.com", None));
    let body = r#"{"events":[
        {"name":"use","external_customer_id":"ada","timestamp":"2024-05-01T10:00:00Z",
         "external_id":"1","metadata":{"n":1,"f":1.0,"t":"a,\"b\"\nc","b":true,"mixed":1}},
        {"name":"use","customer_id":"ADA","timestamp":"2024-05-02T10:00:00.5Z","external_id":"2",
         "parent_id":"1","metadata":{"n":-2,"f":1e20,"mixed":1.0,"big":12345678901234567890123}},
        {"name":"other, \"name\"","customer_id":"BOB","timestamp":"2024-05-03T00:00:00Z",
         "external_id":"3",
         "metadata":{"n":4,"_cost":{"amount":"0.1","currency":"usd"}}}
    ]}"#;
    let body = body.replace("ADA", &ada).replace("BOB", &bob);
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    api
}

fn bob(api: &Api) -> String {
    id(&api.get("/v1/customers/?email=bob@example.com").items()[0])
}

#[test]
fn ndjson_is_what_the_route_answers_however_it_is_compressed() {
    let (api, folder) = (usage(), TempDir::new().unwrap());
    let expected = events_export::export(&api, &[]);
    assert_eq!(expected.lines().count(), 3);
    let written = export(&api, &["events"]);
    assert!(written.err.contains("Wrote 3 events to standard output"), "{}", written.err);
    assert_eq!(written.ok(), expected);
    for name in ["a.ndjson", "a.jsonl.gz", "a.ndjson.zst"] {
        let to = path(&folder, name);
        let written = export(&api, &["events", "--output", &to]);
        assert!(written.err.contains(&format!("Wrote 3 events to {to}, ")), "{}", written.err);
        assert_eq!(written.ok(), "");
        let bytes = fs::read(&to).unwrap();
        let mut text = String::new();
        match name.rsplit('.').next() {
            Some("gz") => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap(),
            Some("zst") => zstd::Decoder::new(&*bytes).unwrap().read_to_string(&mut text).unwrap(),
            _ => (&*bytes).read_to_string(&mut text).unwrap(),
        };
        assert_eq!(text, expected, "{name}");
    }
    assert_eq!(files(&folder), ["a.jsonl.gz", "a.ndjson", "a.ndjson.zst"]);
}

#[test]
fn csv_has_a_column_for_each_key() {
    let (api, folder) = (usage(), TempDir::new().unwrap());
    let to = path(&folder, "a.csv");
    export(&api, &["events", "--output", &to]).ok();
    let bob = bob(&api);
    let heads = "name,timestamp,external_customer_id,customer_id,external_id,parent_id,\
                 external_member_id,metadata._cost,metadata.b,metadata.big,metadata.f,\
                 metadata.mixed,metadata.n,metadata.t\n";
    let expected = [
        heads.to_owned(),
        "use,2024-05-01T10:00:00Z,ada,,1,,,,true,,1.0,1,1,\"a,\"\"b\"\"\nc\"\n".to_owned(),
        "use,2024-05-02T10:00:00.500000Z,ada,,2,1,,,,12345678901234567890123,1e+20,1.0,-2,\n"
            .to_owned(),
        format!(
            "\"other, \"\"name\"\"\",2024-05-03T00:00:00Z,,{bob},3,,,\
             \"{{\"\"amount\"\":\"\"0.1\"\",\"\"currency\"\":\"\"usd\"\"}}\",,,,,4,\n"
        ),
    ];
    assert_eq!(fs::read_to_string(&to).unwrap(), expected.concat());
    assert_eq!(export(&api, &["events", "--format", "csv"]).ok(), expected.concat());
    // Heads alone, if there is nothing.
    let none = export(&api, &["events", "--format", "csv", "--name", "none"]).ok();
    assert_eq!(none.lines().count(), 1);
}

fn read_parquet(file: &str) -> (RecordBatch, Option<String>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap()).unwrap();
    let own = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let json = own.into_iter().find(|of| of.key == "floe.json_columns").and_then(|of| of.value);
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    (only(&schema, &batches), json)
}

/// All rows of a small file are in one batch.
fn only(schema: &std::sync::Arc<arrow_schema::Schema>, batches: &[RecordBatch]) -> RecordBatch {
    match batches {
        [] => RecordBatch::new_empty(schema.clone()),
        [one] => one.clone(),
        _ => panic!("{} batches", batches.len()),
    }
}

#[test]
fn parquet_has_typed_columns() {
    let (api, folder) = (usage(), TempDir::new().unwrap());
    let to = path(&folder, "a.parquet");
    export(&api, &["events", "--output", &to]).ok();
    let (rows, json) = read_parquet(&to);
    assert_eq!(json.as_deref(), Some(r#"["metadata._cost","metadata.big","metadata.mixed"]"#));
    assert_eq!(rows.num_rows(), 3);
    let text = |name: &str| -> Vec<Option<String>> {
        let column = rows.column_by_name(name).unwrap();
        column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(text("name"), [some("use"), some("use"), some("other, \"name\"")]);
    assert_eq!(text("external_customer_id"), [some("ada"), some("ada"), None]);
    assert_eq!(text("customer_id"), [None, None, Some(bob(&api))]);
    assert_eq!(text("parent_id"), [None, some("1"), None]);
    assert_eq!(text("metadata.t"), [some("a,\"b\"\nc"), None, None]);
    assert_eq!(text("metadata.mixed"), [some("1"), some("1.0"), None]);
    assert_eq!(text("metadata.big"), [None, some("12345678901234567890123"), None]);
    assert_eq!(text("metadata._cost")[2].as_deref(), Some(r#"{"amount":"0.1","currency":"usd"}"#));
    let column = |name: &str| rows.column_by_name(name).unwrap();
    let integers: Vec<_> = column("metadata.n").as_primitive::<Int64Type>().iter().collect();
    assert_eq!(integers, [Some(1), Some(-2), Some(4)]);
    let floats: Vec<_> = column("metadata.f").as_primitive::<Float64Type>().iter().collect();
    assert_eq!(floats, [Some(1.0), Some(1e20), None]);
    assert_eq!(
        column("metadata.b").as_boolean().iter().collect::<Vec<_>>(),
        [Some(true), None, None]
    );
    let times = column("timestamp").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(
        times.values(),
        &[1_714_557_600_000_000, 1_714_644_000_500_000, 1_714_694_400_000_000]
    );
    assert!(matches!(times.data_type(), DataType::Timestamp(_, Some(zone)) if **zone == *"UTC"));
    let none = path(&folder, "none.parquet");
    export(&api, &["events", "--output", &none, "--name", "none"]).ok();
    assert_eq!(read_parquet(&none).0.num_rows(), 0);
}

#[test]
fn events_are_chosen_by_every_option() {
    let api = usage();
    let (bob, filter) = (
        bob(&api),
        r#"{"conjunction":"and","clauses":[{"property":"n","operator":"gte","value":1}]}"#,
    );
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "f"}));
    for (arguments, expected) in [
        (vec!["--name", "use"], "1 2"),
        (vec!["--name", "use", "--name", "other, \"name\""], "1 2 3"),
        (vec!["--customer", "ada"], "1 2"),
        (vec!["--customer", &bob], "3"),
        (vec!["--customer", "nobody"], ""),
        (vec!["--start", "2024-05-02"], "2 3"),
        (vec!["--start", "2024-05-01T12:00:00+02:00", "--end", "2024-05-02"], "1 2"),
        (vec!["--end", "2024-05-01T09:59:59.999999Z"], ""),
        (vec!["--where", filter], "1 3"),
        (vec!["--meter", &meter], "1 2"),
    ] {
        let lines = export(&api, &[&["events"], &arguments[..]].concat()).ok();
        let ids: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["external_id"].clone())
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.join(" "), expected, "{arguments:?}");
    }
    // The root token names the organization, by id or slug.
    let address = server().address.to_string();
    let root = |more: &[&str]| call(&address, ROOT_TOKEN, &[&["export", "events"], more].concat());
    let slug = server().root().get(&format!("/v1/organizations/{}", api.organization_id));
    let slug = slug.expect(200)["slug"].as_str().unwrap().to_owned();
    for name in [&api.organization_id, &slug] {
        assert_eq!(root(&["--organization", name]).ok().lines().count(), 3);
    }
    root(&[]).fails(1, "name one with --organization");
    root(&["--organization", "no-such"]).fails(4, "there is no organization `no-such`");
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let (api, folder) = (usage(), TempDir::new().unwrap());
    let to = path(&folder, "a.ndjson");
    fs::write(&to, "mine").unwrap();
    export(&api, &["events", "--output", &to]).fails(1, "--force replaces it");
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
    export(&api, &["events", "--output", &to, "--force"]).ok();
    assert_eq!(fs::read_to_string(&to).unwrap().lines().count(), 3);
    let new = path(&folder, "new.parquet");
    export(&api, &["events", "--output", &path(&folder, "new")])
        .fails(2, "does not say how to write");
    export(&api, &["events", "--format", "parquet"]).fails(2, "name one with --output");
    export(&api, &["events", "--output", &path(&folder, "no/a.csv")]).fails(1, "cannot write");
    export(&api, &["events", "--force"]).fails(2, "--output");
    export(&api, &["events", "--where", "{"]).fails(2, "this is no JSON");
    export(&api, &["events", "--start", "soon"]).fails(2, "`soon` is no time");
    export(
        &api,
        &["events", "--output", &new, "--organization", &server().organization().organization_id],
    )
    .fails(1, "Organization not found");
    let unknown = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
    export(&api, &["events", "--output", &new, "--meter", unknown]).fails(4, "no such thing");
    let reader = server().token(&api.organization_id, &["meters:read"]);
    export(&reader, &["events", "--output", &new]).fails(1, "a token with more scopes");
    assert_eq!(files(&folder), ["a.ndjson"]);
    // More keys than columns.
    let metadata: serde_json::Map<String, Value> =
        (0..2001).map(|key| (format!("k{key}"), json!(key))).collect();
    api.ingest(&json!([{"name": "wide", "external_customer_id": "ada", "metadata": metadata}]));
    export(&api, &["events", "--output", &new]).fails(1, "more than 2000 keys");
    assert_eq!(files(&folder), ["a.ndjson"]);
    assert!(!Path::new(&new).exists());
}

#[test]
fn quantities_are_of_each_customer_and_interval() {
    let (api, folder) = (usage(), TempDir::new().unwrap());
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "n"}));
    let days = ["--start", "2024-05-01", "--end", "2024-05-03", "--interval", "day"];
    let of = |meter: &str, more: &[&str]| {
        export(&api, &[&["quantities", meter], &days[..], more].concat())
    };
    let bob = bob(&api);
    let expected = format!(
        "external_customer_id,customer_id,timestamp,quantity\n\
         ada,ADA,2024-05-01T00:00:00Z,1.0\nada,ADA,2024-05-02T00:00:00Z,-2.0\n\
         ada,ADA,2024-05-03T00:00:00Z,0.0\n,{bob},2024-05-01T00:00:00Z,0.0\n\
         ,{bob},2024-05-02T00:00:00Z,0.0\n,{bob},2024-05-03T00:00:00Z,4.0\n"
    );
    let ada = id(&api.get("/v1/customers/external/ada").expect(200));
    let expected = expected.replace("ADA", &ada);
    assert_eq!(of(&meter, &["--format", "csv"]).ok(), expected);
    // By the meter's name.
    let to = path(&folder, "q.csv");
    let written = of("meter", &["--output", &to]);
    assert!(written.err.contains(&format!("Wrote 6 quantities to {to}, ")), "{}", written.err);
    assert_eq!(fs::read_to_string(&to).unwrap(), expected);
    let lines = of(&meter, &[]).ok();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"external_customer_id": "ada", "customer_id": ada,
               "timestamp": "2024-05-01T00:00:00Z", "quantity": 1.0})
    );
    let to = path(&folder, "q.parquet");
    of(&meter, &["--output", &to]).ok();
    let (rows, _) = read_parquet(&to);
    let quantities = rows.column_by_name("quantity").unwrap().as_primitive::<Float64Type>();
    assert_eq!(quantities.values(), &[1.0, -2.0, 0.0, 0.0, 0.0, 4.0]);
    // In Paris the last day is over at 22:00 UTC.
    let paris = of(&meter, &["--format", "csv", "--timezone", "Europe/Paris"]).ok();
    assert!(paris.contains("ada") && paris.contains("4.0"), "{paris}");

    api.delete(&format!("/v1/customers/{bob}")).expect(204);
    let written = of(&meter, &["--format", "csv"]);
    assert!(written.err.contains("1 deleted customers are left out"), "{}", written.err);
    assert_eq!(written.ok().lines().count(), 4);
}

#[test]
fn wrong_quantities_are_refused() {
    let (api, folder) = (usage(), TempDir::new().unwrap());
    let to = path(&folder, "q.csv");
    let of = |meter: &str, more: &[&str]| {
        export(&api, &[&["quantities", meter, "--output", &to], more].concat())
    };
    let days = ["--start", "2024-05-01", "--end", "2024-05-03", "--interval", "day"];
    of("meter", &days).fails(4, "there is no meter `meter`");
    api.count_meter();
    let minutes = [&days[..4], &["--interval", "minute"]].concat();
    of("meter", &minutes).fails(2, "[possible values: hour");
    let hours = ["--start", "2024-05-01", "--end", "2024-06-03", "--interval", "hour"];
    of("meter", &hours).fails(1, "The interval is too small");
    of("meter", &[&days[..], &["--timezone", "Nowhere"]].concat()).fails(2, "is no time zone");
    of("a8ea8fc6-0a41-4545-90b9-11be3a6eaaac", &days).fails(4, "no such thing");
    api.count_meter();
    of("meter", &days).fails(1, "there are several meters of the name `meter`");
    assert_eq!(files(&folder), [""; 0]);
}

#[cfg(unix)]
#[test]
fn an_export_that_is_interrupted_leaves_nothing() {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    for signal in ["-INT", "-TERM"] {
        let folder = TempDir::new().unwrap();
        // Takes the connection and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = path(&folder, "a.ndjson");
        let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(["export", "events", "--output", &to, "--token", "t", "--url"])
            .arg(format!("http://{}", silent.local_addr().unwrap()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _connection = silent.accept().unwrap();
        assert_eq!(files(&folder).len(), 1, "a temporary file");
        // The signal is heeded from before the first call on; a moment is for its thread.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{err}");
        assert!(err.contains("error: stopped: no file was written"), "{err}");
        assert_eq!(files(&folder), [""; 0]);
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_into_and_stays_what_it_is() {
    use std::os::unix::fs::FileTypeExt as _;

    let (api, folder) = (usage(), TempDir::new().unwrap());
    let expected = events_export::export(&api, &[]);
    let pipe = path(&folder, "pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for force in [&["--force"][..], &[]] {
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        let arguments = ["events", "--format", "ndjson", "--output", &pipe];
        export(&api, &[&arguments[..], force].concat()).ok();
        assert_eq!(reader.join().unwrap(), expected);
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
    // Of a link, what it leads to is replaced.
    let (file, link) = (path(&folder, "a.ndjson"), path(&folder, "link.ndjson"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    export(&api, &["events", "--output", &link]).fails(1, "is there already");
    export(&api, &["events", "--output", &link, "--force"]).ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}
