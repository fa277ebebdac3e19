//! `floe`: the server and its command line.

mod arguments;
mod cmd;
mod connection;
mod exit;
mod filter_text;
mod instant;
mod output;
mod signals;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Floe, the usage meter: send it events, define meters, ask for quantities.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = exit::CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// From nothing to a first quantity, on sample data.
    ///
    /// Starts a server on a folder of its own, imports a month of made-up usage, makes a meter and
    /// asks for its quantities, each with the command that does it. Run again, it counts nothing
    /// twice.
    Quickstart(cmd::quickstart::Quickstart),
    /// Serve the HTTP API from a data folder.
    Serve(cmd::serve::Serve),
    /// Make meters, and ask how much they counted.
    #[command(subcommand)]
    Meters(cmd::meters::Meters),
    /// Send events, and look at those that were sent.
    #[command(subcommand)]
    Events(cmd::events::Events),
    /// Make, show and change customers.
    #[command(subcommand)]
    Customers(cmd::customers::Customers),
    /// Show what customers consumed and were credited on meters, credit them, begin anew.
    #[command(subcommand)]
    CustomerMeters(cmd::customer_meters::CustomerMeters),
    /// Make and list the organizations of a running server.
    #[command(subcommand)]
    Organizations(cmd::organizations::Organizations),
    /// Make, list and revoke organizations' access tokens on a running server.
    #[command(subcommand)]
    Tokens(cmd::tokens::Tokens),
    // What it says of itself, how it ends included.
    Import(cmd::import::Import),
    /// Write events, or the quantities of a meter, to a file.
    #[command(subcommand)]
    Export(cmd::export::Export),
    /// Manage the root token of a data folder.
    #[command(subcommand)]
    RootToken(cmd::root_token::RootToken),
    /// Write a backup, while the server runs.
    Backup(cmd::backup::Backup),
    /// Make a data folder from a backup.
    Restore(cmd::restore::Restore),
    /// Check everything in a data folder that no server has open.
    Verify(cmd::verify::Verify),
    /// Show what a data folder holds and takes on disk.
    Stats(cmd::stats::Stats),
    /// Print a script that completes commands in a shell.
    Completions(cmd::shell::Completions),
    /// Write a man page for each command into a folder.
    Man(cmd::shell::Man),
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Quickstart(command) => command.run(),
        Command::Serve(serve) => serve.run(),
        Command::Meters(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Customers(command) => command.run(),
        Command::CustomerMeters(command) => command.run(),
        Command::Organizations(command) => command.run(),
        Command::Tokens(command) => command.run(),
        Command::RootToken(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Export(command) => command.run(),
        // It tells by how it ends whether rows were refused.
        Command::Import(command) => match command.run() {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        // It tells by how it ends what it found.
        Command::Verify(command) => return command.run(),
        Command::Stats(command) => command.run(),
        Command::Completions(command) => command.run(Arguments::command()),
        Command::Man(command) => command.run(Arguments::command()),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes, on one line. Names and answers are not to steer the terminal.
            let message = format!("error: {error:#}");
            for line in message.lines() {
                eprintln!("{}", output::visible(line));
            }
            exit::code(&error)
        }
    }
}
