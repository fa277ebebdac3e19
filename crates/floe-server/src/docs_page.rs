//! The page at `/docs`: the OpenAPI document for people. It owns the HTML and loads nothing, so
//! it works without a network and runs no script.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::openapi;

const STYLE: &str = include_str!("docs_page.css");

/// The page and the only policy under which it is to be shown.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    pub(crate) content_security_policy: String,
}

/// The page, made once.
pub(crate) fn page() -> &'static Page {
    static PAGE: OnceLock<Page> = OnceLock::new();
    PAGE.get_or_init(|| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        Page {
            // A document is JSON: the default, an empty page, is not reached.
            html: render(&serde_json::to_value(openapi::document()).unwrap_or_default()),
            content_security_policy: format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            ),
        }
    })
}

/// A method of a path.
struct Operation<'a> {
    method: String,
    path: &'a str,
    about: &'a Value,
}

impl<'a> Operation<'a> {
    fn id(&self) -> &'a str {
        text(self.about, "operationId")
    }

    fn body(&self) -> Option<&'a Value> {
        self.about.pointer("/requestBody/content/application~1json")
    }

    fn parameters(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.about["parameters"].as_array().into_iter().flatten()
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What a value refers to, or itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(value),
        None => value,
    }
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for method in ["get", "post", "patch", "delete"] {
            if let Some(about) = item.get(method) {
                operations.push(Operation { method: method.to_uppercase(), path, about });
            }
        }
    }
    operations
}

fn render(document: &Value) -> String {
    let operations = operations(document);
    let (mut nav, mut main) = (String::new(), String::new());
    let info = &document["info"];
    for tag in elements(&document["tags"]) {
        let (name, id) = (text(tag, "name"), anchor("tag", text(tag, "name")));
        push(&mut nav, format_args!("<h2><a href=\"#{id}\">{}</a></h2><ul>", escaped(name)));
        push(&mut main, format_args!("<section id=\"{id}\"><h2>{}</h2>", escaped(name)));
        paragraphs(&mut main, text(tag, "description"));
        for operation in &operations {
            if elements(&operation.about["tags"]).any(|tag| tag == name) {
                push(
                    &mut nav,
                    format_args!(
                        "<li><a href=\"#{}\">{}</a></li>",
                        escaped(operation.id()),
                        inline(text(operation.about, "summary").trim_end_matches('.'))
                    ),
                );
                show_operation(&mut main, document, operation);
            }
        }
        nav.push_str("</ul>");
        main.push_str("</section>");
    }
    nav.push_str("<h2><a href=\"#schemas\">schemas</a></h2>");
    show_schemas(&mut main, document, &operations);
    let mut html = String::new();
    push(
        &mut html,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title} API</title><style>{STYLE}</style></head>\n<body>\n\
             <nav aria-label=\"Contents\">{nav}</nav>\n\
             <main><h1>{title} <small>{version}</small></h1>\n",
            title = escaped(text(info, "title")),
            version = escaped(text(info, "version")),
        ),
    );
    paragraphs(&mut html, text(info, "description"));
    paragraphs(
        &mut html,
        text(&document["components"]["securitySchemes"]["bearer"], "description"),
    );
    paragraphs(
        &mut html,
        "The examples need two variables of the shell: `FLOE_URL`, where the server is, as in \
         `http://127.0.0.1:7070`, and `FLOE_TOKEN`. For programs, the same is at `/openapi.json`.",
    );
    html.push_str(&main);
    html.push_str("</main>\n</body></html>\n");
    html
}

fn show_operation(out: &mut String, document: &Value, operation: &Operation<'_>) {
    let about = operation.about;
    push(
        out,
        format_args!(
            "\n<article id=\"{id}\"><h3><a href=\"#{id}\">{}</a></h3>\
             <p class=\"path\"><b class=\"{method}\">{method}</b> <code>{}</code></p>",
            inline(text(about, "summary").trim_end_matches('.')),
            escaped(operation.path),
            id = escaped(operation.id()),
            method = escaped(&operation.method),
        ),
    );
    paragraphs(out, text(about, "description"));
    let scopes = elements(&about["security"]).flat_map(|one| elements(&one["bearer"]));
    let scopes: Vec<_> = scopes.filter_map(Value::as_str).map(|s| format!("`{s}`")).collect();
    match (about["security"] == json!([]), scopes.as_slice()) {
        (true, _) => paragraphs(out, "Needs no token."),
        (false, []) => paragraphs(out, "Needs the root token."),
        (false, scopes) => paragraphs(out, &format!("Needs the scope {}.", scopes.join(" or "))),
    }
    if operation.parameters().next().is_some() {
        out.push_str(
            "<h4>Parameters</h4><div class=\"table\"><table><thead><tr><th>Name</th><th>Type</th>\
             <th>Meaning</th></tr></thead><tbody>",
        );
        for parameter in operation.parameters() {
            let name = match text(parameter, "style") {
                "deepObject" => format!("{}[key]", text(parameter, "name")),
                _ => text(parameter, "name").to_owned(),
            };
            let place = if text(parameter, "in") == "path" { "in the path" } else { "" };
            let required = parameter["required"] == json!(true) && place.is_empty();
            let mark = if required { "required" } else { place };
            row(out, &name, mark, &parameter["schema"], text(parameter, "description"));
        }
        out.push_str("</tbody></table></div>");
    }
    if let Some(body) = operation.body() {
        push(out, format_args!("<h4>Body</h4><p>{}</p>", kind(&body["schema"])));
        fields(out, document, resolve(document, &body["schema"]), true);
    }
    out.push_str(
        "<h4>Answers</h4><div class=\"table\"><table><thead><tr><th>Status</th><th>Type</th>\
         <th>Meaning</th></tr></thead><tbody>",
    );
    for (status, response) in members(&about["responses"]) {
        let response = resolve(document, response);
        let content = members(&response["content"]).next();
        let body = content.map_or("no body".to_owned(), |(media, content)| match media.as_str() {
            "application/json" => kind(&content["schema"]),
            other => escaped(other),
        });
        push(
            out,
            format_args!(
                "<tr><td><code>{}</code></td><td>{body}</td><td>{}</td></tr>",
                escaped(status),
                inline(text(response, "description"))
            ),
        );
    }
    out.push_str("</tbody></table></div><h4>Example</h4>");
    push(out, format_args!("<pre><code>{}</code></pre>", escaped(&curl(operation))));
    let success = members(&about["responses"]).find(|(status, _)| status.starts_with('2'));
    let schema =
        success.and_then(|(_, answer)| answer.pointer("/content/application~1json/schema"));
    if let Some(schema) = schema.filter(|schema| **schema != json!({})) {
        let sample = serde_json::to_string_pretty(&sample(document, schema)).unwrap_or_default();
        push(
            out,
            format_args!(
                "<details><summary>Shape of the answer</summary>\
                 <pre><code>{}</code></pre></details>",
                escaped(&sample)
            ),
        );
    }
    out.push_str("</article>");
}

/// A command that calls an operation.
fn curl(operation: &Operation<'_>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let path = operation.path.replace("{id}", SAMPLE_ID).replace("{external_id}", "user_123");
    let mut lines = vec![match operation.method.as_str() {
        "GET" => format!("curl \"$FLOE_URL{path}\""),
        method => format!("curl -X {method} \"$FLOE_URL{path}\""),
    }];
    if operation.about["security"] != json!([]) {
        lines.push("-H \"Authorization: Bearer $FLOE_TOKEN\"".to_owned());
    }
    let in_query: Vec<_> = operation
        .parameters()
        .filter(|parameter| {
            text(parameter, "in") == "query" && parameter["required"] == json!(true)
        })
        .map(|parameter| format!("{}={}", text(parameter, "name"), text(parameter, "example")))
        .collect();
    if !in_query.is_empty() {
        lines.push("--get".to_owned());
    }
    lines.extend(in_query.iter().map(|pair| format!("--data-urlencode {}", quoted(pair))));
    if let Some(body) = operation.body() {
        lines.push("-H \"Content-Type: application/json\"".to_owned());
        let body = serde_json::to_string_pretty(&body["example"]).unwrap_or_default();
        lines.push(format!("-d {}", quoted(&body)));
    }
    lines.join(" \\\n  ")
}

fn show_schemas(out: &mut String, document: &Value, operations: &[Operation<'_>]) {
    let mut sent = BTreeSet::new();
    for body in operations.iter().filter_map(Operation::body) {
        collect(document, &body["schema"], &mut sent);
    }
    out.push_str("\n<section id=\"schemas\"><h2>schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let (id, name_html) = (anchor("schema", name), escaped(name));
        push(
            out,
            format_args!("\n<article id=\"{id}\"><h3><a href=\"#{id}\">{name_html}</a></h3>"),
        );
        paragraphs(out, text(schema, "description"));
        let is_named = schema["properties"].is_object() || schema["allOf"].is_array();
        if !is_named {
            push(out, format_args!("<p>{}{}</p>", kind(schema), bounds(schema)));
        }
        fields(out, document, schema, sent.contains(name.as_str()));
        out.push_str("</article>");
    }
    out.push_str("</section>");
}

/// Adds the names of all schemas that a schema is made of.
fn collect<'a>(document: &'a Value, schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        if names.insert(name) {
            collect(document, resolve(document, schema), names);
        }
        return;
    }
    match schema {
        Value::Object(object) => object.values().for_each(|value| collect(document, value, names)),
        Value::Array(array) => array.iter().for_each(|value| collect(document, value, names)),
        _ => {}
    }
}

/// A table of the fields of an object: those that must be there first. In answers all are.
fn fields(out: &mut String, document: &Value, schema: &Value, is_sent: bool) {
    let parts: Vec<&Value> = match schema["allOf"].as_array() {
        Some(parts) => parts.iter().map(|part| resolve(document, part)).collect(),
        None => vec![schema],
    };
    if !parts.iter().any(|part| members(&part["properties"]).next().is_some()) {
        return;
    }
    out.push_str(
        "<div class=\"table\"><table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr>\
         </thead><tbody>",
    );
    for part in parts {
        let required: Vec<&str> = elements(&part["required"]).filter_map(Value::as_str).collect();
        let rest = members(&part["properties"]).map(|(name, _)| name.as_str());
        let rest = rest.filter(|name| !required.contains(name));
        for name in required.iter().copied().chain(rest) {
            let mark = match (required.contains(&name), is_sent) {
                (true, true) => "required",
                (false, false) => "may be absent",
                _ => "",
            };
            let field = &part["properties"][name];
            row(out, name, mark, field, described(field));
        }
        if part["properties"].is_object() && part["additionalProperties"].is_object() {
            row(out, "any other", "", &part["additionalProperties"], "");
        }
    }
    out.push_str("</tbody></table></div>");
}

/// What a field says of itself, beside or inside of "or null".
fn described(field: &Value) -> &str {
    let inside = elements(&field["oneOf"]).map(|one| text(one, "description"));
    let texts = std::iter::once(text(field, "description")).chain(inside);
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or("")
}

fn row(out: &mut String, name: &str, mark: &str, schema: &Value, meaning: &str) {
    let mark = if mark.is_empty() { String::new() } else { format!(" <small>{mark}</small>") };
    push(
        out,
        format_args!(
            "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}{}</td></tr>",
            escaped(name),
            kind(schema),
            inline(meaning),
            bounds(schema)
        ),
    );
}

/// What kind of value a schema admits, as HTML.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#{}\">{}</a>", anchor("schema", name), escaped(name));
    }
    let values: Vec<String> = elements(&schema["enum"]).map(code).collect();
    if !values.is_empty() {
        return values.join(" or ");
    }
    let choices: Vec<String> = elements(&schema["oneOf"]).map(kind).collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name.as_str()],
        _ => return "anything".to_owned(),
    };
    let types: Vec<String> = types
        .into_iter()
        .map(|name| match (name, &schema["items"], &schema["additionalProperties"]) {
            ("array", items, _) => format!("list of {}", kind(items)),
            ("object", _, values) if values.is_object() && !schema["properties"].is_object() => {
                format!("object of {}", kind(values))
            }
            ("string", ..) => match text(schema, "format") {
                "" => "string".to_owned(),
                format => escaped(format),
            },
            (name, ..) => escaped(name),
        })
        .collect();
    types.join(" or ")
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("<code>{}</code>", escaped(text)),
        other => format!("<code>{}</code>", escaped(&other.to_string())),
    }
}

/// The bounds of a schema in words, as HTML.
fn bounds(schema: &Value) -> String {
    let bound = |key: &str, before: &str, after: &str| match &schema[key] {
        Value::Null => None,
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(code).collect();
            Some(format!(" {before} {}{after}.", values.join(", ")))
        }
        value => Some(format!(" {before} {}{after}.", code(value))),
    };
    let all = [
        bound("minimum", "At least", ""),
        bound("maximum", "At most", ""),
        bound("minLength", "At least", " characters"),
        bound("maxLength", "At most", " characters"),
        bound("pattern", "Matches", ""),
        bound("default", "By default", ""),
    ];
    all.into_iter().flatten().collect()
}

const SAMPLE_ID: &str = "5b1f7d3e-8c2a-4f6b-9d0e-1a2b3c4d5e6f";

/// A value that a schema admits.
fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    if let Some(first) = elements(&schema["enum"]).chain(elements(&schema["oneOf"])).next() {
        return if schema["enum"].is_array() { first.clone() } else { sample(document, first) };
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("string") => match text(schema, "format") {
            "date-time" => json!("2026-01-15T10:30:00Z"),
            "uuid" => json!(SAMPLE_ID),
            _ => json!("text"),
        },
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("boolean") => json!(false),
        Some("array") => json!([sample(document, &schema["items"])]),
        _ => {
            let parts = elements(&schema["allOf"]).map(|part| resolve(document, part));
            let parts = parts.chain([schema]);
            let fields = parts.flat_map(|part| members(&part["properties"]));
            let fields = fields.map(|(name, field)| (name.clone(), sample(document, field)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

/// An id within the page.
fn anchor(group: &str, name: &str) -> String {
    let name = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    format!("{group}-{}", name.collect::<String>())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text with `code` in backticks, as HTML.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match (index % 2, escaped(part)) {
        (0, part) => part,
        (_, part) => format!("<code>{part}</code>"),
    });
    parts.collect()
}

fn paragraphs(out: &mut String, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        push(out, format_args!("<p>{}</p>", inline(paragraph)));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_operation_and_no_dead_link() {
        let html = &page().html;
        let document = serde_json::to_value(openapi::document()).unwrap();
        let operations = operations(&document);
        assert!(operations.len() > 30);
        for operation in operations {
            assert_eq!(
                html.matches(&format!("<article id=\"{}\">", operation.id())).count(),
                1,
                "{}",
                operation.id()
            );
            assert!(html.contains(&format!("<code>{}</code>", operation.path)));
        }
        let ids: BTreeSet<&str> = html.split(" id=\"").skip(1).map(until_quote).collect();
        for link in html.split("href=\"").skip(1).map(until_quote) {
            assert!(link.strip_prefix('#').is_some_and(|id| ids.contains(id)), "{link}");
        }
    }

    fn until_quote(text: &str) -> &str {
        text.split('"').next().unwrap()
    }

    #[test]
    fn the_page_loads_and_runs_nothing() {
        let html = &page().html;
        for forbidden in ["<script", "<link", "<img", "src=", "url(", "@import", " style=", " on"] {
            let tags = html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap());
            let found = tags.filter(|tag| format!("<{tag}").contains(forbidden)).count();
            assert_eq!(found, 0, "{forbidden}");
            assert!(!STYLE.contains(forbidden), "{forbidden}");
        }
        assert!(!STYLE.contains('<'), "the style would end early");
        let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        let policy = &page().content_security_policy;
        assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{policy}");
    }

    #[test]
    fn what_the_document_says_is_escaped() {
        let evil = r#"<script>alert("1")</script>&'`<b>`"#;
        let document = json!({
            "info": {"title": evil, "version": evil, "description": evil},
            "tags": [{"name": evil, "description": evil}],
            "paths": {evil: {"post": {
                "tags": [evil],
                "operationId": evil,
                "summary": evil,
                "description": evil,
                "security": [{"bearer": [evil]}],
                "parameters": [{
                    "name": evil,
                    "in": "query",
                    "required": true,
                    "description": evil,
                    "example": evil,
                    "schema": {"type": evil, "default": evil, "pattern": evil},
                }],
                "requestBody": {"content": {"application/json": {
                    "schema": {"$ref": format!("#/components/schemas/{evil}")},
                    "example": evil,
                }}},
                "responses": {evil: {"description": evil, "content": {evil: {}}}},
            }}},
            "components": {"schemas": {evil: {
                "type": "object",
                "description": evil,
                "properties": {evil: {
                    "type": "string", "format": evil, "description": evil, "enum": [evil],
                }},
            }}},
        });
        let html = render(&document);
        for raw in ["<script", "alert(\"", "</script", "&'", "<b>`"] {
            assert!(!html.contains(raw), "{raw}");
        }
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_command_quotes_for_the_shell() {
        let about = json!({
            "security": [{"bearer": []}],
            "parameters": [{"in": "query", "name": "q", "required": true, "example": "it's"}],
            "requestBody": {"content": {"application/json": {"example": "it's"}}},
        });
        let operation = Operation { method: "POST".to_owned(), path: "/v1/x/{id}", about: &about };
        insta::assert_snapshot!(curl(&operation), @r#"
        curl -X POST "$FLOE_URL/v1/x/5b1f7d3e-8c2a-4f6b-9d0e-1a2b3c4d5e6f" \
          -H "Authorization: Bearer $FLOE_TOKEN" \
          --get \
          --data-urlencode 'q=it'\''s' \
          -H "Content-Type: application/json" \
          -d '"it'\''s"'
        "#);
    }
}
