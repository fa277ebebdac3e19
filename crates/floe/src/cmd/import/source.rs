//! Where rows come from: a file or standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use zstd::stream::raw::DParameter;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Logarithm of the largest window of a zstd frame: 64 MiB. What was compressed with a larger one
/// would take more memory than an import may.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;
/// Bytes that tell a kind of file.
const MAGIC_BYTES: usize = 4;

/// A file to import, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Standard,
    File(PathBuf),
}

impl Input {
    /// As it stands on a command line.
    pub(super) fn new(text: &Path) -> Self {
        if text == Path::new("-") { Self::Standard } else { Self::File(text.to_owned()) }
    }

    /// Checks that it can be opened.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let metadata = path.metadata().with_context(|| format!("cannot open {}", self.name()))?;
        if metadata.is_dir() {
            bail!("{} is a folder", self.name());
        }
        // What is no file is opened once: a pipe ends for who writes when it is closed.
        if metadata.is_file() {
            File::open(path).with_context(|| format!("cannot open {}", self.name()))?;
        }
        Ok(())
    }

    /// Whether it is the same file, whatever it is called.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let (Self::File(one), Self::File(other)) = (self, other) else { return false };
        match (one.canonicalize(), other.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            // What is not there is the same as nothing.
            _ => false,
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Standard => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Where refused rows go, unless told otherwise.
    pub(super) fn refused_path(&self) -> PathBuf {
        match self {
            Self::Standard => PathBuf::from("stdin.refused.ndjson"),
            Self::File(path) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(".refused.ndjson");
                path.with_file_name(name)
            }
        }
    }

    /// Bytes of the file; `None` if there is no telling, as for a pipe.
    pub(super) fn byte_len(&self) -> Option<u64> {
        let Self::File(path) = self else { return None };
        let metadata = path.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// SHA-256 of the file's bytes, in hexadecimal; `None` for what can be read only once.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn sha256(&self) -> anyhow::Result<Option<String>> {
        let Self::File(path) = self else { return Ok(None) };
        if self.byte_len().is_none() {
            return Ok(None);
        }
        let cannot = || format!("cannot read {}", self.name());
        let mut file = File::open(path).with_context(cannot)?;
        let mut hash = Sha256::new();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let count = file.read(&mut bytes).with_context(cannot)?;
            if count == 0 {
                break;
            }
            hash.update(bytes.get(..count).unwrap_or_default());
        }
        Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Opens it, and decompresses what is gzip or zstd by its first bytes. Bytes that are read,
    /// compressed ones, are added to `progress`.
    ///
    /// # Errors
    ///
    /// It cannot be opened or read.
    pub(super) fn open(&self, progress: &Arc<AtomicU64>) -> anyhow::Result<Opened> {
        let inner: Box<dyn Read + Send> = match self {
            Self::Standard => Box::new(io::stdin()),
            Self::File(path) => {
                Box::new(File::open(path).with_context(|| format!("cannot open {}", self.name()))?)
            }
        };
        let mut counted = Counted { inner, progress: Arc::clone(progress) };
        let mut magic = Vec::new();
        (&mut counted)
            .take(MAGIC_BYTES as u64)
            .read_to_end(&mut magic)
            .with_context(|| format!("cannot read {}", self.name()))?;
        let kind = Magic::of(&magic);
        let whole = BufReader::with_capacity(READ_BYTES, Cursor::new(magic).chain(counted));
        let reader: Box<dyn Read + Send> = match kind {
            Magic::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
            Magic::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Box::new(decoder)
            }
            Magic::Parquet | Magic::Other => Box::new(whole),
        };
        Ok(Opened { reader, is_parquet: kind == Magic::Parquet })
    }
}

/// An input whose bytes can be read.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Read + Send>,
    /// Whether it begins as a Parquet file does.
    pub(super) is_parquet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magic {
    Gzip,
    Zstd,
    Parquet,
    Other,
}

impl Magic {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one that is skipped and may come first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            b"PAR1" => Self::Parquet,
            _ => Self::Other,
        }
    }
}

/// A reader that tells how much was read.
struct Counted {
    inner: Box<dyn Read + Send>,
    progress: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What the rows of an input are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line
    #[value(alias = "jsonl")]
    Ndjson,
    /// Comma-separated values below a line of column names
    Csv,
    /// Tab-separated values, likewise
    Tsv,
    /// Apache Parquet
    Parquet,
}

impl Format {
    /// The format of an input by the end of its name, without that of its compression.
    pub(super) fn of(input: &Input) -> Option<Self> {
        let Input::File(path) = input else { return Some(Self::Ndjson) };
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let name = [".gz", ".gzip", ".zst", ".zstd"]
            .into_iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }
}
