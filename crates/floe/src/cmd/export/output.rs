//! Where an export is written: a file that appears once it is whole, or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use flate2::write::GzEncoder;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use crate::exit::{self, Reason};
use crate::output::bytes_text;
use crate::signals;

const BUFFER_BYTES: usize = 256 * 1024;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// An output under way. If it is dropped before [`finish`](Self::finish), no file is left behind.
pub(super) struct Output {
    encoder: Encoder,
    to: Target,
}

enum Encoder {
    Plain(BufWriter<Counted>),
    Gzip(GzEncoder<BufWriter<Counted>>),
    Zstd(zstd::Encoder<'static, BufWriter<Counted>>),
}

enum Target {
    Stdout,
    /// What is no file.
    Other,
    File {
        temporary: NamedTempFile,
        path: PathBuf,
        force: bool,
    },
}

/// A writer that counts.
pub(super) struct Counted {
    inner: Inner,
    bytes: u64,
}

enum Inner {
    Stdout(io::Stdout),
    File(File),
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.inner {
            Inner::Stdout(out) => out.write(bytes),
            Inner::File(file) => file.write(bytes),
        }?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Stdout(out) => out.flush(),
            Inner::File(file) => file.flush(),
        }
    }
}

impl Output {
    /// Begins to write. A file that is there is refused at once, not after hours.
    pub(super) fn create(
        path: Option<&Path>,
        force: bool,
        compression: Compression,
    ) -> anyhow::Result<Self> {
        let (inner, to) = match path {
            None => (Inner::Stdout(io::stdout()), Target::Stdout),
            Some(path) => {
                let cannot = || format!("cannot write {}", path.display());
                match path.metadata() {
                    Ok(there) if there.is_dir() => bail!("{} is a folder", path.display()),
                    // A device or a pipe is written into, and stays what it is.
                    Ok(there) if !there.is_file() => {
                        let file = File::options().write(true).open(path).with_context(cannot)?;
                        (Inner::File(file), Target::Other)
                    }
                    found => {
                        if !force && path.symlink_metadata().is_ok() {
                            bail!("{} is there already; --force replaces it", path.display());
                        }
                        // Of a link, what it leads to is replaced.
                        let path = match found {
                            Ok(_) => path.canonicalize().with_context(cannot)?,
                            Err(_) => path.to_owned(),
                        };
                        let temporary = temporary_beside(&path).with_context(cannot)?;
                        let file = temporary.reopen()?;
                        (Inner::File(file), Target::File { temporary, path, force })
                    }
                }
            }
        };
        let writer = BufWriter::with_capacity(BUFFER_BYTES, Counted { inner, bytes: 0 });
        let encoder = match compression {
            Compression::None => Encoder::Plain(writer),
            Compression::Gzip => {
                Encoder::Gzip(GzEncoder::new(writer, flate2::Compression::default()))
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(writer, 0)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        };
        Ok(Self { encoder, to })
    }

    /// Writes what is left, durably, and lets the file appear. Returns the bytes that were written.
    pub(super) fn finish(self) -> anyhow::Result<u64> {
        let Self { encoder, to } = self;
        let mut writer = match encoder {
            Encoder::Plain(writer) => writer,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        writer.flush()?;
        let bytes = writer.get_ref().bytes;
        drop(writer);
        if let Target::File { temporary, path, force } = to {
            temporary.as_file().sync_all()?;
            let shown = path.display();
            // Somebody may have made the file meanwhile.
            let persisted =
                if force { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
            persisted
                .map_err(|error| error.error)
                .with_context(|| format!("cannot write {shown}"))?;
        }
        Ok(bytes)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.encoder {
            Encoder::Plain(writer) => writer.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Plain(writer) => writer.flush(),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// A temporary file in the folder of another: renaming it there is one step.
fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".floe-export-").suffix(".part");
    // As any new file: the user's mask decides who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// What has been done so far, on a terminal; and whether it shall be stopped. A process that is
/// simply ended would leave a temporary file behind.
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    is_stopped: Arc<AtomicBool>,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        // Hidden where standard error is no terminal.
        let bar = ProgressBar::new_spinner();
        let template = format!("{{spinner}} {{human_pos}} {what} ({{per_sec}}) {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        // A thread of its own, since tables are written without a pause.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let stopped = runtime.and_then(|runtime| {
                runtime.block_on(async {
                    signals::stop()?.await;
                    Ok(())
                })
            });
            if stopped.is_ok() {
                stop.store(true, Ordering::Relaxed);
            }
        });
        Self { bar, what, is_stopped }
    }

    /// Fails if it shall be stopped.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(exit::error(Reason::Stopped, "stopped: no file was written"));
        }
        Ok(())
    }

    /// Ends once it shall be stopped, with what to say.
    pub(super) async fn stopped(&self) -> anyhow::Error {
        loop {
            match self.check() {
                Ok(()) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(stopped) => return stopped,
            }
        }
    }

    pub(super) fn add(&self, count: u64) {
        self.bar.inc(count);
    }

    pub(super) fn say(&self, text: &'static str) {
        self.bar.set_message(text);
    }

    /// Says on standard error how much was written.
    pub(super) fn finish(self, count: u64, bytes: u64, path: Option<&Path>) {
        self.bar.finish_and_clear();
        let to =
            path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        eprintln!("Wrote {count} {} to {to}, {}.", self.what, bytes_text(bytes));
    }
}

/// Whether an error says that nobody reads standard output any longer.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
