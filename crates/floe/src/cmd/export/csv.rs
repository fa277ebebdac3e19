//! Events as CSV.

use std::borrow::Cow;
use std::io::Write;

use serde_json::value::RawValue;

use super::output::Progress;
use super::spool::Spool;
use crate::cmd::import::looks_like_json;

/// What columns of metadata are called: this, and the key.
pub(crate) const METADATA_PREFIX: &str = "metadata.";

/// The columns that every event has, in their order.
pub(crate) const EXPORTED_FIELDS: [&str; 7] = [
    "name",
    "timestamp",
    "external_customer_id",
    "customer_id",
    "external_id",
    "parent_id",
    "external_member_id",
];

/// Writes lines as rows.
pub(super) fn write(spool: Spool, to: &mut impl Write, progress: &Progress) -> anyhow::Result<()> {
    let (columns, mut lines) = spool.finish()?;
    progress.say("were read; writing CSV");
    let mut csv = csv::Writer::from_writer(to);
    for field in EXPORTED_FIELDS {
        csv.write_field(field)?;
    }
    for key in columns.keys() {
        csv.write_field(format!("{METADATA_PREFIX}{key}"))?;
    }
    csv.write_record(None::<&[u8]>)?;
    while let Some(line) = lines.next()? {
        progress.check()?;
        for field in [Some(&line.name), Some(&line.timestamp)] {
            csv.write_field(field.map_or("", |text| text))?;
        }
        let more = [
            &line.external_customer_id,
            &line.customer_id,
            &line.external_id,
            &line.parent_id,
            &line.external_member_id,
        ];
        for field in more {
            csv.write_field(field.as_deref().unwrap_or_default())?;
        }
        for key in columns.keys() {
            match line.metadata.get(key) {
                Some(value) => csv.write_field(cell(value)?.as_bytes())?,
                None => csv.write_field("")?,
            }
        }
        csv.write_record(None::<&[u8]>)?;
    }
    csv.flush()?;
    Ok(())
}

/// Text as it is, unless it looks like something else; all else as JSON. `floe import` reads the
/// very value back.
fn cell(value: &RawValue) -> anyhow::Result<Cow<'_, str>> {
    let json = value.get();
    if json.starts_with('"') {
        let text: String = serde_json::from_str(json)?;
        if !looks_like_json(&text) {
            return Ok(Cow::Owned(text));
        }
    }
    Ok(Cow::Borrowed(json))
}
