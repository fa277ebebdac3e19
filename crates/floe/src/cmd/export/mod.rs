//! `floe export`.

mod csv;
mod events;
mod output;
mod parquet;
mod quantities;
mod spool;

use std::path::Path;

use clap::ValueEnum;

pub(crate) use self::csv::{EXPORTED_FIELDS, METADATA_PREFIX};
use self::output::Compression;
pub(crate) use self::parquet::JSON_COLUMNS;
use crate::exit;

/// Write events, or the quantities of a meter, to a file.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Export {
    Events(events::ExportEvents),
    Quantities(quantities::ExportQuantities),
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Events(export) => export.run(),
            Self::Quantities(export) => export.run(),
        }
    }
}

/// How what is exported is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object a line: exact, and as the server takes it
    Ndjson,
    /// Comma-separated values below a line of heads
    Csv,
    /// Typed columns, for databases and data frames
    Parquet,
}

/// Where and how to write.
#[derive(Debug, clap::Args)]
struct Destination {
    /// The file to write; without it, standard output. It is there once it is complete
    #[arg(long, short, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
    /// How to write [default: as the file's name says, else ndjson]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    force: bool,
}

impl Destination {
    /// The format and compression that are asked for.
    fn kind(&self) -> anyhow::Result<(Format, Compression)> {
        let Some(path) = &self.output else {
            let format = self.format.unwrap_or(Format::Ndjson);
            if format == Format::Parquet {
                return Err(exit::usage(
                    "Parquet is written to files alone: name one with --output",
                ));
            }
            return Ok((format, Compression::None));
        };
        let (compression, inner) = match extension(path).as_deref() {
            Some("gz") => (Compression::Gzip, path.with_extension("")),
            Some("zst") => (Compression::Zstd, path.with_extension("")),
            _ => (Compression::None, path.clone()),
        };
        let by_name = match extension(&inner).as_deref() {
            Some("ndjson" | "jsonl") => Some(Format::Ndjson),
            Some("csv") => Some(Format::Csv),
            Some("parquet") => Some(Format::Parquet),
            _ => None,
        };
        let Some(format) = self.format.or(by_name) else {
            return Err(exit::usage(format!(
                "the name {} does not say how to write: give --format, or let it end with \
                 .ndjson, .csv or .parquet",
                path.display()
            )));
        };
        if format == Format::Parquet && compression != Compression::None {
            return Err(exit::usage("Parquet is compressed inside: leave .gz and .zst off"));
        }
        Ok((format, compression))
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(output: &str, format: Option<Format>) -> Result<(Format, Compression), String> {
        let output = (!output.is_empty()).then(|| output.into());
        Destination { output, format, force: false }.kind().map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_says_how_to_write() {
        assert_eq!(kind("", None), Ok((Format::Ndjson, Compression::None)));
        assert_eq!(kind("", Some(Format::Csv)), Ok((Format::Csv, Compression::None)));
        assert_eq!(kind("a.ndjson", None), Ok((Format::Ndjson, Compression::None)));
        assert_eq!(kind("a.JSONL.GZ", None), Ok((Format::Ndjson, Compression::Gzip)));
        assert_eq!(kind("d.x/a.csv.zst", None), Ok((Format::Csv, Compression::Zstd)));
        assert_eq!(kind("a.parquet", None), Ok((Format::Parquet, Compression::None)));
        assert_eq!(kind("a.gz", Some(Format::Csv)), Ok((Format::Csv, Compression::Gzip)));
        assert_eq!(kind("a.csv", Some(Format::Ndjson)), Ok((Format::Ndjson, Compression::None)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (output, format, reason) in [
            ("a", None, "does not say how to write"),
            ("a.gz", None, "does not say how to write"),
            ("", Some(Format::Parquet), "to files alone"),
            ("a.parquet.gz", None, "compressed inside"),
        ] {
            assert!(kind(output, format).unwrap_err().contains(reason), "{output}");
        }
    }
}
