//! `floe import`: events from files.
//!
//! One thread reads rows and writes them as lines of JSON; the others send them. What is between
//! them is bounded, so an import takes as much memory for a year of events as for a day.

mod csv;
mod dry_run;
mod ids;
mod instant;
mod mapping;
mod ndjson;
mod parquet;
mod report;
mod rows;
mod sending;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use floe_client::Error;
use tokio::sync::mpsc::{Sender, channel};

use self::csv::CsvRows;
use self::ids::Ids;
use self::mapping::MappingArguments;
pub(crate) use self::mapping::looks_like_json;
use self::ndjson::{MappedRows, WireRows};
use self::parquet::ParquetRows;
use self::report::{Counts, Progress, RefusedFile, RefusedRow, Summary, raw};
use self::rows::{Outcome, Refused, Rows};
use self::sending::{CHUNKS_WAITING_MAX, Chunk, Sending};
use self::source::{Format, Input};
use crate::connection::{Connection, Failure, organization_id};
use crate::exit::{self, Reason, Usage};
use crate::output::{print, print_json};
use crate::signals;

/// Import events from NDJSON, CSV or Parquet files
///
/// NDJSON lines are events as the API takes them, unless columns are named below; what `floe export`
/// wrote needs no columns named either. Files may be compressed with gzip or zstd; `-` is standard
/// input.
///
/// An import can be stopped and started again: each event is sent with an external id, and what the
/// server knows already counts as a duplicate. Rows without an external id get one made of --batch
/// and their number; the default batch is the SHA-256 of the file.
///
/// Rows that are refused, by the mapping or by the server, are written to a file beside the input,
/// with the number of their line and the reason.
///
/// Ctrl-C stops it, and what was sent stays: the same command goes on.
///
/// It ends with 3 if it came to its end and some rows were refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files are written as; by default what the ends of their names say
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The character between the fields of CSV
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Show the first events, check every row, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// What this import is called in the external ids of rows that have none: the same each time
    /// that the same rows are sent
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    batch: Option<String>,
    /// Where refused rows go [default: FILE.refused.ndjson]
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// The organization, by id or slug; needed with the root token
    #[arg(long, value_name = "SLUG_OR_ID")]
    organization: Option<String>,
    /// Requests at a time
    #[arg(long, value_name = "COUNT", default_value_t = 6,
        value_parser = RangedU64ValueParser::<u8>::new().range(1..=32))]
    connections: u8,
    /// For how long a request that fails is tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    retry_seconds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mapping: MappingArguments,
    #[command(flatten)]
    connection: Connection,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte @ 0x09..=0x7e] if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        b"\\t" => Ok(b'\t'),
        _ => Err("it must be one ASCII character, such as ; or \\t".to_owned()),
    }
}

impl Import {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        Ok(match self.import()? {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(exit::SOME_REFUSED),
        })
    }

    /// How many rows were refused.
    fn import(self) -> anyhow::Result<u64> {
        let Self {
            files,
            format,
            delimiter,
            dry_run,
            batch,
            refused,
            organization,
            connections,
            retry_seconds,
            json,
            mapping,
            connection,
        } = self;
        let inputs: Vec<Input> = files.iter().map(|file| Input::new(file)).collect();
        if inputs.len() > 1 && (batch.is_some() || refused.is_some()) {
            let text = "--batch and --refused are about one file: import files one by one";
            return Err(Usage(text.to_owned()).into());
        }
        if inputs.iter().filter(|input| **input == Input::Standard).count() > 1 {
            return Err(Usage("standard input can be read once".to_owned()).into());
        }
        // Before anything is read, or sent of the first of many.
        mapping.zone()?;
        let plan = Plan { inputs, format, delimiter, batch, refused, mapping };
        plan.check_files()?;
        if dry_run {
            return dry_run::run(&plan, json);
        }
        let began = Instant::now();
        let counts = Arc::new(Counts::default());
        let progress = Progress::new(plan.inputs.iter().map(Input::byte_len).sum())?;
        let retry_time = Duration::from_secs(retry_seconds.into());
        let refused_files = plan.refused_files();
        let sent = connection.run(async |client| {
            let prefix = match organization {
                None => Vec::new(),
                Some(name) => {
                    let id = organization_id(client, &name).await?;
                    // Otherwise each row would be refused for it. Who may not ask is told by the
                    // first row.
                    if let Err(Error::NotFound { .. }) = client.organizations().get(id).await {
                        return Err(Failure::NotThere(format!("there is no organization {id}")));
                    }
                    format!("\"organization_id\":\"{id}\",").into_bytes()
                }
            };
            let stop = signals::stop().context("cannot listen for signals to stop")?;
            let (sender, receiver) = channel(CHUNKS_WAITING_MAX);
            let reading = std::thread::Builder::new().name("reading".to_owned()).spawn({
                let (counts, progress) = (Arc::clone(&counts), progress.clone());
                let refused_files = refused_files.clone();
                move || plan.read(&prefix, &refused_files, &sender, &counts, &progress)
            });
            let reading = reading.context("cannot start a thread")?;
            let sending = Sending::new(client, &counts, &progress, retry_time);
            tokio::select! {
                sent = sending.run(receiver, connections.into()) => sent?,
                // The reader may wait for standard input: it is left to the end of the process.
                () = stop => {
                    let text = "stopped: the same command goes on, and counts nothing twice";
                    return Err(exit::error(Reason::Stopped, text).into());
                }
            }
            // It has ended: otherwise there would be more to send.
            let read = reading.join().map_err(|_| anyhow!("the reader of rows panicked"))?;
            Ok::<_, Failure>(read?)
        });
        progress.finish();
        let mut paths = Vec::new();
        for file in refused_files {
            paths.extend(file.finish()?);
        }
        sent?;
        let summary = Summary::new(&counts, began, paths);
        if json {
            print_json(&summary)?
        } else {
            print(&summary.text())?
        }
        Ok(summary.refused)
    }
}

/// What is to be read, and how.
#[derive(Debug)]
struct Plan {
    inputs: Vec<Input>,
    format: Option<Format>,
    delimiter: Option<u8>,
    batch: Option<String>,
    refused: Option<PathBuf>,
    mapping: MappingArguments,
}

impl Plan {
    /// The rows of an input. `prefix` stands at the start of each event.
    fn rows(
        &self,
        input: &Input,
        prefix: &[u8],
        progress: &Arc<AtomicU64>,
    ) -> anyhow::Result<Box<dyn Rows>> {
        let opened = input.open(progress)?;
        let by_name = || if opened.is_parquet { Some(Format::Parquet) } else { Format::of(input) };
        let Some(format) = self.format.or_else(by_name) else {
            let text = "say what it is with --format: ndjson, csv, tsv or parquet";
            return Err(Usage(format!("{}: {text}", input.name())).into());
        };
        let cannot = || format!("cannot import {}", input.name());
        let rows: Box<dyn Rows> = match format {
            Format::Ndjson if self.mapping.is_given() => {
                Box::new(MappedRows::new(opened.reader, self.mapping.clone(), prefix))
            }
            Format::Ndjson => Box::new(WireRows::new(opened.reader, prefix)),
            Format::Csv | Format::Tsv => {
                let usual = if format == Format::Csv { b',' } else { b'\t' };
                let delimiter = self.delimiter.unwrap_or(usual);
                let rows = CsvRows::new(opened.reader, delimiter, &self.mapping, prefix);
                Box::new(rows.with_context(cannot)?)
            }
            Format::Parquet => {
                let Input::File(path) = input else {
                    let text = "Parquet cannot be read from standard input: name a file";
                    return Err(Usage(text.to_owned()).into());
                };
                progress.store(0, Ordering::Relaxed);
                let rows = ParquetRows::new(path, &self.mapping, prefix, progress);
                Box::new(rows.with_context(cannot)?)
            }
        };
        Ok(rows)
    }

    /// Checks that all files are there, and that none of them would be written over.
    fn check_files(&self) -> anyhow::Result<()> {
        for (at, input) in self.inputs.iter().enumerate() {
            input.check()?;
            if self.inputs.iter().take(at).any(|other| other.is_same_as(input)) {
                let text = format!("{} is named twice", input.name());
                return Err(Usage(text).into());
            }
        }
        for input in &self.inputs {
            let refused = Input::File(self.refused_path(input));
            if self.inputs.iter().any(|input| input.is_same_as(&refused)) {
                let text = format!("refused rows would be written over {}", refused.name());
                return Err(Usage(format!("{text}: choose another file with --refused")).into());
            }
        }
        Ok(())
    }

    /// Where refused rows of an input go.
    fn refused_path(&self, input: &Input) -> PathBuf {
        self.refused.clone().unwrap_or_else(|| input.refused_path())
    }

    /// The files for the refused rows of each input.
    fn refused_files(&self) -> Vec<Arc<RefusedFile>> {
        let file = |input| Arc::new(RefusedFile::new(self.refused_path(input)));
        self.inputs.iter().map(file).collect()
    }

    /// Reads all rows and hands them over, until all are or nobody takes them.
    fn read(
        &self,
        prefix: &[u8],
        refused_files: &[Arc<RefusedFile>],
        sender: &Sender<Chunk>,
        counts: &Counts,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let mut bytes_before = 0;
        for (input, refused_file) in self.inputs.iter().zip(refused_files) {
            let bytes = Arc::new(AtomicU64::new(0));
            let mut rows = self.rows(input, prefix, &bytes)?;
            let mut ids = Ids::new(input.clone(), self.batch.clone());
            let mut chunk = Chunk::new(Arc::clone(refused_file));
            loop {
                let start = chunk.body.len();
                let next = rows.next(&mut ids, &mut chunk.body);
                let Some((line, outcome)) = next.with_context(|| input.name())? else { break };
                match outcome {
                    Outcome::Event => {
                        chunk.body.push(b'\n');
                        chunk.rows.push(line);
                    }
                    Outcome::Refused(Refused { reason, row }) => {
                        chunk.body.truncate(start);
                        counts.refused.fetch_add(1, Ordering::Relaxed);
                        let row = raw(&row);
                        let row =
                            RefusedRow { line, reason: &reason, row: Some(&row), event: None };
                        refused_file.add(&row)?;
                    }
                }
                if chunk.is_full() {
                    let full = std::mem::replace(&mut chunk, Chunk::new(Arc::clone(refused_file)));
                    if sender.blocking_send(full).is_err() {
                        // Sending failed, and says why.
                        return Ok(());
                    }
                    progress.show(bytes_before + bytes.load(Ordering::Relaxed), counts);
                }
            }
            if !chunk.rows.is_empty() && sender.blocking_send(chunk).is_err() {
                return Ok(());
            }
            bytes_before += bytes.load(Ordering::Relaxed);
        }
        Ok(())
    }
}
