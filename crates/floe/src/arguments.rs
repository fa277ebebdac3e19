//! Arguments that several commands take.

use anyhow::{Context as _, anyhow};
use clap::builder::PossibleValuesParser;
use floe_client::{Aggregation, Filter, Metadata, MetadataValue, Uuid};

use crate::filter_text;

/// A property and its value, from `KEY=VALUE`: whole numbers, fractions, true and false are what
/// they look like; in quotes, or else, a value is text.
pub(crate) fn key_value(text: &str) -> Result<(String, MetadataValue), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("it must be KEY=VALUE")?;
    Ok((key.to_owned(), metadata_value(value)))
}

fn metadata_value(text: &str) -> MetadataValue {
    let unquoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = unquoted('"').or_else(|| unquoted('\'')) {
        return text.into();
    }
    match text {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    number(text).unwrap_or_else(|| text.into())
}

/// A number as JSON writes it, so that `007`, `inf` and `+1` are text.
fn number(text: &str) -> Option<MetadataValue> {
    if !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return None;
    }
    let metadata: Metadata = serde_json::from_str(&format!(r#"{{"number":{text}}}"#)).ok()?;
    metadata.get("number").cloned()
}

/// Reads a filter: as people write it, or JSON.
pub(crate) fn filter(text: &str) -> Result<Filter, String> {
    let filter = filter_text::parse(text).map_err(|wrong| wrong.to_string())?;
    serde_json::from_value(filter).map_err(|error| format!("this is no filter: {error}"))
}

/// A filter as people write it; of no clause, `-`.
pub(crate) fn show_filter(filter: &Filter) -> String {
    let shown = serde_json::to_value(filter).map(|filter| filter_text::show(&filter));
    shown.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

/// An aggregation as people write it, such as `sum tokens`.
pub(crate) fn show_aggregation(aggregation: &Aggregation) -> String {
    match aggregation.property() {
        Some(property) => format!("{} {property}", aggregation.function()),
        None => aggregation.function().to_string(),
    }
}

/// How a meter makes a number of events: one of these.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "aggregation", multiple = false)]
pub(crate) struct AggregationArgument {
    /// Count events
    #[arg(long, help_heading = "Aggregation")]
    count: bool,
    /// Add a property up
    #[arg(long, help_heading = "Aggregation", value_name = "PROPERTY")]
    sum: Option<String>,
    /// Take the greatest value of a property
    #[arg(long, help_heading = "Aggregation", value_name = "PROPERTY")]
    max: Option<String>,
    /// Take the least value of a property
    #[arg(long, help_heading = "Aggregation", value_name = "PROPERTY")]
    min: Option<String>,
    /// Take the mean of a property
    #[arg(long, help_heading = "Aggregation", value_name = "PROPERTY")]
    avg: Option<String>,
    /// Count the different values of a property
    #[arg(long, help_heading = "Aggregation", value_name = "PROPERTY")]
    unique: Option<String>,
}

impl AggregationArgument {
    /// The one that was given, if any.
    pub(crate) fn given(self) -> Option<Aggregation> {
        let Self { count, sum, max, min, avg, unique } = self;
        let counted = count.then(Aggregation::count);
        counted
            .or(sum.map(Aggregation::sum))
            .or(max.map(Aggregation::max))
            .or(min.map(Aggregation::min))
            .or(avg.map(Aggregation::avg))
            .or(unique.map(Aggregation::unique))
    }
}

/// The intervals, the shortest first.
pub(crate) fn interval_names() -> PossibleValuesParser {
    PossibleValuesParser::new(["hour", "day", "week", "month", "year"])
}

/// Which customers a question is about.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CustomersArgument {
    /// Only of the customer with this external id; may repeat
    #[arg(long = "customer", value_name = "EXTERNAL_ID")]
    pub(crate) external_ids: Vec<String>,
    /// Only of the customer with this id; may repeat
    #[arg(long = "customer-id", value_name = "ID")]
    pub(crate) ids: Vec<Uuid>,
}

/// Reads a file, or standard input if it is `-`.
pub(crate) fn read_text(path: &std::path::Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")
    } else {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Asks on a terminal whether to go on; elsewhere `--yes` must have been given.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    use std::io::{IsTerminal as _, Write as _};
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("{question} Say so with --yes"));
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(anyhow!("nothing was done"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_looks_like() {
        let value = |text: &str| key_value(&format!("k={text}")).unwrap().1;
        assert_eq!(value("5"), 5.into());
        assert_eq!(value("5.0"), 5.0.into());
        assert_eq!(value("-1e3"), MetadataValue::Float(-1000.0));
        assert_eq!(value("true"), true.into());
        for text in ["007", "inf", "+1", "1_000", "", "a=b", "5 GB"] {
            assert_eq!(value(text), text.into());
        }
        assert_eq!(value("\"5\""), "5".into());
        assert_eq!(value("'true'"), "true".into());
        assert_eq!(
            value("123456789012345678901234567890").to_string(),
            "123456789012345678901234567890"
        );
        assert!(key_value("=5").is_err() && key_value("k").is_err());
    }
}
