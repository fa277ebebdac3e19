//! Language tags of BCP 47 (RFC 5646), well-formed and in their usual case.

use crate::errors::{self, Errors, Loc};
use crate::json::Json;
use crate::scalar;

/// A language tag, normalised: `FR-ca` is `fr-CA`.
pub(crate) fn locale(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    let text = scalar::string(json, loc, errors)?;
    let tag = normalized(text);
    if tag.is_none() {
        errors.push(loc, errors::value_error("Locale must be a valid BCP 47 language tag"), json);
    }
    tag
}

/// The tag `language[-extlang][-script][-region][-variant…][-extension…][-x-private…]`; the
/// grandfathered tags that do not have this form are refused.
fn normalized(text: &str) -> Option<String> {
    let mut parts = text.split('-').peekable();
    let is_alpha = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_alnum = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());

    let language = parts.next().filter(|part| is_alpha(part) && (2..=8).contains(&part.len()))?;
    let mut tag = language.to_ascii_lowercase();
    if language.len() <= 3 {
        for _ in 0..3 {
            let Some(extlang) = parts.next_if(|part| is_alpha(part) && part.len() == 3) else {
                break;
            };
            push(&mut tag, &extlang.to_ascii_lowercase());
        }
    }
    if let Some(script) = parts.next_if(|part| is_alpha(part) && part.len() == 4) {
        let (first, rest) = script.split_at(1);
        push(&mut tag, &(first.to_ascii_uppercase() + &rest.to_ascii_lowercase()));
    }
    let is_region = |part: &&str| {
        (is_alpha(part) && part.len() == 2)
            || (part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(region) = parts.next_if(is_region) {
        push(&mut tag, &region.to_ascii_uppercase());
    }
    let is_variant = |part: &&str| {
        let starts_with_digit = part.starts_with(|char: char| char.is_ascii_digit());
        is_alnum(part) && ((5..=8).contains(&part.len()) || (part.len() == 4 && starts_with_digit))
    };
    let mut seen = Vec::new();
    while let Some(variant) = parts.next_if(is_variant) {
        push_once(&mut tag, &mut seen, variant)?;
    }
    while let Some(singleton) = parts.next() {
        if singleton.len() != 1 || !is_alnum(singleton) {
            return None;
        }
        push_once(&mut tag, &mut seen, singleton)?;
        let is_private = singleton.eq_ignore_ascii_case("x");
        let lengths = if is_private { 1..=8 } else { 2..=8 };
        let mut is_empty = true;
        while let Some(part) = parts.next_if(|part| is_alnum(part) && lengths.contains(&part.len()))
        {
            push(&mut tag, &part.to_ascii_lowercase());
            is_empty = false;
        }
        if is_empty || (is_private && parts.peek().is_some()) {
            return None;
        }
    }
    Some(tag)
}

fn push(tag: &mut String, part: &str) {
    tag.push('-');
    tag.push_str(part);
}

/// Adds a variant or singleton in lower case; none may come twice.
fn push_once(tag: &mut String, seen: &mut Vec<String>, part: &str) -> Option<()> {
    let part = part.to_ascii_lowercase();
    if seen.contains(&part) {
        return None;
    }
    push(tag, &part);
    seen.push(part);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(normalized(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn tags_get_their_usual_case() {
        check("en", Some("en"));
        check("FR-ca", Some("fr-CA"));
        check("EN-gb-OXENDICT", Some("en-GB-oxendict"));
        check("zh-hans-cn", Some("zh-Hans-CN"));
        check("es-419", Some("es-419"));
        check("ZH-CMN-HANS", Some("zh-cmn-Hans"));
        check("sl-rozaj-biske-1994", Some("sl-rozaj-biske-1994"));
        check("de-1901", Some("de-1901"));
        check("de-DE-u-CO-Phonebk-x-Private", Some("de-DE-u-co-phonebk-x-private"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "e",
            "en_US",
            "en-",
            "-en",
            "en--US",
            "english-US-xx",
            "e1",
            "en-US-US",
            "en-u",
            "en-x",
            "en-a-bb-a-cc",
            "de-1901-1901",
            "toolonglang",
            "en US",
            "fr-ça",
            "x-private",
            "123",
            "en-US ",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn normalised_tags_stay_as_they_are(text in "\\PC{0,12}|[a-zA-Z0-9]{1,5}(-[a-zA-Z0-9]{1,5}){0,4}") {
            if let Some(tag) = normalized(&text) {
                prop_assert_eq!(normalized(&tag), Some(tag));
            }
        }
    }
}
