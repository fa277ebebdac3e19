//! `floe completions` and `floe man`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap_complete::Shell;

/// Print a script that completes commands in a shell.
///
/// For bash: floe completions bash > /etc/bash_completion.d/floe
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut command: clap::Command) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "floe", &mut script);
        crate::output::print(String::from_utf8(script)?.trim_end())
    }
}

/// Write a man page for each command into a folder.
///
/// For all users: floe man /usr/local/share/man/man1
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The folder; made if need be
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self, command: clap::Command) -> anyhow::Result<()> {
        let write = || {
            std::fs::create_dir_all(&self.folder)?;
            clap_mangen::generate_to(command, &self.folder)
        };
        write().with_context(|| format!("cannot write man pages to {}", self.folder.display()))
    }
}
