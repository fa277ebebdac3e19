//! Reading the members of an object: which must be there, which may be null, which may be absent.

use crate::errors::{self, Errors, Loc, Violation};
use crate::json::Json;
use crate::scalar;

/// An object of known fields, and where it stands. Unknown members are ignored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'j, 'a, 'l> {
    object: &'j Json<'a>,
    loc: &'l Loc<'l>,
}

impl<'j, 'a, 'l> Fields<'j, 'a, 'l> {
    /// The request body; `null` is as good as none (contract section 1.4).
    pub(crate) fn of_body(body: &'j Json<'a>, errors: &mut Errors) -> Option<Self> {
        if body.is_null() {
            errors.push(&Loc::BODY, errors::missing(), body);
            return None;
        }
        Self::of(body, &Loc::BODY, errors)
    }

    /// The object `json`, which stands at `loc`.
    pub(crate) fn of(json: &'j Json<'a>, loc: &'l Loc<'l>, errors: &mut Errors) -> Option<Self> {
        scalar::model(json, loc, errors)?;
        Some(Self { object: json, loc })
    }

    /// The same object, with errors at another place: the name of a union's member joins it.
    pub(crate) fn at<'m>(self, loc: &'m Loc<'m>) -> Fields<'j, 'a, 'm> {
        Fields { object: self.object, loc }
    }

    /// The member `key` as it came.
    pub(crate) fn get(self, key: &str) -> Option<&'j Json<'a>> {
        self.object.get(key)
    }

    /// Adds an error about the object as a whole.
    pub(crate) fn refuse(self, violation: Violation, errors: &mut Errors) {
        errors.push(self.loc, violation, self.object);
    }

    /// The member `key` read by `reader`; being absent is wrong.
    pub(crate) fn required<T>(
        self,
        key: &str,
        errors: &mut Errors,
        reader: impl FnOnce(&'j Json<'a>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<T> {
        let value = self.present(key, errors, reader);
        if self.get(key).is_none() {
            errors.push(&self.loc.key(key), errors::missing(), self.object);
        }
        value
    }

    /// The member `key` read by `reader`, if it is there; null is the reader's business.
    pub(crate) fn present<T>(
        self,
        key: &str,
        errors: &mut Errors,
        reader: impl FnOnce(&'j Json<'a>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<T> {
        let json = self.get(key)?;
        let loc = self.loc.key(key);
        let value = reader(json, &loc, errors)?;
        if json.has_nul() {
            errors.push(&loc, errors::invalid_characters(), json);
            return None;
        }
        Some(value)
    }

    /// The member `key` read by `reader`, unless it is absent or null.
    pub(crate) fn optional<T>(
        self,
        key: &str,
        errors: &mut Errors,
        reader: impl FnOnce(&'j Json<'a>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<T> {
        self.nullable(key, errors, reader).flatten()
    }

    /// As [`optional`](Self::optional), but null is `Some(None)`.
    pub(crate) fn nullable<T>(
        self,
        key: &str,
        errors: &mut Errors,
        reader: impl FnOnce(&'j Json<'a>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.get(key)?.is_null() {
            return Some(None);
        }
        self.present(key, errors, reader).map(Some)
    }
}

/// A string of any length, as it is.
pub(crate) fn text(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    scalar::string(json, loc, errors).map(str::to_owned)
}

/// A string without the white space around it; `None` if nothing is left.
pub(crate) fn trimmed(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<Option<String>> {
    scalar::string(json, loc, errors).map(non_blank)
}

/// `text` without the white space around it; `None` if nothing is left.
pub(crate) fn non_blank(text: &str) -> Option<String> {
    let text = strip(text);
    (!text.is_empty()).then(|| text.to_owned())
}

/// Python's `str.strip`: the four separators of ASCII are white space to it.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || matches!(char, '\x1c'..='\x1f'))
}

/// `value`, if there are no more errors than `before`.
pub(crate) fn unless_refused<T>(value: T, before: usize, errors: &Errors) -> Option<T> {
    (errors.len() == before).then_some(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::json::parse;
    use proptest::prelude::*;

    /// The errors as compact JSON.
    pub(crate) fn json_text(errors: &Errors) -> String {
        serde_json::to_string(errors.items()).unwrap()
    }

    /// What `reader` makes of a body, and the errors as `type loc; type loc`.
    pub(crate) fn read<T>(
        body: &str,
        reader: impl FnOnce(&Json<'_>, &mut Errors) -> Option<T>,
    ) -> (Option<T>, String) {
        let mut errors = Errors::new();
        let value = reader(&parse(body.as_bytes()).unwrap(), &mut errors);
        assert_eq!(value.is_none(), !errors.is_empty(), "{body}: {errors:?}");
        let errors = errors.items().iter().map(|item| {
            let loc = serde_json::to_string(item.loc()).unwrap();
            format!("{} {loc}", item.violation().kind())
        });
        (value, errors.collect::<Vec<_>>().join("; "))
    }

    /// Checks that `reader` refuses `body` with the errors `expected`.
    #[track_caller]
    pub(crate) fn check_errors<T>(
        body: &str,
        reader: impl FnOnce(&Json<'_>, &mut Errors) -> Option<T>,
        expected: &str,
    ) {
        assert_eq!(read(body, reader).1, expected, "{body}");
    }

    /// JSON values of all kinds.
    fn any_json() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("NaN".to_owned()),
            Just(r#""\ud800""#.to_owned()),
            Just(r#""a\u0000""#.to_owned()),
            Just("99999999999999999999999".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<f64>()
                .prop_map(|value| format!("{:e}", if value.is_finite() { value } else { 0.5 })),
            "[a-zA-Z0-9@.:_ -]{0,12}".prop_map(|text| format!("\"{text}\"")),
        ];
        scalar.prop_recursive(2, 12, 4, |inner| {
            let members = prop::collection::vec(("[a-z_]{1,10}", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                members.prop_map(|members| object(&members)),
            ]
        })
    }

    fn object(members: &[(String, String)]) -> String {
        let members: Vec<_> =
            members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }

    /// Bodies with some of the members `keys`.
    pub(crate) fn any_body(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
        let member = (prop::sample::select(keys).prop_map(str::to_owned), any_json());
        prop_oneof![
            1 => any_json(),
            5 => prop::collection::vec(member, 0..8).prop_map(|members| object(&members)),
        ]
    }
}
