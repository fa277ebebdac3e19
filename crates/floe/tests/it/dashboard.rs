//! The web page at `/` as it is served: what it may load, that all of it is there, how it is
//! cached. What it does in a browser is in `tests/dashboard`.

use std::collections::BTreeSet;
use std::io::Read as _;

use reqwest::blocking::Response;

use crate::harness::{Server, client, server};

/// Compressed bytes of the page and all its files together, which the first view loads.
const FIRST_VIEW_BYTES_MAX: usize = 300_000;

fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client().get(format!("http://{}{path}", server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The values of an attribute, in the order of the page.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let parts = html.split(&format!(" {name}=\"")).skip(1).collect::<Vec<_>>();
    parts.into_iter().map(|part| part.split('"').next().unwrap()).collect()
}

/// The paths of all files that the page names.
fn files(html: &str) -> BTreeSet<String> {
    let all = attributes(html, "src").into_iter().chain(attributes(html, "href"));
    all.filter(|path| path.starts_with("/dashboard/")).map(str::to_owned).collect()
}

#[test]
fn the_page_needs_no_token_and_may_load_nothing_from_elsewhere() {
    let server = server();
    let answer = get(server, "/", &[]);
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&answer, "cache-control"), "no-cache");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
    let policy = header(&answer, "content-security-policy").to_owned();
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'"] {
        assert!(policy.split("; ").any(|one| one == rule), "{rule}: {policy}");
    }
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let html = answer.text().unwrap();
    for forbidden in ["<style", " style=", "<script>", "http://", "https://", "{version}"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let refused = client().post(format!("http://{}/", server.address)).send().unwrap();
    assert_eq!(refused.status(), 405);
}

#[test]
fn all_files_are_there_and_small_and_kept_for_ever() {
    let server = server();
    let html = get(server, "/", &[]).text().unwrap();
    let files = files(&html);
    assert!(files.len() > 20, "{files:?}");
    let mut compressed = html.len();
    for path in &files {
        let plain = get(server, path, &[]);
        assert_eq!(plain.status(), 200, "{path}");
        assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&plain, "content-encoding"), "", "{path}");
        let kind = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("a file of an unknown kind: {other}"),
        };
        assert_eq!(header(&plain, "content-type"), kind, "{path}");
        let plain = plain.text().unwrap();

        let gzip = get(server, path, &[("accept-encoding", "br;q=1, gzip")]);
        if header(&gzip, "content-encoding") == "gzip" {
            let bytes = gzip.bytes().unwrap();
            compressed += bytes.len();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text, plain, "{path}");
        } else {
            compressed += plain.len();
        }
        let refused = get(server, path, &[("accept-encoding", "gzip;q=0")]);
        assert_eq!(header(&refused, "content-encoding"), "", "{path}");
    }
    assert!(compressed < FIRST_VIEW_BYTES_MAX, "{compressed} bytes");
}

#[test]
fn modules_import_only_files_that_the_page_names() {
    let server = server();
    let html = get(server, "/", &[]).text().unwrap();
    let files = files(&html);
    let mut found = 0;
    for path in files.iter().filter(|path| path.ends_with(".js") && !path.contains(".iife.")) {
        let source = get(server, path, &[]).text().unwrap();
        let base = reqwest::Url::parse("http://floe").unwrap().join(path).unwrap();
        let imports = source.split("from").skip(1).filter_map(|rest| {
            let (import, after) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            after.starts_with(';').then(|| import.to_owned())
        });
        for import in imports {
            found += 1;
            assert!(import.starts_with('.'), "{path} imports {import}");
            let imported = base.join(&import).unwrap();
            assert!(files.contains(imported.path()), "{path} imports {import}");
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn what_is_known_is_not_sent_again_and_another_version_is_not_there() {
    let server = server();
    let page = get(server, "/", &[]);
    let etag = header(&page, "etag").to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");
    let again = get(server, "/", &[("if-none-match", &format!("\"other\", {etag}"))]);
    assert_eq!(again.status(), 304);
    assert_eq!(header(&again, "etag"), etag);
    assert_eq!(again.bytes().unwrap().len(), 0);
    let other = get(server, "/", &[("if-none-match", "\"other\"")]);
    assert_eq!(other.status(), 200);

    let html = page.text().unwrap();
    let file = files(&html).into_iter().next().unwrap();
    let version = file.split('/').nth(2).unwrap();
    assert_eq!(version.len(), 32);
    for wrong in [
        file.replace(version, "0123456789abcdef0123456789abcdef"),
        format!("/dashboard/{version}/none.js"),
        format!("/dashboard/{version}/../Cargo.toml"),
        format!("/dashboard/{version}/%2e%2e/Cargo.toml"),
        format!("/dashboard/{version}/index.html"),
        "/dashboard".to_owned(),
    ] {
        assert_eq!(get(server, &wrong, &[]).status(), 404, "{wrong}");
    }
}
