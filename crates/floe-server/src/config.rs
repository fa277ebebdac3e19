//! Settings of `floe serve`: a flag over the environment over a file over the default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use floe_core::limits::ROOT_TOKEN_CHARS_MIN;
use serde::Deserialize;

/// The settings, as they stand in a file. Unknown keys are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Where the API is served.
    pub listen: Option<SocketAddr>,
    /// Where metrics are served without a token.
    pub metrics_listen: Option<SocketAddr>,
    /// The root token, in place of the one that the data folder keeps.
    pub root_token: Option<String>,
    /// `text` or `json`.
    pub log_format: Option<LogFormat>,
    /// A `tracing` filter, such as `info` or `floe_server=debug`.
    pub log: Option<String>,
    /// Mebibytes of events in memory at which further ones wait until some are sealed.
    pub tail_mebibytes_max: Option<usize>,
    /// As many events in memory are sealed, however few bytes they have.
    pub seal_events: Option<u64>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings that a server starts with.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where the API is served.
    pub listen: SocketAddr,
    /// Where metrics are served without a token.
    pub metrics_listen: Option<SocketAddr>,
    /// The root token, in place of the one that the data folder keeps.
    pub root_token: Option<String>,
    /// How logs are written.
    pub log_format: LogFormat,
    /// A `tracing` filter.
    pub log: String,
    /// Estimated bytes of events in memory at which further ones wait until some are sealed.
    pub tail_bytes_max: usize,
    /// As many events in memory are sealed, however few bytes they have.
    pub seal_events: u64,
    /// For benchmarks alone: ingestion answers once a request is parsed, and stores nothing. No
    /// flag, variable or file sets it.
    pub parse_only: bool,
}

impl std::fmt::Debug for Config {
    /// Without the root token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("data", &self.data)
            .field("listen", &self.listen)
            .field("metrics_listen", &self.metrics_listen)
            .field("log_format", &self.log_format)
            .field("log", &self.log)
            .field("tail_bytes_max", &self.tail_bytes_max)
            .field("seal_events", &self.seal_events)
            .finish_non_exhaustive()
    }
}

/// Why settings are unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that it should not.
    #[error("the configuration file {path} is wrong")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and why.
        source: Box<toml::de::Error>,
    },
    /// The root token is short.
    #[error("the root token must have at least {ROOT_TOKEN_CHARS_MIN} characters, got {0}")]
    ShortRootToken(usize),
    /// The root token cannot stand in a header.
    #[error("the root token must consist of visible ASCII characters")]
    UnusableRootToken,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or says something unknown.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), source: Box::new(error) })
    }

    /// These settings where they are set, others' where they are not.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            data: self.data.or(other.data),
            listen: self.listen.or(other.listen),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            root_token: self.root_token.or(other.root_token),
            log_format: self.log_format.or(other.log_format),
            log: self.log.or(other.log),
            tail_mebibytes_max: self.tail_mebibytes_max.or(other.tail_mebibytes_max),
            seal_events: self.seal_events.or(other.seal_events),
        }
    }

    /// The settings to start with: defaults where nothing is set. They are written down in
    /// `config.default.toml`.
    ///
    /// # Errors
    ///
    /// If the root token is unusable.
    pub fn into_config(self) -> Result<Config, ConfigError> {
        if let Some(token) = &self.root_token {
            let length = token.chars().count();
            if length < ROOT_TOKEN_CHARS_MIN {
                return Err(ConfigError::ShortRootToken(length));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ConfigError::UnusableRootToken);
            }
        }
        Ok(Config {
            data: self.data.unwrap_or_else(|| "./floe-data".into()),
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7070))),
            metrics_listen: self.metrics_listen,
            root_token: self.root_token,
            log_format: self.log_format.unwrap_or_default(),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            tail_bytes_max: self.tail_mebibytes_max.unwrap_or(128).saturating_mul(1 << 20),
            seal_events: self.seal_events.unwrap_or(1_000_000),
            parse_only: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = include_str!("../config.default.toml");

    /// The default file with the settings that have no default, and so are commented out.
    fn complete() -> String {
        let is_setting = |line: &str| {
            line.split_once(" = ").is_some_and(|(key, _)| {
                key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            })
        };
        let lines = DEFAULT.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) => rest,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_default_file_says_the_defaults() {
        let file: ConfigFile = toml::from_str(DEFAULT).unwrap();
        assert_eq!(file.into_config().unwrap(), ConfigFile::default().into_config().unwrap());
    }

    #[test]
    fn the_default_file_names_every_setting() {
        let file: ConfigFile = toml::from_str(&complete()).unwrap();
        // A new setting breaks this line: name it in the file, too.
        let ConfigFile {
            data,
            listen,
            metrics_listen,
            root_token,
            log_format,
            log,
            tail_mebibytes_max,
            seal_events,
        } = &file;
        let named = [
            data.is_some(),
            listen.is_some(),
            metrics_listen.is_some(),
            root_token.is_some(),
            log_format.is_some(),
            log.is_some(),
            tail_mebibytes_max.is_some(),
            seal_events.is_some(),
        ];
        assert_eq!(named, [true; 8]);
        assert!(file.into_config().is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = toml::from_str::<ConfigFile>("lisen = \"127.0.0.1:1\"").unwrap_err();
        assert!(error.message().starts_with("unknown field `lisen`, expected one of `data`"));
    }

    #[test]
    fn what_is_set_first_holds() {
        let log = |log: &str| ConfigFile { log: Some(log.to_owned()), ..ConfigFile::default() };
        assert_eq!(log("a").or(log("b")).or(log("c")).log.as_deref(), Some("a"));
        assert_eq!(ConfigFile::default().or(log("b")).or(log("c")).log.as_deref(), Some("b"));
    }

    #[test]
    fn a_root_token_is_checked() {
        let check = |token: &str, expected: &str| {
            let file = ConfigFile { root_token: Some(token.into()), ..ConfigFile::default() };
            assert_eq!(file.into_config().unwrap_err().to_string(), expected);
        };
        check("fifteen-letters", "the root token must have at least 16 characters, got 15");
        check("sixteen letters ", "the root token must consist of visible ASCII characters");
    }

    #[test]
    fn a_limit_beyond_all_memory_is_none() {
        let file = ConfigFile { tail_mebibytes_max: Some(usize::MAX), ..ConfigFile::default() };
        assert_eq!(file.into_config().unwrap().tail_bytes_max, usize::MAX);
    }
}
