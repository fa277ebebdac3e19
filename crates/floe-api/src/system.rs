//! The server itself: backups.

use std::path::PathBuf;

use crate::errors::{self, Errors, Loc, Violation};
use crate::fields::Fields;
use crate::json::Json;
use crate::scalar;

/// The longest path, in characters: what Linux takes.
const PATH_CHARS_MAX: usize = 4096;

/// A backup to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupCreate {
    /// The folder to write, on the server's machine: an absolute path, new or empty, in a folder
    /// that is there.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 4096))]
    pub path: PathBuf,
}

impl BackupCreate {
    /// Reads the body.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let path = fields.required("path", errors, |json, loc, errors| {
            let path =
                scalar::sized_string(json, loc, errors, 1, PATH_CHARS_MAX).map(PathBuf::from)?;
            if path.is_absolute() {
                return Some(path);
            }
            errors.push(loc, errors::value_error("The path must be absolute"), json);
            None
        });
        Some(Self { path: path? })
    }
}

/// Adds the error that no backup can be written there.
pub fn backup_failed(path: &str, why: &str, errors: &mut Errors) {
    let violation = Violation::plain("value_error", why.to_owned());
    errors.push_text(&Loc::BODY.key("path"), violation, path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::check_errors;
    use crate::json::parse;

    #[test]
    fn a_path_is_absolute() {
        let body = parse(br#"{"path":"/backup/one"}"#).unwrap();
        let read = BackupCreate::parse(&body, &mut Errors::new()).unwrap();
        assert_eq!(read.path, PathBuf::from("/backup/one"));
        for (body, expected) in [
            ("{}", r#"missing ["body","path"]"#),
            (r#"{"path":"one"}"#, r#"value_error ["body","path"]"#),
            (r#"{"path":""}"#, r#"string_too_short ["body","path"]"#),
            (r#"{"path":"/a\u0000"}"#, r#"value_error ["body","path"]"#),
            (r#"{"path":1}"#, r#"string_type ["body","path"]"#),
        ] {
            check_errors(body, BackupCreate::parse, expected);
        }
    }
}
