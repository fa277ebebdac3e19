//! `floe verify`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use floe_store::embedded::fs::RealFs;
use floe_store::embedded::{Checked, Finding, VerifyReport, verify};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{bytes_text, print, print_json, visible};

/// Check everything in a data folder that no server has open, or in a backup. Nothing is changed.
///
/// All checksums are compared, every event is read, and what is derived from events is made anew
/// and compared. Ends with 0 if nothing is wrong, with 1 if something is, and with 2 if the folder
/// cannot be checked.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The data folder
    #[arg(long, env = "FLOE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self) -> ExitCode {
        match self.verify() {
            Ok(report) if report.findings.is_empty() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    fn verify(self) -> anyhow::Result<VerifyReport> {
        let Self { data, json } = self;
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::no_length().with_style(ProgressStyle::with_template(
                "{bar:30} {bytes}/{total_bytes} {eta} {wide_msg}",
            )?)
        } else {
            ProgressBar::hidden()
        };
        let report = verify(&data, Arc::new(RealFs), &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(visible(progress.file));
        });
        bar.finish_and_clear();
        let report = report?;
        if json {
            print_json(&report)?
        } else {
            print(&text_of(&report))?
        }
        Ok(report)
    }
}

/// A report for people.
fn text_of(report: &VerifyReport) -> String {
    let VerifyReport { checked, findings, findings_left_out, notes, .. } = report;
    let Checked {
        catalog_rows,
        segments,
        segment_bytes,
        sealed_events,
        journal_records,
        journal_bytes,
        journal_events,
        indexes,
        rollups,
        external_id_files,
        external_ids,
        ..
    } = checked;
    let mut lines = vec![
        format!("catalog       {catalog_rows} rows"),
        format!(
            "segments      {segments} with {sealed_events} events, {}",
            bytes_text(*segment_bytes)
        ),
        format!(
            "journal       {journal_records} records with {journal_events} events that are not in \
             segments, {}",
            bytes_text(*journal_bytes)
        ),
        format!("indexes       {indexes}"),
        format!("rollups       {rollups}"),
        format!("external ids  {external_ids} in {external_id_files} files"),
    ];
    lines.extend(notes.iter().map(|note| format!("note: {}", visible(note))));
    for (number, finding) in (1..).zip(findings) {
        let Finding { file, what, means, todo, .. } = finding;
        lines.push(String::new());
        lines.push(format!("{number}. {}", visible(file)));
        lines.push(format!("   wrong:  {}", visible(what)));
        lines.push(format!("   means:  {means}"));
        lines.push(format!("   to do:  {todo}"));
    }
    if *findings_left_out > 0 {
        lines.push(format!("\nand {findings_left_out} more"));
    }
    lines.push(String::new());
    lines.push(match findings.len() {
        0 => "Nothing is wrong.".to_owned(),
        1 => "One thing is wrong.".to_owned(),
        count => format!("{} things are wrong.", count as u64 + findings_left_out),
    });
    lines.join("\n")
}
