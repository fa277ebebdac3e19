//! `floe quickstart`: each step is a command that is shown and run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use floe_client::Uuid;
use floe_server::{Config, ConfigFile, Server};
use jiff::{Timestamp, ToSpan as _};

use crate::output::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Quickstart {
    /// Where the sample and the server's data go; made if need be
    #[arg(long, value_name = "DIR", default_value = "floe-quickstart")]
    folder: PathBuf,
    /// Where to serve the API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Stop at the end; without this the server runs on until Ctrl-C
    #[arg(long)]
    exit: bool,
}

const METER: &str = "Tokens";

impl Quickstart {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let root_token = format!("floe_root_{}", Uuid::new_v4().simple());
        let config = self.config(&root_token)?;
        floe_server::init_logs(config.log_format, &config.log)
            .map_err(|error| anyhow::anyhow!("cannot set up logs: {error}"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let server = runtime.block_on(Server::start(&config)).context(
            "cannot start a server; --folder and --listen choose another folder and address",
        )?;
        let address = server.address().context("the listener has no address")?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = runtime.spawn(server.run(async {
            let _ = stopped.await;
        }));
        let url = format!("http://{address}");
        let shown = self.show(&url, &root_token);
        if shown.is_ok() && !self.exit {
            print("\nThe server runs on until you press Ctrl-C.")?;
            runtime.block_on(tokio::signal::ctrl_c()).context("cannot listen for Ctrl-C")?;
        }
        // Gone only if the server has stopped already.
        let _ = stop.send(());
        runtime.block_on(serving).context("the server failed")?;
        shown
    }

    fn config(&self, root_token: &str) -> anyhow::Result<Config> {
        let config = ConfigFile {
            data: Some(self.folder.join("data")),
            listen: Some(self.listen),
            root_token: Some(root_token.to_owned()),
            // What the server has to say would stand between the steps.
            log: Some("warn".to_owned()),
            ..ConfigFile::default()
        };
        Ok(config.into_config()?)
    }

    /// The steps, each shown and done.
    fn show(&self, url: &str, root_token: &str) -> anyhow::Result<()> {
        let data = self.folder.join("data");
        print(&format!(
            "1. A server. This program is one; it keeps everything in {}.\n",
            data.display()
        ))?;
        print(&format!("   $ floe serve --data {}", data.display()))?;
        print(&format!("   serving at {url}; every route is described at {url}/docs\n"))?;

        print("2. A token, for the organization that the first start made.\n")?;
        let create = ["tokens", "create", "--organization", "default", "--comment", "quickstart"];
        let token = Floe { url, token: root_token }.output(&create)?;
        let token = token.trim();
        print("   $ floe tokens create --organization default --comment quickstart")?;
        print(&format!("   {token}\n"))?;
        let floe = Floe { url, token };

        let sample = self.folder.join("usage.csv");
        print(&format!(
            "3. Events. {} has a month of made-up usage; yours may have other columns.\n",
            sample.display()
        ))?;
        let rows = sample_rows(Timestamp::now())?;
        write_whole(&sample, &rows)?;
        for line in rows.lines().take(3) {
            print(&format!("   {line}"))?;
        }
        print("   …\n")?;
        let sample = sample.to_str().context("the folder's name is not Unicode")?;
        floe.show(&[
            "import",
            sample,
            "--event-name",
            "chat",
            "--timestamp",
            "time",
            "--customer",
            "customer",
            "--external-id",
            "request",
        ])?;

        print("4. A meter: which events count, and how they add up.\n")?;
        if floe.output(&["meters", "get", METER]).is_ok() {
            print(&format!("   The meter `{METER}` is there from an earlier run.\n"))?;
        } else {
            floe.show(&[
                "meters",
                "create",
                METER,
                "--where",
                "name = \"chat\"",
                "--sum",
                "tokens",
            ])?;
        }

        print("5. Quantities: per day, of one customer per week, and of each customer.\n")?;
        floe.show(&["meters", "quantities", METER])?;
        floe.show(&["meters", "quantities", METER, "--customer", "ada", "--interval", "week"])?;
        floe.show(&["meters", "customers", METER])?;

        print(&format!(
            "That is all there is to it. To go on, in another terminal:\n\n\
             export FLOE_URL={url} FLOE_TOKEN={token}\n\
             floe events tail                    # then send some\n\
             floe events ingest --name chat --customer ada --metadata tokens=42\n\
             floe meters quantities {METER} --interval hour\n\
             floe import --help                  # your own CSV, NDJSON or Parquet file"
        ))
    }
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let unfinished = path.with_extension("csv.part");
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// This program as a newcomer calls it.
struct Floe<'a> {
    url: &'a str,
    token: &'a str,
}

impl Floe<'_> {
    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.env("FLOE_URL", self.url).env("FLOE_TOKEN", self.token);
        Ok(command)
    }

    /// Shows a command, and runs it with its output shown.
    fn show(&self, arguments: &[&str]) -> anyhow::Result<()> {
        print(&format!("   $ floe {}\n", shell_words(arguments)))?;
        let status = self.command(arguments)?.status().context("cannot run this program")?;
        if !status.success() {
            bail!("`floe {}` failed", shell_words(arguments));
        }
        print("")
    }

    /// What a command prints.
    fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(arguments)?.output().context("cannot run this program")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("`floe {}` failed: {why}", shell_words(arguments));
        }
        String::from_utf8(output.stdout).context("it printed something odd")
    }
}

/// Arguments as a shell takes them.
fn shell_words(arguments: &[&str]) -> String {
    let word = |word: &&str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=".contains(&b);
        if !word.is_empty() && word.bytes().all(is_plain) {
            (*word).to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A month of three customers' usage up to now, as CSV. A row's external id and values follow from
/// its hour, so that a later run adds the hours since, and nothing twice.
fn sample_rows(now: Timestamp) -> anyhow::Result<String> {
    let mut rows = String::from("time,customer,request,model,tokens\n");
    let hours_since_epoch = now.as_second() / 3600;
    let first = now.checked_sub((24 * 29).hours())?.as_second() / 3600;
    for hour in first..hours_since_epoch {
        let weekday = (hour / 24 + 3) % 7;
        let is_busy = weekday < 5 && (8..19).contains(&(hour % 24));
        let customers = [("ada", "large", 5), ("grace", "small", 3), ("linus", "small", 2)];
        for (index, (customer, model, share)) in (0..).zip(customers) {
            // A spread that looks like usage; nothing depends on it.
            let spread = (hour * 7919 + index * 104_729) % 97;
            if !is_busy && spread > 20 {
                continue;
            }
            let time = Timestamp::from_second(hour * 3600 + spread * 37)?;
            let tokens = share * (40 + spread * 3);
            writeln!(rows, "{time},{customer},{customer}-{hour},{model},{tokens}")?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_shells_need_it() {
        assert_eq!(shell_words(&["a", "b c", "d'e", ""]), r"a 'b c' 'd'\''e' ''");
    }

    #[test]
    fn a_later_sample_has_all_rows_of_the_time_that_both_are_about() {
        let rows = |now: &str| sample_rows(now.parse().unwrap()).unwrap();
        let (first, second) = (rows("2026-03-01T10:20:30Z"), rows("2026-03-01T15:00:00Z"));
        let of = |rows: &str, day: &str| {
            let on_day = |row: &&str| row.starts_with(day);
            rows.lines().filter(on_day).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(!of(&first, "2026-02-17").is_empty());
        assert_eq!(of(&first, "2026-02-17"), of(&second, "2026-02-17"));
        assert!(second.lines().skip(1).all(|row| row < "2026-03-01T15:00:00Z"));
    }
}
