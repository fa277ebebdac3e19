//! Filters as people write them, `name = "chat" and (tokens > 100 or model contains "large")`, and
//! as the wire has them (contract section 2.1).
//!
//! ```text
//! filter   = all { "or" all }
//! all      = member { "and" member }
//! member   = "(" filter ")" | property operator value | property [ "not" ] "in" "(" value { "," value } ")"
//! operator = "=" | "==" | "!=" | "<>" | ">" | ">=" | "<" | "<=" | [ "not" ] "contains" | [ "not" ] "like"
//! property = letters, digits, "_", ".", "-", "$", ":", "/", "@" | text in quotes
//! value    = text in quotes | whole number | "true" | "false"
//! ```
//!
//! Text stands in `"…"`, `'…'` or `` `…` ``; in it `\` takes the next character as it is. Words are
//! known in any case.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// As deep as a server takes filters (contract section 2.1).
const LEVELS_MAX: usize = 64;

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    what: String,
    /// In characters, from 0.
    at: usize,
    text: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One line, whatever was written, so that the mark stands below its place.
        let text = self.text.replace(['\n', '\t'], " ");
        write!(f, "{}\n  {text}\n  {:>width$}", self.what, "^", width = self.at + 1)
    }
}

impl std::error::Error for Wrong {}

/// Reads a filter: what stands there as people write it, or as JSON.
pub(crate) fn parse(text: &str) -> Result<Value, Wrong> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| Wrong {
            what: format!("this is no JSON: {error}"),
            at: 0,
            text: text.to_owned(),
        });
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0 };
    let filter = parser.filter(1)?;
    match parser.peek() {
        Token::End => Ok(filter),
        Token::Close => Err(parser.wrong("this `)` closes nothing")),
        _ => Err(parser.wrong("here must stand `and`, `or` or nothing more")),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name, a word or a number.
    Bare(String),
    Quoted(String),
    Operator(&'static str),
    Open,
    Close,
    Comma,
    End,
}

fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+' | '$' | ':' | '/' | '@')
}

/// The tokens of a text, each with where it begins, in characters.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Wrong> {
    let wrong = |what: &str, at| Wrong { what: what.to_owned(), at, text: text.to_owned() };
    let mut tokens = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        let mut then = |expected| chars.next_if(|&(_, c)| c == expected).is_some();
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '=' => {
                then('=');
                Token::Operator("eq")
            }
            '!' if then('=') => Token::Operator("ne"),
            '<' if then('=') => Token::Operator("lte"),
            '<' if then('>') => Token::Operator("ne"),
            '<' => Token::Operator("lt"),
            '>' if then('=') => Token::Operator("gte"),
            '>' => Token::Operator("gt"),
            '"' | '\'' | '`' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        None => return Err(wrong("the text that begins here does not end", at)),
                        Some((_, end)) if end == c => break,
                        Some((_, '\\')) => quoted.extend(chars.next().map(|(_, c)| c)),
                        Some((_, c)) => quoted.push(c),
                    }
                }
                Token::Quoted(quoted)
            }
            c if is_bare(c) => {
                let mut bare = String::from(c);
                while let Some((_, c)) = chars.next_if(|&(_, c)| is_bare(c)) {
                    bare.push(c);
                }
                Token::Bare(bare)
            }
            _ => return Err(wrong("this character can only stand in quotes", at)),
        };
        tokens.push((token, at));
    }
    tokens.push((Token::End, text.chars().count()));
    Ok(tokens)
}

struct Parser<'t> {
    text: &'t str,
    /// The last one is the end.
    tokens: Vec<(Token, usize)>,
    next: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    /// An error at the next token.
    fn wrong(&self, what: impl Into<String>) -> Wrong {
        self.wrong_at(what, self.next)
    }

    fn wrong_at(&self, what: impl Into<String>, token: usize) -> Wrong {
        let at = self.tokens.get(token).or(self.tokens.last()).map_or(0, |&(_, at)| at);
        Wrong { what: what.into(), at, text: self.text.to_owned() }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Bare(bare) if bare.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    fn filter(&mut self, level: usize) -> Result<Value, Wrong> {
        let mut all = vec![self.all(level)?];
        while self.take_word("or") {
            all.push(self.all(level)?);
        }
        Ok(match all.len() {
            1 => {
                let only = all.remove(0);
                if is_filter(&only) { only } else { group("and", vec![only]) }
            }
            _ => group("or", all),
        })
    }

    /// One clause or filter, or several that must all hold.
    fn all(&mut self, level: usize) -> Result<Value, Wrong> {
        let mut members = vec![self.member(level)?];
        while self.take_word("and") {
            members.push(self.member(level)?);
        }
        Ok(if members.len() == 1 { members.remove(0) } else { group("and", members) })
    }

    fn member(&mut self, level: usize) -> Result<Value, Wrong> {
        if *self.peek() == Token::Open {
            // `or` within `and` within `or` takes two levels of what is sent.
            if level + 2 > LEVELS_MAX {
                return Err(self.wrong("there are too many levels of parentheses"));
            }
            self.next += 1;
            let filter = self.filter(level + 2)?;
            if self.take() != Token::Close {
                self.next -= 1;
                return Err(self.wrong("here must stand `)`, `and` or `or`"));
            }
            return Ok(filter);
        }
        let property = match self.peek().clone() {
            Token::Bare(name) if name.eq_ignore_ascii_case("not") => {
                return Err(self.wrong(
                    "filters know no `not` before a clause: turn the operator round (`!=`, `not \
                     contains`)",
                ));
            }
            Token::Bare(name) | Token::Quoted(name) => name,
            Token::End => return Err(self.wrong("here the name of a property is missing")),
            _ => return Err(self.wrong("here must stand the name of a property")),
        };
        self.next += 1;
        let not = self.take_word("not");
        if self.take_word("in") {
            return self.one_of(&property, not);
        }
        let operator = match (self.peek(), not) {
            (&Token::Operator(operator), false) => {
                self.next += 1;
                Some(operator)
            }
            _ => {
                let is_like = self.take_word("contains") || self.take_word("like");
                is_like.then_some(if not { "not_like" } else { "like" })
            }
        };
        let Some(operator) = operator else {
            return Err(self.wrong(
                "here must stand an operator: = != > >= < <= contains, not contains, in, not in",
            ));
        };
        let value = self.value(&property)?;
        Ok(clause(&property, operator, value))
    }

    /// The values of `in`, as clauses.
    fn one_of(&mut self, property: &str, not: bool) -> Result<Value, Wrong> {
        if self.take() != Token::Open {
            self.next -= 1;
            return Err(self.wrong("here must stand `(` and the values"));
        }
        let (conjunction, operator) = if not { ("and", "ne") } else { ("or", "eq") };
        let mut clauses = vec![clause(property, operator, self.value(property)?)];
        loop {
            match self.take() {
                Token::Comma => clauses.push(clause(property, operator, self.value(property)?)),
                Token::Close => return Ok(group(conjunction, clauses)),
                _ => {
                    self.next -= 1;
                    return Err(self.wrong("here must stand `,` or `)`"));
                }
            }
        }
    }

    fn value(&mut self, property: &str) -> Result<Value, Wrong> {
        let at = self.next;
        let text = match self.take() {
            Token::Quoted(text) if property == "timestamp" => return self.instant(&text, at),
            Token::Quoted(text) => return Ok(Value::String(text)),
            Token::Bare(text) => text,
            Token::End => return Err(self.wrong_at("here a value is missing", at)),
            _ => return Err(self.wrong_at("here must stand a value", at)),
        };
        if property == "timestamp" {
            return self.instant(&text, at);
        }
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Ok(Value::Bool(text.eq_ignore_ascii_case("true")));
        }
        if let Ok(number) = text.parse::<i32>() {
            return Ok(number.into());
        }
        Err(self.wrong_at(
            if text.parse::<i128>().is_ok() {
                "filters compare with whole numbers from -2147483648 to 2147483647".to_owned()
            } else if text.parse::<f64>().is_ok() {
                "filters compare with whole numbers alone".to_owned()
            } else {
                format!("put text in quotes: \"{text}\"")
            },
            at,
        ))
    }

    /// A value that `timestamp` is compared with: on the wire, seconds since the Unix epoch.
    fn instant(&self, text: &str, at: usize) -> Result<Value, Wrong> {
        let seconds = match text.parse::<i32>() {
            Ok(seconds) => Some(i64::from(seconds)),
            Err(_) => text
                .parse::<floe_client::Timestamp>()
                .ok()
                .map(floe_client::Timestamp::unix_seconds),
        };
        match seconds.and_then(|seconds| i32::try_from(seconds).ok()) {
            Some(seconds) => Ok(seconds.into()),
            None => Err(self.wrong_at(
                "`timestamp` is compared with an instant before 2038, such as \
                 \"2026-01-31T00:00:00Z\", or with seconds since 1970",
                at,
            )),
        }
    }
}

fn clause(property: &str, operator: &str, value: Value) -> Value {
    json!({"property": property, "operator": operator, "value": value})
}

fn group(conjunction: &str, clauses: Vec<Value>) -> Value {
    json!({"conjunction": conjunction, "clauses": clauses})
}

fn is_filter(value: &Value) -> bool {
    value.get("clauses").is_some()
}

/// A filter of the wire as [`parse`] reads it; empty if it holds for every event.
pub(crate) fn show(filter: &Value) -> String {
    let mut out = String::new();
    show_members(filter, &mut out);
    out
}

fn show_members(filter: &Value, out: &mut String) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let joint = if filter["conjunction"] == "or" { " or " } else { " and " };
    for (index, member) in filter["clauses"].as_array().into_iter().flatten().enumerate() {
        if index > 0 {
            out.push_str(joint);
        }
        if is_filter(member) {
            out.push('(');
            show_members(member, out);
            out.push(')');
            continue;
        }
        let property = text(member, "property");
        let is_word = |word: &&str| property.eq_ignore_ascii_case(word);
        if property.is_empty() || !property.chars().all(is_bare) || is_word(&"not") {
            quote(&property, out);
        } else {
            out.push_str(&property);
        }
        let operator = text(member, "operator");
        let operator = match operator.as_str() {
            "eq" => "=",
            "ne" => "!=",
            "gt" => ">",
            "gte" => ">=",
            "lt" => "<",
            "lte" => "<=",
            "like" => "contains",
            "not_like" => "not contains",
            other => other,
        };
        // Writing to a text cannot fail.
        let _ = write!(out, " {operator} ");
        match &member["value"] {
            Value::String(text) => quote(text, out),
            value => {
                let _ = write!(out, "{value}");
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(parse(text).map_err(|wrong| wrong.to_string()), Ok(expected), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, what: &str, at: usize) {
        let wrong = parse(text).unwrap_err();
        assert!(wrong.what.contains(what), "{text}: {}", wrong.what);
        assert_eq!(wrong.at, at, "{text}: {}", wrong.what);
    }

    #[test]
    fn one_clause_is_a_filter_of_one() {
        check(
            r#"name = "ai_usage""#,
            json!({"conjunction": "and", "clauses": [
                {"property": "name", "operator": "eq", "value": "ai_usage"}]}),
        );
        check(
            "ok == TRUE",
            json!({"conjunction": "and", "clauses": [
                {"property": "ok", "operator": "eq", "value": true}]}),
        );
    }

    #[test]
    fn and_binds_closer_than_or() {
        check(
            r#"name = 'a' AND tokens > 100 or _llm.model not contains "x\"y\\" and n <> -1"#,
            json!({"conjunction": "or", "clauses": [
                {"conjunction": "and", "clauses": [
                    {"property": "name", "operator": "eq", "value": "a"},
                    {"property": "tokens", "operator": "gt", "value": 100}]},
                {"conjunction": "and", "clauses": [
                    {"property": "_llm.model", "operator": "not_like", "value": "x\"y\\"},
                    {"property": "n", "operator": "ne", "value": -1}]}]}),
        );
        check(
            "(a = 1 or b <= 2) and `c d` like ''",
            json!({"conjunction": "and", "clauses": [
                {"conjunction": "or", "clauses": [
                    {"property": "a", "operator": "eq", "value": 1},
                    {"property": "b", "operator": "lte", "value": 2}]},
                {"property": "c d", "operator": "like", "value": ""}]}),
        );
    }

    #[test]
    fn in_is_short_for_several_clauses() {
        check(
            "a in (1, 'b')",
            json!({"conjunction": "or", "clauses": [
                {"property": "a", "operator": "eq", "value": 1},
                {"property": "a", "operator": "eq", "value": "b"}]}),
        );
        check(
            "a not in (true)",
            json!({"conjunction": "and", "clauses": [
                {"property": "a", "operator": "ne", "value": true}]}),
        );
    }

    #[test]
    fn an_instant_becomes_the_seconds_that_the_wire_has() {
        let seconds = |text: &str| parse(text).unwrap()["clauses"][0]["value"].clone();
        assert_eq!(seconds("timestamp >= '2024-01-01T00:00:00Z'"), 1_704_067_200);
        assert_eq!(seconds("timestamp >= 2024-01-01T01:00:00+01:00"), 1_704_067_200);
        assert_eq!(seconds("timestamp >= 5"), 5);
        refused("timestamp = 'today'", "is compared with an instant", 12);
    }

    #[test]
    fn json_is_taken_as_it_is() {
        let filter = json!({"conjunction": "or", "clauses": []});
        check(&filter.to_string(), filter);
        refused("{conjunction", "this is no JSON", 0);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        refused("", "the name of a property is missing", 0);
        refused("name", "here must stand an operator", 4);
        refused("name =", "here a value is missing", 6);
        refused("name = chat", "put text in quotes: \"chat\"", 7);
        refused("é = 'a", "does not end", 4);
        refused("n > 1.5", "whole numbers alone", 4);
        refused("n > 3000000000", "from -2147483648", 4);
        refused("a = 1 b = 2", "`and`, `or` or nothing more", 6);
        refused("(a = 1", "here must stand `)`", 6);
        refused("a = 1)", "closes nothing", 5);
        refused("not a = 1", "filters know no `not`", 0);
        refused("a in 1", "here must stand `(`", 5);
        refused("a in (1 2)", "here must stand `,` or `)`", 8);
        refused("a & b", "only stand in quotes", 2);
        refused("a = 1 and", "the name of a property is missing", 9);
        refused(&"(".repeat(100_000), "too many levels", 31);
        assert_eq!(
            parse("a = b").unwrap_err().to_string(),
            "put text in quotes: \"b\"\n  a = b\n      ^"
        );
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for text in [
            r#"name = "ai_usage" and tokens > 100"#,
            r#"(a = 1 and b != "x") or c not contains "\"\\" or "d e" <= -5"#,
            r#"a >= true and b < false and c contains """#,
            r#""not" = 1"#,
        ] {
            assert_eq!(show(&parse(text).unwrap()), text);
        }
        assert_eq!(show(&json!({"conjunction": "and", "clauses": []})), "");
    }
}
