//! `floe import` of files, beside the HTTP load with batches of 1,000.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use floe_core::{CustomerRef, Value};

use crate::columns::{self, Kind as ColumnKind};
use crate::data::{self, DataSet, Variant};
use crate::folder::TOKEN;
use crate::generate::write_parquet;
use crate::load::{self, Kind, Load};
use crate::process::peak_bytes;
use crate::report::{Bar, head, mebibytes, median, row};
use crate::server::{Handling, Running};

/// Connections of the HTTP load, and events of its requests.
const CONNECTIONS: u64 = 16;
const BATCH: usize = 1000;
/// What an import may take of memory.
const MEMORY_MEBIBYTES_MAX: f64 = 150.0;
/// How often its memory is looked at. What counts is the most that it ever had, which the system
/// keeps: only the last look matters.
const LOOK: Duration = Duration::from_millis(5);

/// Imports of the same events from NDJSON, CSV and Parquet, each into a new folder, beside the HTTP
/// load of as many events in batches of 1,000. They take turns, and medians are shown.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Import {
    /// Events of each file
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) events: u64,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Where to put files and data folders, on the disk in question [default: the system's for
    /// temporary files]
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// The `floe` to import with [default: the one beside this program]
    #[arg(long)]
    pub(crate) floe: Option<PathBuf>,
}

/// A file to import.
struct Contender {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    /// The share of the load's rate that it is to reach.
    bar: f64,
    rates: Vec<f64>,
    ratios: Vec<f64>,
    peaks: Vec<f64>,
}

impl Contender {
    fn new(name: &'static str, path: PathBuf, arguments: &[&str], bar: f64) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { name, path, arguments, bar, rates: vec![], ratios: vec![], peaks: vec![] }
    }
}

impl Import {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let folder = match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let floe = match &self.floe {
            Some(floe) => floe.clone(),
            None => std::env::current_exe()?.with_file_name("floe"),
        };
        ensure!(
            floe.exists(),
            "{} is not there: build it, or name one with --floe",
            floe.display()
        );
        let mut contenders = self.files(folder.path())?;
        let mut load_rates = Vec::new();
        for round in 0..self.rounds {
            let data = folder.path().join(format!("load-{round}"));
            let load = self.load(&data)?;
            load_rates.push(load);
            for contender in &mut contenders {
                let data = folder.path().join(format!("{}-{round}", contender.name));
                let (rate, peak) = self.import(&floe, &data, contender)?;
                contender.rates.push(rate);
                contender.ratios.push(rate / load);
                contender.peaks.push(mebibytes(peak));
            }
        }
        let title = format!("Import of {} events, medians of {} rounds", self.events, self.rounds);
        head(&title, &["", "events/s", "of the load's", "file MiB", "peak MiB of the importer"]);
        let load = format!("{:.0}", median(load_rates));
        row(&[
            "HTTP load, batches of 1,000".to_owned(),
            load,
            "1".to_owned(),
            "".into(),
            "".into(),
        ]);
        let mut bars = Vec::new();
        for Contender { name, path, bar, rates, ratios, peaks, .. } in contenders {
            let (ratio, peak) = (median(ratios), peaks.into_iter().fold(0.0, f64::max));
            row(&[
                name.to_owned(),
                format!("{:.0}", median(rates)),
                format!("{ratio:.2}"),
                format!("{:.0}", mebibytes(path.metadata()?.len())),
                format!("{peak:.0}"),
            ]);
            bars.push(Bar::at_least(format!("import of {name}, of the load's rate"), bar, ratio));
            let what = format!("import of {name}, MiB of memory");
            bars.push(Bar::at_most(what, MEMORY_MEBIBYTES_MAX, peak));
        }
        Ok(bars)
    }

    /// Writes the files, all of the same events.
    fn files(&self, folder: &Path) -> anyhow::Result<Vec<Contender>> {
        let data = DataSet::new(self.events, 1, Variant::Usual);
        let ndjson = folder.join("events.ndjson");
        let mut out = BufWriter::new(File::create(&ndjson)?);
        for event in data.iter() {
            writeln!(out, "{}", data::to_json(&event))?;
        }
        out.flush()?;
        let csv = folder.join("events.csv");
        write_csv(&data, &csv)?;
        let parquet = folder.join("events.parquet");
        write_parquet(&data, &parquet)?;
        let columns = [
            "--timestamp",
            "timestamp",
            "--name",
            "name",
            "--customer",
            "external_customer_id",
            "--external-id",
            "external_id",
        ];
        let kinds = [ColumnKind::Int, ColumnKind::String, ColumnKind::String, ColumnKind::Float];
        let metadata: Vec<_> = data::USUAL_KEYS
            .into_iter()
            .zip(kinds)
            .map(|(key, kind)| format!("{}={key}", columns::name(&[key.to_owned()], kind)))
            .collect();
        let metadata = metadata.iter().flat_map(|column| ["--metadata", column.as_str()]);
        let of_parquet: Vec<_> = columns.into_iter().chain(metadata).collect();
        Ok(vec![
            Contender::new("wire-form NDJSON", ndjson, &[], 0.7),
            Contender::new("CSV", csv, &columns, 0.5),
            Contender::new("Parquet", parquet, &of_parquet, 0.5),
        ])
    }

    /// Events a second of the load over HTTP.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn load(&self, data: &Path) -> anyhow::Result<f64> {
        let server = Running::start(data, Handling::Store)?;
        let load = Load {
            connections: usize::try_from(CONNECTIONS)?,
            duration: Duration::from_secs(24 * 3600),
            per_second: None,
            requests_max: Some((self.events / (CONNECTIONS * BATCH as u64)).max(1)),
            run: 1,
        };
        let samples = load::run(server.address, &Kind::Ingest(BATCH), load)?;
        server.stop()?;
        std::fs::remove_dir_all(data)?;
        Ok(samples.per_second() * BATCH as f64)
    }

    /// Events a second of an import, process and all, and the most memory that it had.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn import(
        &self,
        floe: &Path,
        data: &Path,
        contender: &Contender,
    ) -> anyhow::Result<(f64, u64)> {
        let server = Running::start(data, Handling::Store)?;
        let began = Instant::now();
        let mut child = Command::new(floe)
            .args(["import", "--json"])
            .arg(&contender.path)
            .args(&contender.arguments)
            .env("FLOE_URL", format!("http://{}", server.address))
            .env("FLOE_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start floe")?;
        let mut peak = 0;
        while child.try_wait()?.is_none() {
            // There is none of a process that has just ended.
            peak = peak.max(peak_bytes(child.id()).unwrap_or(0));
            std::thread::sleep(LOOK);
        }
        let elapsed = began.elapsed();
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "floe import ended with {}", output.status);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let inserted = &summary["inserted"];
        ensure!(*inserted == self.events, "{inserted} events were new, of {}", self.events);
        server.stop()?;
        std::fs::remove_dir_all(data)?;
        Ok((self.events as f64 / elapsed.as_secs_f64(), peak))
    }
}

/// The events below a line of column names. None of their values needs quotation marks.
fn write_csv(data: &DataSet, path: &Path) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let keys = data::USUAL_KEYS.join(",");
    writeln!(out, "timestamp,name,external_customer_id,external_id,{keys}")?;
    for event in data.iter() {
        let CustomerRef::External(customer) = &event.customer else { continue };
        let id = event.external_id.as_deref().unwrap_or_default();
        write!(out, "{},{},{customer},{id}", event.timestamp, event.name)?;
        for key in data::USUAL_KEYS {
            let value = event.metadata.iter().find(|(name, _)| *name == key).map(|(_, v)| v);
            match value {
                None => write!(out, ",")?,
                Some(Value::String(text)) => write!(out, ",{text}")?,
                Some(value) => write!(out, ",{}", value.text().unwrap_or_default())?,
            }
        }
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
