//! Medians, Markdown tables, and bars that are met or not.

/// The middle one; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Three digits that matter.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// Mebibytes.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Prints a row of a Markdown table.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Prints the head of a Markdown table.
pub(crate) fn head(title: &str, cells: &[&str]) {
    println!("\n### {title}\n");
    row(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    println!("|{}", "---|".repeat(cells.len()));
}

/// What is to be reached, and what was seen.
#[derive(Debug)]
pub(crate) struct Bar {
    what: String,
    bar: String,
    seen: f64,
    is_met: bool,
}

impl Bar {
    /// A figure that must not be greater.
    pub(crate) fn at_most(what: impl Into<String>, limit: f64, seen: f64) -> Self {
        let bar = format!("at most {}", figure(limit));
        Self { what: what.into(), bar, seen, is_met: seen <= limit }
    }

    /// A figure that must not be less.
    pub(crate) fn at_least(what: impl Into<String>, limit: f64, seen: f64) -> Self {
        let bar = format!("at least {}", figure(limit));
        Self { what: what.into(), bar, seen, is_met: seen >= limit }
    }

    /// The same, met also for another reason.
    pub(crate) fn or(mut self, other: &str, is_met: bool) -> Self {
        self.bar = format!("{} or {other}", self.bar);
        self.is_met |= is_met;
        self
    }
}

/// Prints bars as a table.
pub(crate) fn print_bars(bars: &[Bar]) {
    head("Bars", &["what", "bar", "seen", ""]);
    for Bar { what, bar, seen, is_met } in bars {
        let verdict = if *is_met { "met" } else { "**missed**" };
        row(&[what.clone(), bar.clone(), figure(*seen), verdict.to_owned()]);
    }
}
