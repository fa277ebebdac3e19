//! Benchmarks of Floe against the raw limits of the machine that it runs on, and against other
//! engines on the same events.
//!
//! Every figure that counts is a ratio within one run: the contenders take turns, so that a
//! machine whose speed drifts slows them all. See `docs/benchmarks.md`.

mod all;
mod bare;
mod client;
mod columns;
mod crosscheck;
mod data;
mod fill;
mod first_query;
mod folder;
mod generate;
mod http;
mod import;
mod ingest;
mod load;
mod mixed;
mod peers;
mod process;
mod queries;
mod questions;
mod random;
mod report;
mod scale;
mod server;
mod sql;
mod start;
mod variants;

use clap::{Parser, Subcommand};

/// Benchmarks of Floe. Tables are Markdown, on standard output.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All of the following, one after the other, and a table of bars
    All(all::All),
    Generate(generate::Generate),
    Load(fill::Load),
    Queries(queries::Queries),
    FirstQuery(first_query::FirstQuery),
    Scale(scale::Scale),
    Crosscheck(crosscheck::Crosscheck),
    Ingest(ingest::Ingest),
    Import(import::Import),
    Mixed(mixed::Mixed),
    Start(start::Start),
    Variants(variants::Variants),
    Client(client::ClientCalls),
    #[command(hide = true)]
    Serve(server::Serve),
}

fn main() -> anyhow::Result<()> {
    let bars = match Arguments::parse().command {
        Command::All(all) => all.run()?,
        Command::Generate(generate) => {
            generate.run()?;
            Vec::new()
        }
        Command::Load(load) => load.run()?,
        Command::Queries(queries) => queries.run()?,
        Command::FirstQuery(first) => first.run()?,
        Command::Scale(scale) => scale.run()?,
        Command::Crosscheck(crosscheck) => {
            crosscheck.run()?;
            Vec::new()
        }
        Command::Ingest(ingest) => ingest.run()?,
        Command::Import(import) => import.run()?,
        Command::Mixed(mixed) => mixed.run()?,
        Command::Start(start) => start.run()?,
        Command::Client(client) => client.run()?,
        Command::Variants(variants) => {
            variants.run()?;
            Vec::new()
        }
        Command::Serve(serve) => {
            serve.run()?;
            Vec::new()
        }
    };
    if !bars.is_empty() {
        report::print_bars(&bars);
    }
    Ok(())
}
