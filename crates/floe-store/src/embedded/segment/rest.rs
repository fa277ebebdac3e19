//! What stands beside the metadata columns: rare keys as JSON, and the order of an event's keys.

use floe_api::metadata::{StoredTextError, metadata_from_json_text, metadata_to_json_text};
use floe_core::{Metadata, Number, Value};

/// Appends where the next value of an event is: a column of metadata, or else the JSON.
pub(super) fn put_index(column: Option<usize>, out: &mut Vec<u8>) {
    let mut value = column.map_or(0, |index| index + 1);
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Reads what [`put_index`] wrote.
pub(super) fn indexes(bytes: &[u8]) -> impl Iterator<Item = Option<usize>> {
    let mut rest = bytes.iter();
    std::iter::from_fn(move || {
        let mut value = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = *rest.next()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(value.checked_sub(1))
    })
}

/// Metadata as JSON text. A decimal in `_cost.amount` is written as a string, as in answers:
/// JSON does not tell it from a float.
pub(super) fn to_json(entries: &[(&str, &Value<'_>)]) -> String {
    let entries = entries.iter().map(|(key, value)| {
        let value = match value {
            Value::Object(cost) if *key == "_cost" => Value::Object(with_amount_as_text(cost)),
            value => value.borrowed(),
        };
        ((*key).into(), value)
    });
    metadata_to_json_text(&Metadata::from_distinct(entries.collect()))
}

fn with_amount_as_text<'m>(cost: &'m Metadata<'_>) -> Metadata<'m> {
    let entries = cost.iter().map(|(key, value)| {
        let value = match value {
            Value::Number(amount @ Number::Decimal { .. }) if key == "amount" => {
                Value::String(amount.to_string().into())
            }
            value => value.borrowed(),
        };
        (key.into(), value)
    });
    Metadata::from_distinct(entries.collect())
}

/// Whether metadata that [`to_json`] wrote may have a value at a path; reading them tells.
pub(super) fn may_hold(text: &str, path: &[String]) -> bool {
    let Some(key) = path.first() else { return true };
    // Such a key is written as it is; others may be escaped.
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    !is_plain || key.is_empty() || text.contains(key.as_str())
}

/// Reads what [`to_json`] wrote.
pub(super) fn from_json(text: &str) -> Result<Metadata<'static>, StoredTextError> {
    let mut metadata = metadata_from_json_text(text)?.into_entries();
    for (key, value) in &mut metadata {
        if key == "_cost"
            && let Value::Object(cost) = value
        {
            let mut entries = std::mem::take(cost).into_entries();
            for (key, value) in &mut entries {
                if key == "amount"
                    && let Value::String(text) = value
                    && let Some(amount) = decimal(text)
                {
                    *value = Value::Number(amount);
                }
            }
            *cost = Metadata::from_distinct(entries);
        }
    }
    Ok(Metadata::from_distinct(metadata))
}

/// A decimal from its canonical text.
fn decimal(text: &str) -> Option<Number<'static>> {
    let (whole, fraction) = text.split_once('.')?;
    let mantissa = format!("{whole}{fraction}").parse().ok()?;
    Number::decimal(mantissa, u8::try_from(fraction.len()).ok()?)
}
