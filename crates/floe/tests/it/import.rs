//! `floe import`: files of every kind, through the command line, into a server.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Api, ROOT_TOKEN, Server, organization, server};

/// What a command printed, and how it ended.
#[derive(Debug)]
struct Ended {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Ended {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    #[track_caller]
    fn fails(&self, code: i32, message: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(message), "{message} is not in {}", self.err);
    }

    /// Inserted, duplicates and refused, as `--json` says.
    #[track_caller]
    fn counts(&self) -> [u64; 3] {
        let json: Value = serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"));
        ["inserted", "duplicates", "refused"].map(|key| json[key].as_u64().unwrap())
    }
}

fn floe(api: &Api) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLOE_") {
            command.env_remove(name);
        }
    }
    command.env("FLOE_URL", format!("http://{}", api.address));
    command.env("FLOE_TOKEN", api.token.as_deref().unwrap());
    command.arg("import");
    command
}

fn end(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ended {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

fn import(api: &Api, file: &Path, arguments: &[&str]) -> Ended {
    end(floe(api).arg(file).arg("--json").args(arguments))
}

/// The same from standard input.
fn import_text(api: &Api, text: &[u8], arguments: &[&str]) -> Ended {
    let mut child = floe(api)
        .args(["-", "--json"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may end before it has read all.
    let _ = stdin.write_all(text);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Ended {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

fn write(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn total(api: &Api) -> u64 {
    let page = api.get("/v1/events/?limit=1").expect(200);
    page["pagination"]["total_count"].as_u64().unwrap()
}

/// The events, the latest first.
fn events(api: &Api) -> Vec<Value> {
    api.get("/v1/events/?limit=100").items()
}

/// The sum of `tokens` in January 2026 by customer.
fn tokens(api: &Api, customer: &str) -> f64 {
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "tokens"}));
    let (start, end) = ("2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999999Z");
    api.quantities(&meter, start, end, &[("external_customer_id", customer)]).1
}

const CSV: &str = "\
when,who,what,tokens,zip,ok,note
2026-01-05 10:00:00,ada,chat,10,01234,true,
2026-01-05 11:00:00,ada,chat,2.5,99999,False,\"said \"\"hi\"\"\nand left\"
2026-01-06T00:00:00+01:00,bob,search,1000,,,plain
1767787200,bob,search,1,1,true,
";

const CSV_COLUMNS: [&str; 6] = ["--timestamp", "when", "--customer", "who", "--name", "what"];

#[test]
fn csv_becomes_events_and_quantities_are_right() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "usage.csv", CSV);
    let api = organization();
    let arguments = [&CSV_COLUMNS[..], &["--text", "zip"]].concat();
    assert_eq!(import(&api, &path, &arguments).code(0).counts(), [4, 0, 0]);
    assert_eq!((tokens(&api, "ada"), tokens(&api, "bob")), (12.5, 1001.0));
    let found = events(&api);
    let shown: Vec<_> = found
        .iter()
        .map(|event| {
            (
                event["timestamp"].as_str().unwrap(),
                event["name"].as_str().unwrap(),
                &event["metadata"],
            )
        })
        .collect();
    let metadata = [
        json!({"tokens": 1, "zip": "1", "ok": true}),
        json!({"tokens": 1000, "note": "plain"}),
        json!({"tokens": 2.5, "zip": "99999", "ok": false, "note": "said \"hi\"\nand left"}),
        json!({"tokens": 10, "zip": "01234", "ok": true}),
    ];
    let expected = [
        ("2026-01-07T12:00:00Z", "search", &metadata[0]),
        ("2026-01-05T23:00:00Z", "search", &metadata[1]),
        ("2026-01-05T11:00:00Z", "chat", &metadata[2]),
        ("2026-01-05T10:00:00Z", "chat", &metadata[3]),
    ];
    assert_eq!(shown, expected);
    // Nothing was refused: there is no file of that.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // Again, whatever it is called: the same rows.
    let copy = write(&folder, "copy.csv", CSV);
    assert_eq!(import(&api, &copy, &arguments).code(0).counts(), [0, 4, 0]);
    // Under another name, other rows.
    let other = [&arguments[..], &["--batch", "b2"]].concat();
    assert_eq!(import(&api, &copy, &other).code(0).counts(), [4, 0, 0]);
    assert_eq!(import(&api, &path, &other).code(0).counts(), [0, 4, 0]);
    assert_eq!(total(&api), 8);
}

#[test]
fn columns_of_metadata_are_chosen_named_and_typed() {
    let folder = TempDir::new().unwrap();
    let path = write(
        &folder,
        "usage.csv",
        "a;t;c;n;id;up\n7;2026-01-05;ada;1.0;x-1;p\n;2026-01-06;bob;;x-2;\n",
    );
    let api = organization();
    let arguments = [
        "--delimiter",
        ";",
        "--timestamp",
        "t",
        "--customer",
        "c",
        "--event-name",
        "used",
        "--external-id",
        "id",
        "--parent",
        "up",
        "--metadata",
        "a=tokens:text",
        "--metadata",
        "n:number",
        "--timezone",
        "America/New_York",
    ];
    assert_eq!(import(&api, &path, &arguments).code(0).counts(), [2, 0, 0]);
    let found = events(&api);
    assert_eq!(found[1]["metadata"], json!({"tokens": "7", "n": 1.0}));
    assert_eq!(found[0]["metadata"], json!({}));
    assert_eq!(found[1]["timestamp"], "2026-01-05T05:00:00Z");
    assert_eq!(found[1]["name"], "used");
    // Its own ids are kept: sent otherwise, they are known.
    let line = r#"{"name":"e","external_customer_id":"c","external_id":"x-1"}"#;
    assert_eq!(import_text(&api, line.as_bytes(), &[]).code(0).counts(), [0, 1, 0]);
}

#[test]
fn wire_form_lines_are_imported_whatever_their_compression() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let mut text = String::from("\u{feff}");
    for n in 0..2500 {
        let id = if n % 2 == 0 { format!(r#","external_id":"{n}""#) } else { String::new() };
        let end = if n % 3 == 0 { "\r\n" } else { "\n" };
        write!(
            text,
            r#"{{"name":"e","external_customer_id":"c{}","timestamp":"2026-01-05T00:00:00Z","metadata":{{"tokens":1,"external_id":"no"}}{id}}}{end}"#,
            n % 2
        )
        .unwrap();
    }
    let plain = write(&folder, "events.ndjson", &text);
    assert_eq!(import(&api, &plain, &[]).code(0).counts(), [2500, 0, 0]);
    // A batch is of the file's bytes, so rows without an id are others in another file.
    let packed = write(&folder, "events.jsonl.gz", gzip(text.as_bytes()));
    assert_eq!(import(&api, &packed, &[]).code(0).counts(), [1250, 1250, 0]);
    let (first, second) = text.split_at(text.len() / 2);
    let frames = [zstd(first.as_bytes()), zstd(second.as_bytes())].concat();
    let packed = write(&folder, "events.zst.data", frames);
    import(&api, &packed, &[]).fails(2, "say what it is with --format");
    let format = ["--format", "ndjson"];
    assert_eq!(import(&api, &packed, &format).code(0).counts(), [1250, 1250, 0]);
    assert_eq!(import(&api, &packed, &format).code(0).counts(), [0, 2500, 0]);
    assert_eq!((tokens(&api, "c0"), tokens(&api, "c1")), (1250.0, 3.0 * 1250.0));
    let cut = write(&folder, "cut.ndjson.gz", &gzip(text.as_bytes())[..5000]);
    import(&api, &cut, &[]).fails(1, "cut.ndjson.gz: cannot read line");
}

#[test]
fn standard_input_needs_a_batch_unless_every_row_has_an_id() {
    let api = organization();
    let line = r#"{"name":"e","external_customer_id":"c"}"#;
    let text = format!("{line}\n{line}\n");
    import_text(&api, text.as_bytes(), &[])
        .fails(2, "row 1 of standard input has no external id: name the import with --batch");
    assert_eq!(total(&api), 0);
    let batch = ["--batch", "monday's \"1\""];
    assert_eq!(import_text(&api, text.as_bytes(), &batch).code(0).counts(), [2, 0, 0]);
    assert_eq!(import_text(&api, &gzip(text.as_bytes()), &batch).code(0).counts(), [0, 2, 0]);
    let csv = [&CSV_COLUMNS[..], &["--format", "csv", "--batch", "c"]].concat();
    assert_eq!(import_text(&api, &zstd(CSV.as_bytes()), &csv).code(0).counts(), [4, 0, 0]);
    import_text(&api, b"PAR1", &["--batch", "p"])
        .fails(2, "Parquet cannot be read from standard input");
}

#[test]
fn rows_of_json_can_be_mapped() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let text = concat!(
        r#"{"at":"2026-01-05 10:00:00","user":7,"kind":"chat","tokens":5,"note":null}"#,
        "\n",
        r#"{"user":"7","at":1767787200,"tokens":"6","kind":"chat","more":true}"#,
        "\n",
        r#"{"user":"7","kind":"chat"}"#,
        "\n",
        r#"{"at":"2026-01-05","user":"7","kind":"chat","tokens":[1]}"#,
        "\n",
        "[]\n",
    );
    let path = write(&folder, "rows.ndjson", text);
    let arguments = ["--timestamp", "at", "--customer", "user", "--name", "kind"];
    assert_eq!(import(&api, &path, &arguments).code(3).counts(), [2, 0, 3]);
    let found = events(&api);
    assert_eq!(found[0]["metadata"], json!({"tokens": "6", "more": true}));
    assert_eq!(found[1]["metadata"], json!({"tokens": 5}));
    assert_eq!(found[1]["external_customer_id"], "7");
    let refused =
        std::fs::read_to_string(folder.path().join("rows.ndjson.refused.ndjson")).unwrap();
    let refused: Vec<Value> =
        refused.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = refused
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "a column that every event needs is missing"),
        (4, "column `tokens`: metadata cannot hold a list or an object"),
        (5, "it is no JSON object"),
    ];
    assert_eq!(shown, expected);
    assert_eq!(refused[1]["row"]["tokens"], json!([1]));
    let wrong = ["--timestamp", "when", "--customer", "user", "--name", "kind"];
    import(&api, &path, &wrong).fails(
        2,
        "there is no column `when` (--timestamp); there are: at, user, kind, tokens, note",
    );
}

/// A Parquet file with columns of many types.
fn parquet_file(path: &Path, compression: Compression, rows: i64) {
    let tokens: Vec<i64> = (0..rows).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    tokens.iter().map(|n| 1_767_607_200_000_000 + n * 1_000_000),
                )
                .with_timezone("UTC"),
            ),
        ),
        (
            "local",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                tokens.iter().map(|_| 1_767_607_200_000_000),
            )),
        ),
        (
            "who",
            Arc::new(StringArray::from_iter_values(tokens.iter().map(|n| format!("c{}", n % 2)))),
        ),
        ("number", Arc::new(Int64Array::from_iter_values(tokens.iter().map(|n| n % 3)))),
        (
            "tokens",
            Arc::new(Int64Array::from_iter(tokens.iter().map(|n| (n % 10 != 9).then_some(*n)))),
        ),
        ("share", Arc::new(Float64Array::from_iter_values(tokens.iter().map(|_| 0.25)))),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values(tokens.iter().map(|n| i128::from(*n) * 100 + 5))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
        ("day", Arc::new(Date32Array::from_iter_values(tokens.iter().map(|_| 20_458)))),
        ("ok", Arc::new(BooleanArray::from_iter(tokens.iter().map(|n| Some(n % 2 == 0))))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(1000))
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_becomes_events_by_the_types_of_its_columns() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let path = folder.path().join("usage.parquet");
    let rows = 2500;
    parquet_file(&path, Compression::SNAPPY, rows);
    let arguments = ["--timestamp", "at", "--customer", "who", "--event-name", "used"];
    assert_eq!(import(&api, &path, &arguments).code(0).counts(), [2500, 0, 0]);
    assert_eq!(import(&api, &path, &arguments).code(0).counts(), [0, 2500, 0]);
    // Without each tenth, which is null: 9, 19, …, all of them odd.
    let sum = |parity: i64| (0..rows).filter(|n| n % 2 == parity && n % 10 != 9).sum::<i64>();
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let sums = (sum(0) as f64, sum(1) as f64);
    assert_eq!((tokens(&api, "c0"), tokens(&api, "c1")), sums);
    let last = &events(&api)[0];
    assert_eq!(last["timestamp"], "2026-01-05T10:41:39Z");
    let metadata = json!({
        "local": "2026-01-05T10:00:00", "number": 2499 % 3, "share": 0.25, "price": 2499.05,
        "day": "2026-01-05", "ok": false,
    });
    assert_eq!(last["metadata"], metadata);
    // Other codecs, times of the calendar, and customers that are numbers.
    for (n, codec) in [
        Compression::UNCOMPRESSED,
        Compression::LZ4_RAW,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{n}.data"));
        parquet_file(&path, codec, 3);
        let api = organization();
        let arguments = [
            "--timestamp",
            "local",
            "--timezone",
            "Europe/Berlin",
            "--customer",
            "number",
            "--name",
            "who",
            "--metadata",
            "day",
            "--metadata",
            "tokens:text",
        ];
        assert_eq!(import(&api, &path, &arguments).code(0).counts(), [3, 0, 0]);
        let first =
            events(&api).into_iter().find(|event| event["external_customer_id"] == "0").unwrap();
        assert_eq!(first["timestamp"], "2026-01-05T09:00:00Z");
        assert_eq!(
            (&first["name"], &first["metadata"]),
            (&json!("c0"), &json!({"day": "2026-01-05", "tokens": "0"}))
        );
    }
    let broken = write(&folder, "broken.parquet", b"PAR1 and no more");
    import(&api, &broken, &arguments).fails(1, "it is no Parquet file, or damaged");
}

#[test]
fn wrong_columns_are_told_with_those_there_are() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "usage.csv", CSV);
    let api = organization();
    let check = |arguments: &[&str], message: &str| {
        let ended = import(&api, &path, arguments);
        ended.fails(2, message);
        assert_eq!(ended.out, "");
    };
    let columns = "the columns are: when, who, what, tokens, zip, ok, note";
    check(&[], columns);
    check(&[], "perhaps: --timestamp when --customer COL --event-name TEXT");
    check(
        &["--timestamp", "when", "--customer", "who"],
        "its name (--name COL, or --event-name TEXT for all)",
    );
    let there = "there are: when, who, what, tokens, zip, ok, note";
    check(&["--timestamp", "When", "--customer", "who", "--name", "what"], there);
    check(
        &[&CSV_COLUMNS[..], &["--metadata", "token"]].concat(),
        "there is no column `token` (--metadata)",
    );
    check(&[&CSV_COLUMNS[..], &["--text", "x"]].concat(), "there is no column `x` (--text)");
    check(
        &[&CSV_COLUMNS[..], &["--metadata", "zip=a", "--metadata", "ok=a"]].concat(),
        "two columns would be metadata \"a\"",
    );
    check(&[&CSV_COLUMNS[..], &["--timezone", "Mars"]].concat(), "there is no time zone `Mars`");
    check(&["--name", "a", "--event-name", "b"], "cannot be used with");
    check(&["--connections", "0"], "--connections");
    check(&["--delimiter", "ab"], "it must be one ASCII character");
    let twice = write(&folder, "twice.csv", "a,a\n1,2\n");
    import(&api, &twice, &CSV_COLUMNS).fails(2, "two columns are called `a`");
    let empty = write(&folder, "empty.csv", "");
    import(&api, &empty, &CSV_COLUMNS).fails(2, "there is no line with the names of the columns");
    import(&api, &folder.path().join("none.csv"), &CSV_COLUMNS).fails(1, "cannot open");
    end(floe(&api).args(["a", "b", "--batch", "x"])).fails(2, "import files one by one");
    end(&mut floe(&api)).fails(2, "<FILE>");
    assert_eq!(total(&api), 0);
}

#[test]
fn refused_rows_are_in_a_file_with_their_reasons() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let text = "\
when,who,what,n
2026-01-05,ada,chat,1
soon,ada,chat,2
2026-01-05,,chat,3
2026-01-05,ada,chat,4,5
2999-01-01,ada,chat,6
2026-01-05,ada,chat,x
";
    let path = write(&folder, "usage.csv", text);
    let arguments = [&CSV_COLUMNS[..], &["--metadata", "n:integer"]].concat();
    let ended = import(&api, &path, &arguments).code(3);
    assert_eq!(ended.counts(), [1, 0, 5]);
    let file = folder.path().join("usage.csv.refused.ndjson");
    let summary: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(summary["refused_files"], json!([file]));
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut rows: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        rows.sort_by_key(|row| row["line"].as_u64());
        rows
    };
    let rows = read(&file);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        (
            3,
            "column `when`: `soon` is no time: times are RFC 3339 (2026-01-31T12:00:00Z), 2026-01-31, 2026-01-31 12:00:00, or Unix seconds or milliseconds",
        ),
        (4, "column `who`: it is empty"),
        (5, "it has 5 fields, and there are 4 columns"),
        (6, "timestamp: Value error, Timestamp must be in the past."),
        (7, "column `n`: `x` is no integer"),
    ];
    assert_eq!(shown, expected);
    assert_eq!(rows[0]["row"], json!({"when": "soon", "who": "ada", "what": "chat", "n": "2"}));
    assert_eq!(rows[3]["event"]["timestamp"], "2999-01-01T00:00:00.000000Z");
    assert!(rows[3].get("row").is_none());
    // A dry run finds the same, and sends nothing.
    let other = organization();
    let elsewhere = folder.path().join("elsewhere.ndjson");
    let dry = [&arguments[..], &["--dry-run", "--refused", elsewhere.to_str().unwrap()]].concat();
    let ended = import(&other, &path, &dry).code(3);
    assert_eq!(read(&elsewhere), rows);
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&found["events"], &found["refused_total"]), (&json!(1), &json!(5)));
    assert_eq!(found["first"][0]["external_customer_id"], "ada");
    let people = end(floe(&other).arg(&path).args(&arguments).arg("--dry-run")).code(3);
    assert!(
        people.out.contains("line 4 would be refused: column `who`: it is empty"),
        "{}",
        people.out
    );
    assert!(
        people.out.ends_with("1 events, 5 rows refused. Nothing was sent.\n"),
        "{}",
        people.out
    );
    assert_eq!(total(&other), 0);
}

#[test]
fn lines_that_the_server_refuses_are_told_too() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let mut text = String::new();
    for n in 0..3000 {
        // Each tenth has no name.
        let name = if n % 10 == 0 { "" } else { r#""name":"e","# };
        writeln!(text, r#"{{{name}"external_customer_id":"c"}}"#).unwrap();
    }
    text.push_str("nonsense\n");
    let path = write(&folder, "events.ndjson", text);
    assert_eq!(import(&api, &path, &[]).code(3).counts(), [2700, 0, 301]);
    let refused =
        std::fs::read_to_string(folder.path().join("events.ndjson.refused.ndjson")).unwrap();
    let mut lines: Vec<u64> = Vec::new();
    for row in refused.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        lines.push(row["line"].as_u64().unwrap());
        let reason = row["reason"].as_str().unwrap();
        let expected =
            if row["line"] == 3001 { "JSON decode error" } else { "name: Field required" };
        assert!(reason.contains(expected), "{row}");
    }
    lines.sort_unstable();
    let expected: Vec<u64> = (0..300).map(|n| n * 10 + 1).chain([3001]).collect();
    assert_eq!(lines, expected);
}

#[test]
fn the_root_token_imports_for_an_organization_that_is_named() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "usage.csv", CSV);
    let api = organization();
    let root = api.with_token(ROOT_TOKEN);
    import(&root, &path, &CSV_COLUMNS).fails(1, "name one with --organization");
    let named = [&CSV_COLUMNS[..], &["--organization", &api.organization_id]].concat();
    assert_eq!(import(&root, &path, &named).code(0).counts(), [4, 0, 0]);
    let line = r#"{"name":"e","external_customer_id":"c"}"#;
    let wire = write(&folder, "wire.ndjson", line);
    let named = ["--organization", &api.organization_id];
    assert_eq!(import(&root, &wire, &named).code(0).counts(), [1, 0, 0]);
    assert_eq!(total(&api), 5);
    let reader = server().token(&api.organization_id, &["events:read"]);
    import(&reader, &wire, &[]).fails(1, "a token with more scopes");
    let nowhere = Api::new("127.0.0.1:1".parse().unwrap(), Some("t"));
    import(&nowhere, &wire, &[]).fails(5, "no server answers at");
}

#[test]
fn stopped_midway_and_started_again_each_row_counts_once() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let count = 60_000;
    let mut text = String::from("t,c,tokens\n");
    for n in 0..count {
        writeln!(text, "2026-01-05 10:00:00,c{},{}", n % 3, n % 7).unwrap();
    }
    let path = write(&folder, "usage.csv", &text);
    let arguments = ["--timestamp", "t", "--customer", "c", "--event-name", "used"];
    let mut child = floe(&api)
        .arg(&path)
        .args(arguments)
        .args(["--connections", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while total(&api) == 0 {
        assert!(child.try_wait().unwrap().is_none() || total(&api) > 0);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = total(&api);
    assert!(before > 0);
    let [inserted, duplicates, refused] = import(&api, &path, &arguments).code(0).counts();
    assert_eq!((inserted + duplicates, refused), (count, 0));
    assert!(duplicates >= before.min(count), "{duplicates} of {before}");
    assert_eq!(total(&api), count);
    for customer in 0..3 {
        let expected: u64 = (0..count).filter(|n| n % 3 == customer).map(|n| n % 7).sum();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let expected = expected as f64;
        assert_eq!(tokens(&api, &format!("c{customer}")), expected);
    }
}

#[test]
fn a_server_that_is_started_again_midway_gets_every_row_once() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let first = Server::start(&data);
    let api = first.organization();
    let count = 40_000;
    let mut text = String::new();
    for n in 0..count {
        writeln!(text, r#"{{"name":"e","external_customer_id":"c","metadata":{{"n":{n}}}}}"#)
            .unwrap();
    }
    let path = write(&folder, "events.ndjson", &text);
    let child = floe(&api)
        .arg(&path)
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while total(&api) == 0 {}
    first.kill();
    let second = Server::start_at(&data, api.address);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = summary["inserted"].as_u64().unwrap() + summary["duplicates"].as_u64().unwrap();
    assert_eq!(sent, count);
    let api = Api { address: second.address, ..api };
    assert_eq!(total(&api), count);
}

#[test]
fn several_files_are_one_import() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let line = r#"{"name":"e","external_customer_id":"c"}"#;
    let one = write(&folder, "one.ndjson", line);
    let two = write(&folder, "two.ndjson", format!("{line}\n{line}\n"));
    let none = write(&folder, "none.ndjson", "");
    let ended = end(floe(&api).args([&one, &two, &none]));
    assert!(ended.out.starts_with("3 inserted, 0 duplicates, 0 refused, in "), "{ended:?}");
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn columns_called_as_fields_are_no_export_if_there_are_others() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let text = "timestamp,name,external_customer_id,tokens\n2026-01-05,chat,ada,5\n";
    let path = write(&folder, "usage.csv", text);
    let ended = import(&api, &path, &[]);
    ended.fails(2, "the columns are: timestamp, name, external_customer_id, tokens; perhaps:");
    ended.fails(2, "--timestamp timestamp --customer external_customer_id --name name");
    let columns =
        ["--timestamp", "timestamp", "--customer", "external_customer_id", "--name", "name"];
    assert_eq!(import(&api, &path, &columns).code(0).counts(), [1, 0, 0]);
    assert_eq!(tokens(&api, "ada"), 5.0);
    // What an export has, and nothing else, needs no mapping.
    let text = "timestamp,name,external_customer_id,metadata.tokens\n2026-01-05,chat,bob,7\n";
    let path = write(&folder, "exported.csv", text);
    assert_eq!(import(&api, &path, &[]).code(0).counts(), [1, 0, 0]);
    assert_eq!(tokens(&api, "bob"), 7.0);
}

#[test]
fn rows_that_end_with_carriage_returns_all_count() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let path = write(&folder, "mac.csv", "t,c,tokens\r2026-01-05,ada,1\r2026-01-05,bob,2\r");
    let arguments = ["--timestamp", "t", "--customer", "c", "--event-name", "used"];
    assert_eq!(import(&api, &path, &arguments).code(0).counts(), [2, 0, 0]);
    assert_eq!((tokens(&api, "ada"), tokens(&api, "bob")), (1.0, 2.0));
}

#[test]
fn an_input_is_never_written_over() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let text = "{\"name\":\"a\"}\n";
    let path = write(&folder, "a.ndjson", text);
    let other = write(&folder, "a.ndjson.refused.ndjson", text);
    let name = path.to_str().unwrap();
    for arguments in [&["--refused", name][..], &["--refused", name, "--dry-run"]] {
        import(&api, &path, arguments).fails(2, "refused rows would be written over");
    }
    import(&api, &path, &[other.to_str().unwrap()]).fails(2, "refused rows would be written over");
    import(&api, &path, &[name]).fails(2, "is named twice");
    let missing = folder.path().join("missing.ndjson");
    import(&api, &path, &[missing.to_str().unwrap()]).fails(1, "missing.ndjson");
    for path in [path, other] {
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }
}

#[test]
fn what_is_read_wrongly_is_refused_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let path = write(&folder, "list.json", "\n[\n{\"name\":\"a\"},\n{\"name\":\"b\"}\n]\n");
    import(&api, &path, &[]).fails(2, "it is one list of JSON, and is to be an object a line");
    let columns = ["--timestamp", "t", "--customer", "c", "--event-name", "e"];
    import(&api, &path, &columns).fails(2, "it is one list of JSON");
    // Names in messages do not steer the terminal.
    let path = write(&folder, "evil.csv", "t,\u{1b}]0;title\u{7},c\n2026-01-05,1,x\n");
    let ended = import(&api, &path, &[]);
    ended.fails(2, r"\u{1b}]0;title\u{7}");
    assert!(!ended.err.contains('\u{1b}'), "{ended:?}");
    // Days as spreadsheets count them, and dates without dashes.
    let path = write(&folder, "days.csv", "t,c\n20260105,ada\n46000.5,ada\n2026-01-05,ada\n");
    let ended = import(&api, &path, &columns).code(3);
    assert_eq!(ended.counts(), [1, 0, 2]);
}

#[test]
fn a_row_of_json_counts_once_whatever_it_looks_like() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let deep = format!("{}{}", "[".repeat(126), "]".repeat(126));
    let text = format!(
        "{}\n{}\n{}\n",
        r#"{"name":"a","timestamp":"2026-01-05T00:00:00Z","external_customer_id":"ada","external_\u0069d":null}"#,
        format_args!(
            r#"{{"name":"a","timestamp":"2026-01-05T00:00:00Z","external_customer_id":"ada","metadata":{{"x":{deep}}}}}"#
        ),
        r#"{"name":"a","timestamp":"2026-01-05T00:00:00Z","external_customer_id":"ada"}"#,
    );
    let path = write(&folder, "a.ndjson", text);
    assert_eq!(import(&api, &path, &[]).code(3).counts(), [2, 0, 1]);
    assert_eq!(import(&api, &path, &[]).code(3).counts(), [0, 2, 1]);
    // An empty text is as an empty field of CSV.
    let path = write(&folder, "m.ndjson", r#"{"t":"2026-01-05","c":"bob","tokens":3,"v":""}"#);
    let columns = ["--timestamp", "t", "--customer", "c", "--event-name", "e"];
    assert_eq!(import(&api, &path, &columns).code(0).counts(), [1, 0, 0]);
    let found = api.get("/v1/events/?external_customer_id=bob").items();
    assert_eq!(found[0]["metadata"], json!({"tokens": 3}));
}

#[cfg(unix)]
#[test]
fn an_import_that_is_stopped_says_so_and_goes_on() {
    let folder = TempDir::new().unwrap();
    let api = organization();
    let mut text = String::from("t,c,tokens\nsoon,ada,1\n");
    for n in 0..1500 {
        writeln!(text, "2026-01-05,ada,{n}").unwrap();
    }
    let path = write(&folder, "x.csv", &text);
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let columns = ["--timestamp", "t", "--customer", "c", "--event-name", "e", "--batch", "b"];
    let refused = folder.path().join("refused.ndjson");
    let mut command = floe(&api);
    command.arg(&pipe).args(columns).args(["--format", "csv", "--refused"]).arg(&refused);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Nothing comes after these rows, and the pipe stays open.
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    while total(&api) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("stopped: the same command goes on"), "{err}");
    // What was refused until then is told, in whole lines.
    let refused = std::fs::read_to_string(&refused).unwrap();
    assert!(refused.contains("`soon` is no time") && refused.ends_with("}\n"), "{refused}");
    assert_eq!(import(&api, &path, &columns).code(3).counts(), [500, 1000, 1]);
}

#[test]
fn an_organization_that_is_not_there_is_told_before_rows_are_refused() {
    let folder = TempDir::new().unwrap();
    let root = Api { token: Some(ROOT_TOKEN.to_owned()), ..organization() };
    let path = write(&folder, "a.ndjson", "{\"name\":\"a\"}\n");
    let id = "00000000-0000-4000-8000-000000000000";
    import(&root, &path, &["--organization", id]).fails(4, id);
    assert!(!folder.path().join("a.ndjson.refused.ndjson").exists());
}
