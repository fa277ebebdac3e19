//! How commands end.

use std::fmt;
use std::process::ExitCode;

/// What the codes mean, for help texts.
pub(crate) const CODES: &str = "Exit codes:
  0  done
  1  refused or failed; the message says why
  2  the command line is wrong (`floe verify`: it could not verify)
  3  done, but some rows were refused (`floe import`)
  4  there is no such thing
  5  the server does not answer, or cannot do it now: trying again may help
  130  stopped by Ctrl-C (`floe import`, `floe export`)";

/// Why a command ends with another code than 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NotThere = 4,
    Unreachable = 5,
    Stopped = 130,
}

/// An error that ends the process with a code of its own.
#[derive(Debug)]
struct Ending {
    reason: Reason,
    message: String,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Ending {}

/// A command line that cannot be carried out as it was given.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error with a reason that decides the exit code.
pub(crate) fn error(reason: Reason, message: impl Into<String>) -> anyhow::Error {
    Ending { reason, message: message.into() }.into()
}

/// An error of the command line, beyond what its parser sees.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// The code of a command that came to its end, some rows refused.
pub(crate) const SOME_REFUSED: u8 = 3;

/// The code for an error.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        if let Some(ending) = cause.downcast_ref::<Ending>() {
            return ExitCode::from(ending.reason as u8);
        }
        if cause.is::<Usage>() {
            return ExitCode::from(2);
        }
    }
    ExitCode::FAILURE
}
