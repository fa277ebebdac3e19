//! Fills a data folder through the store's own door.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use floe_core::{NewEvent, OrganizationId};
use floe_store::embedded::EmbeddedStore;
use floe_store::port::{EventStore as _, StoreError};

use crate::data::{DataSet, Variant};
use crate::folder::{self, Sizes};
use crate::process::anonymous_bytes;
use crate::report::{Bar, figure, head, mebibytes, row};

/// Fills a new data folder with events, through the store.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Load {
    /// The data folder to make
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// How many events
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) events: u64,
    /// What the random numbers come from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which kind of data
    #[arg(long, value_enum, default_value = "usual")]
    pub(crate) variant: Variant,
    /// Events of a batch
    #[arg(long, default_value_t = 1000)]
    pub(crate) batch: u64,
    /// Batches that are under way at the same time, and may share a commit
    #[arg(long, default_value_t = 16)]
    pub(crate) tasks: u64,
    /// Print no bars
    #[arg(long, hide = true)]
    no_bars: bool,
}

/// What filling a folder came to.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// The greatest that was seen.
    pub(crate) anonymous_bytes: u64,
    /// When all was sealed and merged.
    pub(crate) anonymous_bytes_after: u64,
    pub(crate) sizes: Sizes,
}

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is told how far we are.
const TELL_EVERY: Duration = Duration::from_secs(5);

impl Load {
    /// Fills a folder with the default batches.
    pub(crate) fn new(data: &Path, events: u64, variant: Variant) -> Self {
        Self {
            data: data.to_owned(),
            events,
            seed: 1,
            variant,
            batch: 1000,
            tasks: 16,
            no_bars: false,
        }
    }

    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let filled = self.fill()?;
        filled.print();
        Ok(if self.no_bars { Vec::new() } else { disk_bars(self.events, filled.sizes) })
    }

    /// The same in a process of its own, whose memory is this folder's alone; without the bars.
    pub(crate) fn run_apart(data: &Path, events: u64) -> anyhow::Result<()> {
        let status = Command::new(std::env::current_exe()?)
            .args(["load", "--no-bars", "--events", &events.to_string(), "--data"])
            .arg(data)
            .status()?;
        anyhow::ensure!(status.success(), "loading ended with {status}");
        Ok(())
    }

    /// Fills the folder.
    pub(crate) fn fill(&self) -> anyhow::Result<Filled> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.fill_in())
    }

    async fn fill_in(&self) -> anyhow::Result<Filled> {
        let store = folder::create(&self.data).await?;
        let organization = folder::organization(&store)?;
        let data = Arc::new(DataSet::new(self.events, self.seed, self.variant));
        let next = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let tasks: Vec<_> = (0..self.tasks)
            .map(|_| {
                let (store, data, next) = (store.clone(), Arc::clone(&data), Arc::clone(&next));
                let batch = self.batch;
                tokio::spawn(async move { ingest(&store, organization, &data, &next, batch).await })
            })
            .collect();
        let me = std::process::id();
        let (mut most, mut told) = (0, Instant::now());
        while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            tokio::time::sleep(LOOK_EVERY).await;
            let bytes = anonymous_bytes(me)?;
            most = most.max(bytes);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let events = next.load(Ordering::Relaxed).min(self.events);
                eprintln!("{events} events, RssAnon {:.0} MiB", mebibytes(bytes));
            }
        }
        for task in tasks {
            task.await??;
        }
        let seconds = began.elapsed().as_secs_f64();
        // So that other engines can read all of it.
        store.seal().await?;
        let anonymous_bytes_after = anonymous_bytes(me)?;
        tokio::task::spawn_blocking(move || store.close()).await?;
        Ok(Filled {
            events: self.events,
            seconds,
            anonymous_bytes: most,
            anonymous_bytes_after,
            sizes: folder::sizes(&self.data)?,
        })
    }
}

/// Ingests batches until none is left.
async fn ingest(
    store: &EmbeddedStore,
    organization: OrganizationId,
    data: &DataSet,
    next: &AtomicU64,
    batch: u64,
) -> anyhow::Result<()> {
    loop {
        let start = next.fetch_add(batch, Ordering::Relaxed);
        let end = (start + batch).min(data.events());
        if start >= end {
            return Ok(());
        }
        let events: Vec<NewEvent<'_>> = (start..end).map(|index| data.event(index)).collect();
        loop {
            match store.ingest(organization, &events).await {
                Ok(report) if report.inserted == end - start => break,
                Ok(report) => anyhow::bail!("not all events were new: {report:?}"),
                Err(StoreError::Busy) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Filled {
    /// Prints it as a table.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn print(&self) {
        let per_event = |bytes: u64| figure(bytes as f64 / self.events as f64);
        head("Filled through the store", &["", ""]);
        let line = |what: &str, value: String| row(&[what.to_owned(), value]);
        line("events", self.events.to_string());
        line("events/s", figure(self.events as f64 / self.seconds));
        line("RssAnon at most, MiB", figure(mebibytes(self.anonymous_bytes)));
        line("RssAnon after, MiB", figure(mebibytes(self.anonymous_bytes_after)));
        line("segments, bytes/event", per_event(self.sizes.segments));
        line("cache/dedup, bytes/event", per_event(self.sizes.dedup));
        line("the rest of cache, bytes/event", per_event(self.sizes.cache));
        line("journal as allocated, MiB", figure(mebibytes(self.sizes.journal)));
    }
}

/// The bars of disk space, of a folder with segments.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn disk_bars(events: u64, sizes: Sizes) -> Vec<Bar> {
    let Sizes { segments, dedup, .. } = sizes;
    if segments == 0 {
        return Vec::new();
    }
    let per_event = |bytes: u64| bytes as f64 / events as f64;
    let of = |what| format!("{what}, bytes/event of {events} events");
    vec![
        Bar::at_most(of("segments"), 30.0, per_event(segments)),
        Bar::at_most(of("segments and deduplication"), 46.0, per_event(segments + dedup)),
    ]
}
