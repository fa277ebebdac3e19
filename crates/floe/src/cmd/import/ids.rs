//! External ids of rows that have none: the same ones at each import of the same file, so that
//! each row counts once.

use std::io::Write as _;

use super::source::Input;
use crate::exit::Usage;

/// Makes external ids `import:<batch>:<row>`.
#[derive(Debug)]
pub(super) struct Ids {
    input: Input,
    /// The batch that was given.
    given: Option<String>,
    /// What all ids begin with, as JSON text behind its quotation mark.
    prefix: Option<String>,
}

impl Ids {
    pub(super) fn new(input: Input, given: Option<String>) -> Self {
        Self { input, given, prefix: None }
    }

    /// Writes the member `"external_id":"…"` for a row.
    ///
    /// # Errors
    ///
    /// There is no batch, and the input cannot be read twice to make one.
    pub(super) fn write(&mut self, row: u64, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let prefix = match &self.prefix {
            Some(prefix) => prefix,
            None => {
                let made = self.prefix(row)?;
                self.prefix.insert(made)
            }
        };
        out.extend_from_slice(b"\"external_id\":\"import:");
        out.extend_from_slice(prefix.as_bytes());
        // A vector takes what is written.
        let _ = write!(out, ":{row}\"");
        Ok(())
    }

    /// Reads the whole file, at the first row that needs it.
    fn prefix(&self, row: u64) -> anyhow::Result<String> {
        let batch = match &self.given {
            Some(batch) => batch.clone(),
            None => self.input.sha256()?.ok_or_else(|| {
                Usage(format!(
                    "row {row} of {} has no external id: name the import with --batch ID, the \
                     same each time that you send the same rows, so that each counts once (or \
                     give every row an external id)",
                    self.input.name()
                ))
            })?,
        };
        let quoted = serde_json::to_string(&batch)?;
        // Without the quotation marks around it.
        Ok(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned())
    }
}
