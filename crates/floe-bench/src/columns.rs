//! The columns of a segment's Parquet file, as queries of other engines name them. If
//! `docs/format.md` says otherwise, this is the place to change.

use std::collections::HashSet;

/// The columns of text that every segment has; before them come `sequence`, `timestamp` and
/// `ingested_at`. `metadata` is JSON of what has no column of its own.
pub(crate) const TEXTS: [&str; 8] = [
    "name",
    "source",
    "customer_id",
    "external_customer_id",
    "external_id",
    "parent_id",
    "external_member_id",
    "metadata",
];

/// What a column of metadata holds; those that the data sets have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Integers of 64 bits.
    Int,
    /// Other numbers, as f64.
    Float,
    /// Text.
    String,
    /// Booleans.
    Bool,
}

/// The name of the column of a path and kind: `metadata.model:string`.
pub(crate) fn name(path: &[String], kind: Kind) -> String {
    let mut name = String::from("metadata");
    for key in path {
        name.push('.');
        for character in key.chars() {
            if matches!(character, '.' | ':' | '\\') {
                name.push('\\');
            }
            name.push(character);
        }
    }
    name.push_str(match kind {
        Kind::Int => ":int",
        Kind::Float => ":float",
        Kind::String => ":string",
        Kind::Bool => ":bool",
    });
    name
}

/// A name as SQL has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Which columns a file, or a folder of files, has.
#[derive(Debug)]
pub(crate) struct Columns(HashSet<String>);

impl Columns {
    /// These.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The column of a path and kind, for SQL, if there is one.
    pub(crate) fn of(&self, path: &[String], kind: Kind) -> Option<String> {
        let name = name(path, kind);
        self.0.contains(&name).then(|| quoted(&name))
    }
}
