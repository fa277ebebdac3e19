//! What commands print: tables for people, JSON for programs.

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Prints lines to standard output. Who stops reading early, as `head` does, has read enough.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Prints rows below their heads, in columns.
pub(crate) fn print_table<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    print(&table(heads, rows))
}

fn table<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| visible(&cell))));
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |cells: &[String; N]| {
        let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Bytes as people read them, in units of 1000.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    // In tenths of the unit.
    let (mut value, mut unit) = (u128::from(bytes) * 10, "B");
    for larger in units {
        if value < 10_000 {
            break;
        }
        (value, unit) = (value / 1000, larger);
    }
    if unit == "B" {
        return format!("{bytes} B");
    }
    format!("{}.{} {unit}", value / 10, value % 10)
}

/// Text without what would move the cursor, colour the terminal or reorder the line: names and
/// comments are whatever somebody sent.
pub(crate) fn visible(text: &str) -> String {
    let is_unsafe = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().fold(String::new(), |mut out, c| {
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["é".to_owned(), "b".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["A", "B"], rows), "A     B\né     b\nlong");
    }

    #[test]
    fn bytes_are_told_in_their_unit() {
        let texts = [0, 999, 1000, 1_234_567, 999_999_999, 5_000_000_000_000_000].map(bytes_text);
        assert_eq!(texts, ["0 B", "999 B", "1.0 kB", "1.2 MB", "999.9 MB", "5000.0 TB"]);
    }

    #[test]
    fn a_cell_cannot_take_the_terminal_over() {
        let rows = [["\u{1b}[2Jx\n\u{202e}y".to_owned()]];
        assert_eq!(table(["A"], rows), "A\n\\u{1b}[2Jx\\u{a}\\u{202e}y");
    }
}
