//! Benchmarks of Floe against the raw limits of the machine that it runs on.
//!
//! Every figure is a ratio within one run: the contenders take turns, so that a machine whose
//! speed drifts slows them all. See `docs/benchmarks.md`.

mod bare;
mod ingest;
mod load;

use clap::{Parser, Subcommand};

/// Benchmarks of Floe.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ingestion over HTTP, beside the same server without a committer, and a bare group commit.
    Ingest(ingest::Ingest),
    /// A server for the other commands: Floe's own, or one that parses and stores nothing.
    #[command(hide = true)]
    Serve(ingest::Serve),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Ingest(ingest) => ingest.run(),
        Command::Serve(serve) => serve.run(),
    }
}
