//! E-mail addresses: the syntax that Python's `email-validator` accepts (contract section 5.1).
//!
//! Syntax alone: no DNS, and names reserved for special use (`a@b.test`) are as good as any
//! (design section 5). The domain is brought to its lower-case Unicode form, the rest is kept.

use std::collections::BTreeSet;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use crate::errors::{self, Errors, Loc};
use crate::fields::strip;
use crate::json::Json;
use crate::scalar;

/// Code points of what is looked at, with a display name and white space.
const INPUT_CHARS_MAX: usize = 2048;
/// Bytes of an address (RFC 3696, errata 1690).
const ADDRESS_BYTES_MAX: usize = 254;
/// Bytes of a domain on the wire of DNS.
const DOMAIN_BYTES_MAX: usize = 253;
/// Bytes of a label of a domain (RFC 1035 section 2.3.1).
const LABEL_BYTES_MAX: usize = 63;

/// An e-mail address, normalised. `Name <address>` is read as the address.
pub(crate) fn email(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    let text = scalar::string(json, loc, errors)?;
    match normalized(text) {
        Ok(address) => Some(address),
        Err(reason) => {
            errors.push(loc, errors::email(reason), json);
            None
        }
    }
}

/// The address in `text`, or why there is none.
fn normalized(text: &str) -> Result<String, String> {
    if text.chars().count() > INPUT_CHARS_MAX {
        return Err(format!("Length must not exceed {INPUT_CHARS_MAX} characters"));
    }
    let address = strip(bracketed(text).unwrap_or(text));
    let (local, domain) = split(address)?;
    check_local(local)?;
    if domain.is_empty() {
        return Err("There must be something after the @-sign.".to_owned());
    }
    let domain = normalized_domain(domain)?;
    let normalized = format!("{local}@{domain}");
    for (address, when) in [(address, ""), (&normalized, " after normalization")] {
        if address.len() > ADDRESS_BYTES_MAX {
            let excess = excess(address.len(), ADDRESS_BYTES_MAX);
            return Err(format!("The email address is too long{when} {excess}."));
        }
    }
    Ok(normalized)
}

/// `(2 characters too many)`.
fn excess(length: usize, max: usize) -> String {
    let excess = length - max;
    format!("({excess} character{} too many)", if excess == 1 { "" } else { "s" })
}

/// The part in angle brackets of `Some Name <address>` or `"Some Name" <address>`.
fn bracketed(text: &str) -> Option<&str> {
    let text = strip(text).strip_suffix('>')?;
    let quoted = text.starts_with('"');
    let start = if quoted { text.rfind('"')? } else { 0 };
    let open = start + text.get(start..)?.find('<')?;
    let name = strip(text.get(..open)?);
    let name_is_right = if quoted {
        name.len() > 2 && name.ends_with('"')
    } else {
        name.chars().all(|char| char.is_whitespace() || char == '_' || is_atom_char(char))
    };
    let address = text.get(open + 1..)?;
    (name_is_right && !address.is_empty()).then_some(address)
}

/// What stands before and after the first `@` that is not in quotes.
fn split(address: &str) -> Result<(&str, &str), String> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, char) in address.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => {
                return Err("A display name and angle brackets around the email address are not \
                            permitted here."
                    .to_owned());
            }
            '@' if !quoted => {
                let (local, domain) = address.split_at(index);
                return Ok((local, domain.strip_prefix('@').unwrap_or(domain)));
            }
            _ => {}
        }
    }
    Err("An email address must have an @-sign.".to_owned())
}

/// Whether `char` may stand in an atom of RFC 5322, with the extension of RFC 6531.
fn is_atom_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char) || !char.is_ascii()
}

fn check_local(local: &str) -> Result<(), String> {
    if local.is_empty() {
        return Err("There must be something before the @-sign.".to_owned());
    }
    if local.starts_with('"') {
        return Err("Quoting the part before the @-sign is not allowed here.".to_owned());
    }
    if let Some(chars) = listed(local, |char| !is_atom_char(char) && char != '.') {
        return Err(format!(
            "The email address contains invalid characters before the @-sign: {chars}."
        ));
    }
    if local.ends_with('.') {
        return Err("An email address cannot have a period immediately before the @-sign.".into());
    }
    if local.starts_with('.') {
        return Err("An email address cannot start with a period.".to_owned());
    }
    if local.contains("..") {
        return Err("An email address cannot have two periods in a row.".to_owned());
    }
    check_safe(local)
}

/// Refuses what shows as nothing, or changes how its neighbours show.
fn check_safe(text: &str) -> Result<(), String> {
    match listed(text, is_unsafe) {
        Some(chars) => Err(format!("The email address contains unsafe characters: {chars}.")),
        None => Ok(()),
    }
}

/// White space, control and format characters, and those for private use.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || char.is_whitespace()
        || matches!(char,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..)
}

/// The characters of `text` that are `wrong`, each once, as people can read them.
fn listed(text: &str, wrong: impl Fn(char) -> bool) -> Option<String> {
    let chars: BTreeSet<String> = text.chars().filter(|char| wrong(*char)).map(display).collect();
    (!chars.is_empty()).then(|| chars.into_iter().collect::<Vec<_>>().join(", "))
}

fn display(char: char) -> String {
    match char {
        ' ' => "SPACE".to_owned(),
        '\'' | '\\' => format!("\"{char}\""),
        _ if is_unsafe(char) => format!("U+{:04X}", u32::from(char)),
        _ => format!("'{char}'"),
    }
}

fn normalized_domain(domain: &str) -> Result<String, String> {
    if domain.starts_with('[') && domain.ends_with(']') {
        return Err("A bracketed IP address after the @-sign is not allowed here.".to_owned());
    }
    let length = domain.chars().count();
    if length > DOMAIN_BYTES_MAX {
        let excess = excess(length, DOMAIN_BYTES_MAX);
        return Err(format!("The email address is too long after the @-sign {excess}."));
    }
    let is_host_char =
        |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.') || !char.is_ascii();
    if let Some(chars) = listed(domain, |char| !is_host_char(char)) {
        return Err(format!("The part after the @-sign contains invalid characters: {chars}."));
    }
    check_safe(domain)?;
    let lower = domain.to_ascii_lowercase();
    let is_plain = domain.is_ascii() && !lower.split('.').any(|label| label.starts_with("xn--"));
    if is_plain {
        check_labels(&lower)?;
        check_host(&lower)?;
        return Ok(lower);
    }
    let not_idna = || "The part after the @-sign is not valid IDNA.".to_owned();
    let uts46 = Uts46::new();
    let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::Allow);
    let (unicode, outcome) = uts46.to_unicode(domain.as_bytes(), deny, hyphens);
    outcome.map_err(|_| not_idna())?;
    check_labels(&unicode)?;
    let ascii = uts46
        .to_ascii(domain.as_bytes(), deny, hyphens, DnsLength::Ignore)
        .map_err(|_| not_idna())?;
    check_host(&ascii)?;
    Ok(unicode.into_owned())
}

/// Checks where a domain has periods and hyphens.
fn check_labels(domain: &str) -> Result<(), String> {
    for (char, name) in [('.', "period"), ('-', "hyphen")] {
        if domain.ends_with(char) {
            return Err(format!("An email address cannot end with a {name}."));
        }
        if domain.starts_with(char) {
            return Err(format!(
                "An email address cannot have a {name} immediately after the @-sign."
            ));
        }
        if char == '.' && domain.contains("..") {
            return Err("An email address cannot have two periods in a row.".to_owned());
        }
    }
    if domain.contains(".-") || domain.contains("-.") {
        return Err(
            "An email address cannot have a period and a hyphen next to each other.".to_owned()
        );
    }
    for label in domain.split('.') {
        let mut third = label.chars().skip(2);
        let dashes = third.next() == Some('-') && third.next() == Some('-');
        if dashes && !label.starts_with("xn") {
            return Err("An email address cannot have two letters followed by two dashes \
                        immediately after the @-sign or after a period, except Punycode."
                .to_owned());
        }
    }
    Ok(())
}

/// Checks the lengths and the end of a domain in its ASCII form.
fn check_host(domain: &str) -> Result<(), String> {
    if domain.len() > DOMAIN_BYTES_MAX {
        let excess = excess(domain.len(), DOMAIN_BYTES_MAX);
        return Err(format!("The email address is too long after the @-sign {excess}."));
    }
    if let Some(label) = domain.split('.').find(|label| label.len() > LABEL_BYTES_MAX) {
        let excess = excess(label.len(), LABEL_BYTES_MAX);
        return Err(format!(
            "After the @-sign, periods cannot be separated by so many characters {excess}."
        ));
    }
    if !domain.contains('.') {
        return Err("The part after the @-sign is not valid. It should have a period.".to_owned());
    }
    if !domain.ends_with(|char: char| char.is_ascii_alphabetic()) {
        return Err("The part after the @-sign is not valid. It is not within a valid top-level \
                    domain."
            .to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn accepts(text: &str, expected: &str) {
        assert_eq!(normalized(text).as_deref(), Ok(expected), "{text}");
    }

    #[track_caller]
    fn refuses(text: &str, reason: &str) {
        assert_eq!(normalized(text), Err(reason.to_owned()), "{text}");
    }

    #[test]
    fn addresses_are_normalised_as_email_validator_does() {
        accepts("a@b.co", "a@b.co");
        accepts("User@Example.COM", "User@example.com");
        accepts("first.last+tag@mail.example.org", "first.last+tag@mail.example.org");
        accepts("a'b!#$%&*/=?^_`{|}~-@c.com", "a'b!#$%&*/=?^_`{|}~-@c.com");
        accepts(" a@b.co\n", "a@b.co");
        accepts("John Doe <John@Doe.com>", "John@doe.com");
        accepts("\"Doe, John\" <John@Doe.com>", "John@doe.com");
        accepts("<a@b.co>", "a@b.co");
        accepts("a@b.c", "a@b.c");
        accepts("jörg@bücher.de", "jörg@bücher.de");
        accepts("a@BÜCHER.de", "a@bücher.de");
        accepts("a@xn--bcher-kva.de", "a@bücher.de");
        accepts("a@пример.рф", "a@пример.рф");
        accepts("a@c。com", "a@c.com");
        let long = format!("{}@b.com", "a".repeat(65));
        accepts(&long, &long);
    }

    #[test]
    fn names_for_special_use_are_as_good_as_any() {
        for address in ["a@example.com", "a@acme.test", "a@host.local", "a@x.invalid"] {
            accepts(address, address);
        }
    }

    #[test]
    fn wrong_addresses_are_refused_with_the_reason_of_email_validator() {
        const BEFORE: &str = "The email address contains invalid characters before the @-sign:";
        const AFTER: &str = "The part after the @-sign contains invalid characters:";
        refuses("bad", "An email address must have an @-sign.");
        refuses("", "An email address must have an @-sign.");
        refuses("a\"b@c.com", "An email address must have an @-sign.");
        refuses("@b.co", "There must be something before the @-sign.");
        refuses("a@", "There must be something after the @-sign.");
        refuses("a@b", "The part after the @-sign is not valid. It should have a period.");
        refuses("a@localhost", "The part after the @-sign is not valid. It should have a period.");
        refuses("a b@c.com", &format!("{BEFORE} SPACE."));
        refuses("a(b@c.com", &format!("{BEFORE} '('."));
        refuses("mailto:a@b.co", &format!("{BEFORE} ':'."));
        refuses("a\0@b.co", &format!("{BEFORE} U+0000."));
        refuses("a..b@c.com", "An email address cannot have two periods in a row.");
        refuses(".a@c.com", "An email address cannot start with a period.");
        refuses("a.@c.com", "An email address cannot have a period immediately before the @-sign.");
        refuses("a@.c.com", "An email address cannot have a period immediately after the @-sign.");
        refuses("a@c..com", "An email address cannot have two periods in a row.");
        refuses("a@c.com.", "An email address cannot end with a period.");
        refuses("a@-c.com", "An email address cannot have a hyphen immediately after the @-sign.");
        refuses(
            "a@c-.com",
            "An email address cannot have a period and a hyphen next to each other.",
        );
        refuses("a@c_d.com", &format!("{AFTER} '_'."));
        refuses("a@b@c.com", &format!("{AFTER} '@'."));
        refuses("a@c.com,b@d.com", &format!("{AFTER} ',', '@'."));
        refuses("'a@b.co'", &format!("{AFTER} \"'\"."));
        refuses("a@ex ample.com", &format!("{AFTER} SPACE."));
        refuses("a@[127.0.0.1]", "A bracketed IP address after the @-sign is not allowed here.");
        refuses("\"a b\"@c.com", "Quoting the part before the @-sign is not allowed here.");
        refuses(
            "a@b.123",
            "The part after the @-sign is not valid. It is not within a valid top-level domain.",
        );
        refuses(
            "a@ab--cd.com",
            "An email address cannot have two letters followed by two dashes immediately after \
             the @-sign or after a period, except Punycode.",
        );
        refuses("a@xn--a.com", "The part after the @-sign is not valid IDNA.");
        refuses("a\u{200b}b@c.com", "The email address contains unsafe characters: U+200B.");
        refuses(
            "a<b@c.com",
            "A display name and angle brackets around the email address are not permitted here.",
        );
    }

    #[test]
    fn lengths_are_limited() {
        refuses(
            &format!("a@{}.com", "x".repeat(64)),
            "After the @-sign, periods cannot be separated by so many characters (1 character too \
             many).",
        );
        refuses(
            &format!("{}@b.com", "a".repeat(250)),
            "The email address is too long (2 characters too many).",
        );
        refuses(
            &format!("a@{}", ["x".repeat(60).as_str(); 5].join(".")),
            "The email address is too long after the @-sign (51 characters too many).",
        );
        refuses(&"x".repeat(2049), "Length must not exceed 2048 characters");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}|[a-z@.<>\"\\\\ \\-\\[\\]ü]{0,30}") {
            if let Ok(address) = normalized(&text) {
                prop_assert_eq!(normalized(&address), Ok(address));
            }
        }
    }
}
