//! What commands print: tables for people, JSON and CSV for programs.

use std::io::{ErrorKind, Write as _};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

/// Cells that the widest bar of a table takes.
const BAR_CELLS: usize = 24;
const HEAD: Style = Style::new().bold();
const BAR: Style = AnsiColor::Cyan.on_default();

/// In which form a command prints what it found.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Output {
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

impl Output {
    /// Prints items: `all` as JSON, or their columns.
    pub(crate) fn print<T>(
        self,
        all: &impl Serialize,
        items: &[T],
        columns: &[Column<'_, T>],
    ) -> anyhow::Result<()> {
        if self.json {
            return print_json(all);
        }
        let rows = items.iter().map(|item| columns.iter().map(|c| (c.cell)(item)).collect());
        if self.csv {
            return print_csv(columns, rows);
        }
        let heads = columns.iter().map(|column| column.head.to_owned());
        print(&table(heads.collect(), rows))
    }

    /// Whether words for people may stand around what is printed.
    pub(crate) fn is_for_people(self) -> bool {
        !self.json && !self.csv
    }
}

/// A column of a list: its head, in capitals, and what an item shows there.
pub(crate) struct Column<'a, T> {
    head: &'static str,
    cell: Box<dyn Fn(&T) -> Cell + 'a>,
}

impl<'a, T> Column<'a, T> {
    pub(crate) fn new<C: Into<Cell>>(head: &'static str, cell: impl Fn(&T) -> C + 'a) -> Self {
        Self { head, cell: Box::new(move |item| cell(item).into()) }
    }

    /// A bar of a length between 0 and 1; in tables alone.
    pub(crate) fn bar(part: impl Fn(&T) -> f64 + 'a) -> Self {
        Self { head: "", cell: Box::new(move |item| Cell::Bar(part(item))) }
    }
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    /// As it stands in CSV too; to the right in tables.
    Number(String),
    /// Part of the longest bar.
    Bar(f64),
    /// `-` in tables, nothing in CSV.
    Absent,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number.to_string())
    }
}

impl<C: Into<Cell>> From<Option<C>> for Cell {
    fn from(value: Option<C>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl Cell {
    /// What a terminal may show, without what would move its cursor.
    fn shown(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(visible(&text)),
            Self::Absent => Self::Text("-".to_owned()),
            cell => cell,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Bar(part) => bar(*part),
            Self::Absent => String::new(),
        }
    }
}

/// A bar for a part of the longest one, true to an eighth of a cell. What is not nothing shows.
fn bar(part: f64) -> String {
    // At most some hundreds, and a part that is no number is none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 192"
    )]
    let eighths = (part.clamp(0.0, 1.0) * (BAR_CELLS * 8) as f64).ceil() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(
        [None, Some('▏'), Some('▎'), Some('▍'), Some('▌'), Some('▋'), Some('▊'), Some('▉')]
            [eighths % 8],
    );
    bar
}

/// Prints lines to standard output, coloured only on a terminal. Who stops reading early, as
/// `head` does, has read enough.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    written(writeln!(out, "{text}").and_then(|()| out.flush()))
}

fn written(result: std::io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    // As it is: whatever looks like a colour is a value's.
    let mut out = std::io::stdout().lock();
    written(writeln!(out, "{text}").and_then(|()| out.flush()))
}

fn print_csv<T>(
    columns: &[Column<'_, T>],
    rows: impl Iterator<Item = Vec<Cell>>,
) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let is_shown = |column: &&Column<'_, T>| !column.head.is_empty();
    let heads = columns.iter().filter(is_shown);
    csv.write_record(heads.map(|column| column.head.to_lowercase().replace(' ', "_")))?;
    for row in rows {
        csv.write_record(row.iter().filter(|cell| !matches!(cell, Cell::Bar(_))).map(Cell::text))?;
    }
    let mut out = std::io::stdout().lock();
    let bytes = csv.into_inner().context("cannot write CSV")?;
    written(out.write_all(&bytes).and_then(|()| out.flush()))
}

/// Prints rows below their heads, in columns.
pub(crate) fn print_table<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    let rows = rows.into_iter().map(|row| row.map(Cell::Text).into());
    print(&table(heads.map(str::to_owned).into(), rows))
}

fn table(heads: Vec<String>, rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let rows: Vec<Vec<Cell>> = rows.map(|row| row.into_iter().map(Cell::shown).collect()).collect();
    // Cells of a terminal: of some letters and of most emoji two, of accents none.
    let cells_of = |text: &str| text.width();
    let is_number =
        |column: usize| rows.iter().any(|row| matches!(row.get(column), Some(Cell::Number(_))));
    let columns: Vec<(usize, bool)> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cells_of(&cell.text())).max().unwrap_or(0);
            (widest.max(cells_of(head)), is_number(column))
        })
        .collect();
    let line = |cells: Vec<(String, Style)>| {
        let last = cells.iter().rposition(|(text, _)| !text.is_empty()).map_or(0, |last| last + 1);
        let mut line = String::new();
        for (index, ((text, style), &(width, is_number))) in
            cells.iter().zip(&columns).take(last).enumerate()
        {
            let room = " ".repeat(width - cells_of(text));
            if index > 0 {
                line.push_str("  ");
            }
            if is_number {
                line.push_str(&room);
            }
            line.push_str(&format!("{style}{text}{style:#}"));
            if !is_number && index + 1 < last {
                line.push_str(&room);
            }
        }
        line
    };
    let mut lines = vec![line(heads.into_iter().map(|head| (head, HEAD)).collect())];
    lines.extend(rows.iter().map(|row| {
        let style = |cell: &Cell| if matches!(cell, Cell::Bar(_)) { BAR } else { Style::new() };
        line(row.iter().map(|cell| (cell.text(), style(cell))).collect())
    }));
    lines.join("\n")
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

    #[track_caller]
    fn check(heads: &[&str], rows: &[&[Cell]], expected: &str) {
        let heads = heads.iter().map(|&head| head.to_owned()).collect();
        let table = table(heads, rows.iter().map(|row| row.to_vec()));
        assert_eq!(anstream::adapter::strip_str(&table).to_string(), expected);
    }

    #[test]
    fn wide_letters_stand_in_columns() {
        let rows: Vec<[Cell; 2]> = ["東京", "é", "e\u{301}", "😀", "abcde"]
            .map(|name| [Cell::Text(name.to_owned()), Cell::Number("1".to_owned())])
            .into();
        let rows: Vec<&[Cell]> = rows.iter().map(|row| &row[..]).collect();
        let expected = "NAME   N\n東京   1\né      1\ne\u{301}      1\n😀     1\nabcde  1";
        check(&["NAME", "N"], &rows, expected);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows: [&[Cell]; 2] = [&["é".into(), "b".into()], &["long".into(), "".into()]];
        check(&["A", "B"], &rows, "A     B\né     b\nlong");
    }

    #[test]
    fn numbers_stand_to_the_right_and_bars_beside_them() {
        let rows: [&[Cell]; 3] = [
            &[2.5.into(), Cell::Bar(1.0)],
            &[100.0.into(), Cell::Bar(0.0)],
            &[Cell::Absent, Cell::Bar(0.01)],
        ];
        check(&["N", ""], &rows, &format!("  N\n2.5  {}\n100\n  -  ▎", "█".repeat(BAR_CELLS)));
    }

    #[test]
    fn bytes_are_told_in_their_unit() {
        let texts = [0, 999, 1000, 1_234_567, 999_999_999, 5_000_000_000_000_000].map(bytes_text);
        assert_eq!(texts, ["0 B", "999 B", "1.0 kB", "1.2 MB", "999.9 MB", "5000.0 TB"]);
    }

    #[test]
    fn a_cell_cannot_take_the_terminal_over() {
        check(&["A"], &[&["\u{1b}[2Jx\n\u{202e}y".into()]], "A\n\\u{1b}[2Jx\\u{a}\\u{202e}y");
    }
}
