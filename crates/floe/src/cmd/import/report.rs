//! What an import tells: progress while it runs, refused rows in a file, a summary at its end.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::visible;

/// A row that was refused, as it stands in a file of them.
#[derive(Debug, Serialize)]
pub(super) struct RefusedRow<'a> {
    /// The number of its line, or of the row where there are no lines, from 1.
    pub(super) line: u64,
    /// Why, for people.
    pub(super) reason: &'a str,
    /// The row, if it was refused before it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<&'a RawValue>,
    /// The event that was made of it, if the server refused that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<&'a RawValue>,
}

/// A file of refused rows, made when there is one.
#[derive(Debug)]
pub(super) struct RefusedFile {
    path: PathBuf,
    rows: Mutex<Rows>,
}

/// The rows that a file of them has.
#[derive(Debug, Default)]
struct Rows {
    file: Option<BufWriter<File>>,
    /// The import was ended. Rows that are still read meanwhile might be written in part.
    is_finished: bool,
}

impl RefusedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, rows: Mutex::default() }
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub(super) fn add(&self, row: &RefusedRow<'_>) -> anyhow::Result<()> {
        let cannot = || format!("cannot write refused rows to {}", self.path.display());
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let Rows { file, is_finished } = &mut *rows;
        if *is_finished {
            return Ok(());
        }
        let out = match file {
            Some(out) => out,
            None => file.insert(BufWriter::new(File::create(&self.path).with_context(cannot)?)),
        };
        serde_json::to_writer(&mut *out, row).with_context(cannot)?;
        out.write_all(b"\n").with_context(cannot)?;
        Ok(())
    }

    /// Writes what is not yet written, and takes no more. Where the refused rows are, if there are
    /// any.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn finish(&self) -> anyhow::Result<Option<PathBuf>> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.is_finished = true;
        let Some(out) = &mut rows.file else { return Ok(None) };
        out.flush()
            .with_context(|| format!("cannot write refused rows to {}", self.path.display()))?;
        Ok(Some(self.path.clone()))
    }
}

/// Text as a JSON value that is JSON already, or else a string of it.
pub(super) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned())
        .or_else(|_| serde_json::value::to_raw_value(text))
        .unwrap_or_default()
}

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) inserted: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counts {
    fn rows(&self) -> u64 {
        [&self.inserted, &self.duplicates, &self.refused]
            .map(|count| count.load(Ordering::Relaxed))
            .into_iter()
            .sum()
    }
}

/// A bar on standard error, if that is a terminal.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    /// A bar for so many bytes, if that is known.
    pub(super) fn new(bytes: Option<u64>) -> anyhow::Result<Self> {
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:30} {percent:>3}% {bytes}/{total_bytes} {msg}, {eta} left",
            ),
            None => (ProgressBar::no_length(), "{spinner} {bytes} {msg}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(template)?);
        Ok(Self { bar, began: Instant::now() })
    }

    pub(super) fn show(&self, bytes: u64, counts: &Counts) {
        if self.bar.is_hidden() {
            return;
        }
        let rows = counts.rows();
        self.bar.set_position(bytes);
        let rate = per_second(rows, self.began.elapsed().as_secs_f64());
        self.bar.set_message(format!("{} rows, {}/s", thousands(rows), thousands(rate)));
    }

    /// Says something above the bar.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{}", visible(text)));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// What an import did.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) inserted: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    pub(super) seconds: f64,
    pub(super) rows_per_second: u64,
    /// Files with the refused rows.
    pub(super) refused_files: Vec<PathBuf>,
}

impl Summary {
    pub(super) fn new(counts: &Counts, began: Instant, refused_files: Vec<PathBuf>) -> Self {
        let seconds = began.elapsed().as_secs_f64();
        Self {
            inserted: counts.inserted.load(Ordering::Relaxed),
            duplicates: counts.duplicates.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
            seconds,
            rows_per_second: per_second(counts.rows(), seconds),
            refused_files,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { inserted, duplicates, refused, seconds, rows_per_second, refused_files } = self;
        let mut text = format!(
            "{} inserted, {} duplicates, {} refused, in {seconds:.1} s ({} rows/s)",
            thousands(*inserted),
            thousands(*duplicates),
            thousands(*refused),
            thousands(*rows_per_second)
        );
        for file in refused_files {
            text.push_str(&format!("\nRefused rows, with reasons: {}", file.display()));
        }
        text
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds.max(0.001)) as u64
}

/// An integer with its thousands set apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_is_no_json_becomes_text() {
        assert_eq!(raw(r#"{"a":1}"#).get(), r#"{"a":1}"#);
        assert_eq!(raw("{a").get(), r#""{a""#);
    }
}
