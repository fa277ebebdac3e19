//! Times as files spell them, written as the wire wants them: with an offset.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

use super::mapping::{shown, write_json_text};
use crate::exit::Usage;

/// Unix numbers beyond this are neither seconds nor milliseconds of a year that has four digits.
const UNIX_MILLISECONDS_MAX: f64 = 253_402_300_800_000.0;
/// Unix numbers closer to zero than this, which is in March 1973, are not of the time of events:
/// they are dates written without dashes, years, or days as spreadsheets count them.
const UNIX_SECONDS_MIN: f64 = 100_000_000.0;
/// Characters of a date.
const DATE_CHARS: usize = 10;

/// The time zone of times without an offset.
#[derive(Debug, Clone)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// A zone by its name, such as `Europe/Berlin`.
    ///
    /// # Errors
    ///
    /// [`Usage`]: there is none of that name.
    pub(super) fn new(name: &str) -> anyhow::Result<Self> {
        let zone = TimeZone::get(name)
            .map_err(|_| Usage(format!("there is no time zone `{name}`; one is Europe/Berlin")))?;
        Ok(Self(zone))
    }

    /// Writes a time of the calendar. One that a change of clocks skips is taken with the offset
    /// before it, and of one that there is twice the later is taken, as everywhere (semantics
    /// section 4).
    pub(super) fn write(&self, time: DateTime, out: &mut Vec<u8>) -> Result<(), String> {
        let instant =
            self.0.to_ambiguous_timestamp(time).later().map_err(|error| error.to_string())?;
        write_instant(instant, out);
        Ok(())
    }
}

/// Writes an instant, to the microsecond.
pub(super) fn write_instant(instant: Timestamp, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // A vector takes what is written.
    let _ = write!(out, "\"{instant:.6}\"");
}

/// Writes a time that is given as text.
pub(super) fn write_text(text: &str, zone: &Zone, out: &mut Vec<u8>) -> Result<(), String> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if !is_date(bytes) {
        return write_number(text, out);
    }
    if text.ends_with(']') {
        return zoned(text, out);
    }
    let (date, rest) = text.split_at(DATE_CHARS);
    if rest.is_empty() {
        return civil(text, date, "T00:00:00", zone, out);
    }
    let time = rest.strip_prefix(['T', 't', ' ', '_']).ok_or_else(|| no_instant(text))?;
    let (clock, offset) = split_offset(time);
    let offset = match offset {
        None => return civil(text, date, &format!("T{clock}"), zone, out),
        Some("Z" | "z" | "UTC" | "utc") => "Z",
        Some(offset) => offset,
    };
    let end = if is_hours(offset) { ":00" } else { "" };
    // Whether all that is right, the server says.
    write_json_text(&format!("{date}T{clock}{offset}{end}"), out);
    Ok(())
}

/// Whether text starts with `YYYY-MM-DD`.
fn is_date(bytes: &[u8]) -> bool {
    let Some(date) = bytes.get(..DATE_CHARS) else { return false };
    date.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

/// A time of day and its offset, if it has one. A space may stand in between.
fn split_offset(time: &str) -> (&str, Option<&str>) {
    let at = time.find(['Z', 'z', '+', '-', 'U', 'u']);
    match at.and_then(|at| time.split_at_checked(at)) {
        Some((clock, offset)) => (clock.trim_end(), Some(offset)),
        None => (time, None),
    }
}

/// Whether an offset is of hours alone, as PostgreSQL writes it.
fn is_hours(offset: &str) -> bool {
    matches!(offset.as_bytes(), [b'+' | b'-', hours @ ..]
        if hours.len() == 2 && hours.iter().all(u8::is_ascii_digit))
}

fn civil(text: &str, date: &str, time: &str, zone: &Zone, out: &mut Vec<u8>) -> Result<(), String> {
    let time: DateTime = format!("{date}{time}").parse().map_err(|_| no_instant(text))?;
    zone.write(time, out)
}

/// A time with its zone in brackets, as RFC 9557 has it.
fn zoned(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    const PARSER: DateTimeParser =
        DateTimeParser::new().disambiguation(jiff::tz::Disambiguation::Later);
    let time = PARSER.parse_zoned(text).map_err(|error| format!("{}: {error}", shown(text)))?;
    write_instant(time.timestamp(), out);
    Ok(())
}

fn write_number(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let is_number =
        text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value: f64 = text.parse().ok().filter(|_| is_number).ok_or_else(|| no_instant(text))?;
    if value.abs() < UNIX_SECONDS_MIN {
        return Err(format!(
            "{} would be Unix seconds of about 1970: write a date as 2026-01-31",
            shown(text)
        ));
    }
    if value.abs() > UNIX_MILLISECONDS_MAX {
        return Err(format!("{} is neither Unix seconds nor milliseconds", shown(text)));
    }
    write_json_text(text, out);
    Ok(())
}

fn no_instant(text: &str) -> String {
    format!(
        "{} is no time: times are RFC 3339 (2026-01-31T12:00:00Z), 2026-01-31, \
         2026-01-31 12:00:00, or Unix seconds or milliseconds",
        shown(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, zone: &str) -> Result<String, String> {
        let mut out = Vec::new();
        write_text(text, &Zone::new(zone).unwrap(), &mut out)?;
        Ok(String::from_utf8(out).unwrap().trim_matches('"').to_owned())
    }

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31t12:00:00.123456+02:00", "2026-01-31T12:00:00.123456+02:00"),
            ("2026-01-31 12:00:00+0130", "2026-01-31T12:00:00+0130"),
            ("2026-01-31 12:00:00.5+00", "2026-01-31T12:00:00.5+00:00"),
            ("2026-01-31 12:00:00 UTC", "2026-01-31T12:00:00Z"),
            ("2026-01-31 12:00:00 -0800", "2026-01-31T12:00:00-0800"),
            ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
            ("2026-01-31 12:00", "2026-01-31T12:00:00.000000Z"),
            (" 2026-01-31T12:00:00 ", "2026-01-31T12:00:00.000000Z"),
            ("2026-07-01T12:00:00[America/New_York]", "2026-07-01T16:00:00.000000Z"),
            ("2026-07-01 12:00:00-04:00[America/New_York]", "2026-07-01T16:00:00.000000Z"),
            ("2026-11-01T01:30[America/New_York]", "2026-11-01T06:30:00.000000Z"),
            ("1769860800", "1769860800"),
            ("1769860800.25", "1769860800.25"),
            ("1769860800000", "1769860800000"),
        ] {
            assert_eq!(read(text, "UTC").unwrap(), expected, "{text}");
        }
        for text in ["", "now", "31.01.2026", "01/31/2026", "2026-1-3", "2026-01-31x", "1e9", "-"] {
            assert!(read(text, "UTC").unwrap_err().contains("is no time"), "{text}");
        }
        for text in ["20260301", "2026", "46000.5", "-1"] {
            assert!(read(text, "UTC").unwrap_err().contains("of about 1970"), "{text}");
        }
        for text in ["2026-07-01T12:00:00[Mars/Olympus]", "2026-07-01T12:00+09:00[Europe/Paris]"] {
            assert!(read(text, "UTC").is_err(), "{text}");
        }
        let error = read("1769860800000000", "UTC").unwrap_err();
        assert!(error.contains("neither Unix seconds nor milliseconds"), "{error}");
    }

    #[test]
    fn times_without_an_offset_are_of_the_zone() {
        for (text, expected) in [
            // Winter, summer, and both sides of the changes in Berlin.
            ("2026-01-31", "2026-01-30T23:00:00.000000Z"),
            ("2026-07-01 12:00:00.25", "2026-07-01T10:00:00.250000Z"),
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00.000000Z"),
            ("2026-10-25 02:30:00", "2026-10-25T01:30:00.000000Z"),
            // With an offset it needs no zone.
            ("2026-07-01 12:00:00+00", "2026-07-01T12:00:00+00:00"),
        ] {
            assert_eq!(read(text, "Europe/Berlin").unwrap(), expected, "{text}");
        }
        assert!(read("2026-02-30 12:00", "Europe/Berlin").is_err());
        assert!(Zone::new("Mars/Olympus").is_err());
    }
}
