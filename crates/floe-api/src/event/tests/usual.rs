//! The quick way in gives what the tree gives, or nothing.

use super::*;

/// What the tree makes of a body; `None` if anything is wrong with it.
fn by_tree<T>(body: &[u8], look: impl FnOnce(Option<&IngestRequest<'_>>) -> T) -> T {
    let json = json::parse(body).ok();
    let request = json.as_ref();
    let request = request.and_then(|json| IngestRequest::parse(json, now(), &mut Errors::new()));
    look(request.as_ref())
}

/// Whether the quick way took the body; then it must have given what the tree gives.
#[track_caller]
fn is_usual(body: &[u8]) -> bool {
    let Some(found) = IngestRequest::parse_usual(body, now()) else { return false };
    let shown = String::from_utf8_lossy(body);
    by_tree(body, |expected| {
        assert_eq!(Some(&found), expected, "{shown}");
        // This tells zeros apart.
        assert_eq!(format!("{:?}", Some(&found)), format!("{expected:?}"), "{shown}");
    });
    true
}

#[track_caller]
fn check(body: &str, expected: bool) {
    assert_eq!(is_usual(body.as_bytes()), expected, "{body}");
}

#[test]
fn usual_bodies_take_the_quick_way() {
    check(r#"{"events":[]}"#, true);
    check(" {\n\t\"events\" :\r [ ] } \n", true);
    check(&external(""), true);
    check(
        r#"{"events": [{"name": "a", "external_customer_id": "x"}, {"external_customer_id": "y", "name": "b"}]}"#,
        true,
    );
    for members in [
        r#","external_id":"e","parent_id":"p","external_member_id":"m""#,
        r#","external_id":null,"parent_id":null,"external_member_id":null"#,
        r#","timestamp":"2026-01-15T10:30:00Z""#,
        r#","timestamp":"2026-01-15 10:30:00.123456789+05:30""#,
        r#","timestamp":"1768473000""#,
        r#","metadata":{}"#,
        r#","metadata":{"i":1,"z":-0,"f":1.0,"e":1e3,"n":-0.0,"t":true,"u":false,"s":"ä\u00e4\n"}"#,
        r#","metadata":{"":1,"a":2,"A":3,"events":4}"#,
    ] {
        check(&external(members), true);
    }
    check(&external(&format!(r#","organization_id":"{ID}""#)), true);
    check(&batch(&format!(r#"{{"customer_id":"{ID}","name":"{}"}}"#, "ä".repeat(128))), true);
    let keys: Vec<_> = (0..64).map(|key| format!("\"{key}\":{key}")).collect();
    check(&external(&format!(r#","metadata":{{{}}}"#, keys.join(","))), true);
}

#[test]
fn ids_are_kept_with_their_places() {
    let body = format!(
        r#"{{"events":[{{"name":"a","external_customer_id":"x"}},
            {{"name":"a","customer_id":"{ID}"}},
            {{"name":"a","organization_id":"{OTHER_ID}","external_customer_id":"x"}}]}}"#
    );
    assert!(is_usual(body.as_bytes()));
    let request = IngestRequest::parse_usual(body.as_bytes(), now()).unwrap();
    let places: Vec<_> = request.references.iter().map(|event| event.index).collect();
    assert_eq!(places, [1, 2]);
}

#[test]
fn what_is_rare_or_wrong_is_left_to_the_tree() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"events":null}"#,
        r#"{"events":[],}"#,
        r#"{"events":[]}]"#,
        r#"{"events":[],"events":[]}"#,
        r#"{"events":[],"more":1}"#,
        r#"{"\u0065vents":[]}"#,
        r#"{"events":[1]}"#,
        r#"{"events":[{"name":"a","external_customer_id":"x"},]}"#,
        r#"{"events":[{"name":"a"}]}"#,
        r#"{"events":[{"external_customer_id":"x"}]}"#,
    ] {
        check(body, false);
    }
    assert!(!is_usual(b"{\"events\":[{\"name\":\"\xff\",\"external_customer_id\":\"x\"}]}"));
    let digits = "9".repeat(4301);
    let long = "x".repeat(501);
    for members in [
        r#","name":"b""#,
        r#","external_customer_id":"y""#,
        r#","external_id":null,"external_id":"e""#,
        r#","unknown":1"#,
        r#","member_id":null"#,
        &format!(r#","customer_id":"{ID}""#),
        r#","organization_id":"x""#,
        r#","external_id":5"#,
        r#","external_id":"a\u0000""#,
        r#","external_id":"\ud800""#,
        ",\"external_id\":\"\t\"",
        r#","timestamp":null"#,
        r#","timestamp":0"#,
        r#","timestamp":"2024-01-01T00:00:00""#,
        r#","timestamp":"2999-01-01T00:00:00Z""#,
        r#","metadata":null"#,
        r#","metadata":{"a":1,"a":2}"#,
        r#","metadata":{"\u0061":1}"#,
        r#","metadata":{"a":null}"#,
        r#","metadata":{"a":[1]}"#,
        r#","metadata":{"a":{"b":1}}"#,
        r#","metadata":{"a":""}"#,
        r#","metadata":{"a":"\u0000"}"#,
        r#","metadata":{"a":NaN}"#,
        r#","metadata":{"a":-Infinity}"#,
        r#","metadata":{"a":1e400}"#,
        r#","metadata":{"a":01}"#,
        r#","metadata":{"a":1.}"#,
        r#","metadata":{"a":+1}"#,
        r#","metadata":{"a":tru}"#,
        r#","metadata":{"a":1-2}"#,
        r#","metadata":{"a":9223372036854775808}"#,
        &format!(r#","metadata":{{"a":{digits}}}"#),
        &format!(r#","metadata":{{"a":"{long}"}}"#),
        r#","metadata":{"_cost":{"amount":1,"currency":"usd"}}"#,
        r#","metadata":{"_llm":1}"#,
    ] {
        check(&external(members), false);
    }
    let member = format!(r#"{{"name":"a","customer_id":"{ID}","external_member_id":5}}"#);
    check(&batch(&member), false);
    let keys: Vec<_> = (0..65).map(|key| format!("\"{key}\":{key}")).collect();
    check(&external(&format!(r#","metadata":{{{}}}"#, keys.join(","))), false);
}

/// Writes a body; every choice is one of the numbers, and the first option when they are used up.
struct Writer<'r> {
    rolls: std::slice::Iter<'r, u16>,
    with_oddities: bool,
    body: String,
}

impl Writer<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        self.rolls.next().map_or(0, |roll| usize::from(*roll) % sides)
    }

    fn pick<'o>(&mut self, options: &[&'o str]) -> &'o str {
        options[self.roll(options.len())]
    }

    /// Whether what comes next should be odd.
    fn is_odd(&mut self) -> bool {
        let roll = self.roll(24);
        self.with_oddities && roll == 23
    }

    /// A token, in white space.
    fn put(&mut self, token: &str) {
        let (before, after) = (self.pick(&SPACES), self.pick(&SPACES));
        self.body.extend([before, token, after]);
    }

    fn put_one_of(&mut self, usual: &[&str], odd: &[&str]) {
        let token = if self.is_odd() { self.pick(odd) } else { self.pick(usual) };
        self.put(token);
    }

    fn put_all(&mut self, count: usize, mut item: impl FnMut(&mut Self, usize)) {
        for index in 0..count {
            if index > 0 {
                self.put(",");
            }
            item(self, index);
        }
    }

    fn document(&mut self) {
        self.put("{");
        self.put_one_of(&["\"events\""], &["\"event\"", r#""\u0065vents""#, "5"]);
        self.put(":");
        self.put("[");
        let count = self.roll(4);
        self.put_all(count, |writer, _| writer.event());
        self.put("]");
        self.put_one_of(&["}"], &["},", r#","a":{}}"#, r#","events":[]}"#, "}}", ""]);
    }

    fn event(&mut self) {
        let mut keys = vec!["name"];
        if !self.is_odd() {
            keys.push(self.pick(&["external_customer_id", "customer_id"]));
        }
        if self.is_odd() {
            keys.push(self.pick(&["external_customer_id", "customer_id", "member_id", "more"]));
        }
        for key in ["timestamp", "metadata", "external_id", "parent_id", "organization_id"] {
            if self.roll(2) == 1 {
                keys.push(key);
            }
        }
        let is_external = keys.contains(&"external_customer_id");
        if self.is_odd() || is_external && self.roll(4) == 3 {
            keys.push("external_member_id");
        }
        if self.is_odd() {
            keys.push(keys[self.roll(keys.len())]);
        }
        let first = self.roll(keys.len());
        keys.rotate_left(first);
        if self.is_odd() {
            keys.pop();
        }
        self.put("{");
        self.put_all(keys.len(), |writer, index| writer.member(keys[index]));
        self.put("}");
    }

    fn member(&mut self, key: &str) {
        if self.is_odd() {
            // The same key, but for its first letter.
            let first = u32::from(key.as_bytes()[0]);
            self.put(&format!("\"\\u{first:04x}{}\"", &key[1..]));
        } else {
            self.put(&format!("\"{key}\""));
        }
        self.put(":");
        match key {
            "metadata" => {
                self.put("{");
                let count = self.roll(6);
                self.put_all(count, Self::entry);
                self.put("}");
            }
            "timestamp" => self.put_one_of(&TIMESTAMPS, &ODD_TIMESTAMPS),
            "customer_id" | "organization_id" | "member_id" => self.put_one_of(&IDS, &ODD_IDS),
            "external_id" | "parent_id" | "external_member_id" => {
                self.put_one_of(&["\"e\"", "\"\"", "null", r#""\ud83d\ude00""#], &ODD_VALUES);
            }
            "name" if self.roll(8) == 7 => {
                let count = if self.is_odd() { 129 } else { 128 };
                let char = self.pick(&["x", "ä", "😀"]);
                self.put(&format!("\"{}\"", char.repeat(count)));
            }
            _ => self.put_one_of(&["\"x\"", "\"\"", r#""ä\"\\\/\u00e4""#], &ODD_VALUES),
        }
    }

    fn entry(&mut self, index: usize) {
        let key = self.pick(&["tokens", "", "k", "ä", "a_key_that_is_long"]);
        // With its index it is like no other.
        let index = if self.is_odd() { 0 } else { index };
        let key = format!("\"{key}{index}\"");
        self.put_one_of(&[&key], &["\"_cost\"", "\"_llm\"", r#""\u0000""#]);
        self.put(":");
        if self.roll(16) == 15 {
            let count = if self.is_odd() { 501 } else { 500 };
            let char = self.pick(&["x", "ä", "😀"]);
            self.put(&format!("\"{}\"", char.repeat(count)));
        } else {
            self.put_one_of(&PLAIN_VALUES, &ODD_VALUES);
        }
    }
}

const SPACES: [&str; 8] = ["", "", "", "", "", " ", "\n\t", "\r\n  "];
const TIMESTAMPS: [&str; 9] = [
    "\"2024-01-01T00:00:00Z\"",
    "\"2026-01-15T10:30:00.5Z\"",
    "\"2026-01-15T10:30:00.123456789+01:00\"",
    "\"2024-02-29 23:59:59.9-0830\"",
    "\"2024-02-29t23:59z\"",
    "\"0001-01-01T00:00:00Z\"",
    "\"1704067200\"",
    "\"1704067200.25\"",
    "\"2027-01-15T08:00:00.123456Z\"",
];
const ODD_TIMESTAMPS: [&str; 9] = [
    "\"2027-01-15T08:00:00.123457Z\"",
    "\"9999-12-31T23:59:59Z\"",
    "\"2024-01-01T00:00:00\"",
    "\"2024-01-01\"",
    "\"2023-02-29T00:00:00Z\"",
    "\"0001-01-01T00:00:00+01:00\"",
    "1704067200",
    "1.5",
    "null",
];
const IDS: [&str; 3] = [
    "\"36f675cc-81e7-4ef5-a8e2-5d940ed90475\"",
    "\"1DBFC5170BBF43019BA8555CA42B9737\"",
    "\"urn:uuid:1dbfc517-0bbf-4301-9ba8-555ca42b9737\"",
];
const ODD_IDS: [&str; 4] =
    ["\"36f675cc-81e7-1ef5-a8e2-5d940ed90475\"", "\"36f675cc\"", "null", "5"];
const PLAIN_VALUES: [&str; 20] = [
    "1",
    "0",
    "-0",
    "-17",
    "9223372036854775807",
    "1.0",
    "-0.0",
    "0.1",
    "1e3",
    "1E+2",
    "-1.5e-7",
    "1e-400",
    "123456789012345678.25",
    "17976931348623157e292",
    "true",
    "false",
    "\"x\"",
    "\"a text that is longer than a few words are\"",
    r#""\ta\u00e4 \ud83d\ude00""#,
    "\"ä😀\"",
];
const ODD_VALUES: [&str; 30] = [
    "null",
    "5",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "1e400",
    "NaN",
    "-Infinity",
    "01",
    "+1",
    "1.",
    ".5",
    "-",
    "1e",
    "1-2",
    "tru",
    "trueno",
    "\"\"",
    r#""a\u0000""#,
    r#""\u0000b""#,
    r#""\u00e4\u0000""#,
    r#""\ud800""#,
    r#""\x""#,
    "\"\u{1f}\"",
    "\"\t\"",
    "[1]",
    "{}",
    r#"{"amount":1,"currency":"usd"}"#,
    r#"{"vendor":"v","model":"m","input_tokens":1,"output_tokens":1,"total_tokens":1}"#,
];

fn written(rolls: &[u16], with_oddities: bool) -> String {
    let mut writer = Writer { rolls: rolls.iter(), with_oddities, body: String::new() };
    writer.document();
    writer.body
}

fn rolls() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..400)
}

proptest! {
    #[test]
    fn a_usual_body_takes_the_quick_way(rolls in rolls()) {
        let body = written(&rolls, false);
        prop_assert!(is_usual(body.as_bytes()), "{}", body);
    }

    /// Bytes are cut off, changed and put in.
    #[test]
    fn a_broken_body_is_read_as_by_the_tree_or_left_to_it(
        rolls in rolls(),
        place in any::<prop::sample::Index>(),
        byte in prop::sample::select(&b"{}[],:\"\\ \0\x1f19e.-+tnu\xc3\xa4\xff"[..]),
    ) {
        let body = written(&rolls, false).into_bytes();
        let at = place.index(body.len());
        is_usual(&body[..at]);
        let mut changed = body.clone();
        changed[at] = byte;
        is_usual(&changed);
        let mut longer = body;
        longer.insert(at, byte);
        is_usual(&longer);
        longer.remove(at);
        longer.push(byte);
        is_usual(&longer);
    }
}

proptest! {
    // Of many oddities each comes seldom.
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_odd_body_is_read_as_by_the_tree_or_left_to_it(rolls in rolls()) {
        is_usual(written(&rolls, true).as_bytes());
    }
}
