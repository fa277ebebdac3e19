//! Instants as people write them on the command line, and the range that a question is about.

use anyhow::Context as _;
use floe_client::{Interval, Timestamp};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _, Unit, Zoned, ZonedRound};

use crate::exit;

/// How times are written on the command line.
const FORMS: &str = "Write a date (2026-01-31), a date and time (2026-01-31T12:00), an instant \
     (2026-01-31T12:00:00Z), `now`, `today`, `yesterday`, or a time ago (12h, 7d, 3w)";

/// When the range of a question begins and ends, and the zone that its dates are of.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Range {
    /// When it begins: a date, an instant, `today`, or a time ago such as 7d
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// When it ends: a date, which counts whole, an instant, `now`, or a time ago
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// The time zone of days and other intervals, and of times without an offset
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) timezone: String,
}

impl Range {
    /// The bounds, as far as they are given.
    pub(crate) fn bounds(&self) -> anyhow::Result<(Option<Timestamp>, Option<Timestamp>)> {
        let now = self.now()?;
        let read = |text: &Option<String>, flag, edge| match text {
            Some(text) => instant(text, edge, &now).with_context(|| flag).map(Some),
            None => Ok(None),
        };
        let start = read(&self.start, "--start", Edge::Start)?;
        let end = read(&self.end, "--end", Edge::End)?;
        if let (Some(start), Some(end)) = (start, end) {
            in_order(start, end)?;
        }
        Ok((start, end))
    }

    /// The bounds: without a start, the last days (or hours, …) that make a table of readable
    /// length, beginning with a whole one; without an end, now.
    pub(crate) fn bounds_by(&self, interval: Interval) -> anyhow::Result<(Timestamp, Timestamp)> {
        let now = self.now()?;
        let (start, end) = self.bounds()?;
        let end = end.map_or_else(|| timestamp(&now), Ok)?;
        let start = match start {
            Some(start) => start,
            None => timestamp(&first_interval(end, interval, now.time_zone())?)?,
        };
        in_order(start, end)?;
        Ok((start, end))
    }

    /// The bounds of quantities: those of [`bounds_by`](Self::bounds_by), but from the begin of the
    /// interval that the start falls in. Its events before the start count anyway, and a series
    /// that begins within an interval leaves the last one out if the end comes earlier in it
    /// (semantics section 5).
    pub(crate) fn whole_by(&self, interval: Interval) -> anyhow::Result<(Timestamp, Timestamp)> {
        let (start, end) = self.bounds_by(interval)?;
        let zone = self.now()?.time_zone().clone();
        Ok((timestamp(&interval_of(start, interval, &zone)?)?, end))
    }

    /// When an interval begins, as a table shows it: in the zone, and no finer than needed.
    pub(crate) fn local(&self, at: Timestamp, interval: Interval) -> String {
        let zoned = jiff::Timestamp::from_microsecond(at.unix_micros())
            .ok()
            .zip(TimeZone::get(&self.timezone).ok())
            .map(|(at, zone)| at.to_zoned(zone));
        let Some(zoned) = zoned else { return at.to_string() };
        if zoned.time() == jiff::civil::Time::midnight() && interval != Interval::Hour {
            zoned.strftime("%a %F").to_string()
        } else {
            zoned.strftime("%a %F %H:%M").to_string()
        }
    }

    fn now(&self) -> anyhow::Result<Zoned> {
        let zone = TimeZone::get(&self.timezone).map_err(|_| {
            exit::usage(format!(
                "--timezone: `{}` is no time zone, such as Europe/Paris",
                self.timezone
            ))
        })?;
        Ok(Zoned::now().with_time_zone(zone))
    }
}

fn in_order(start: Timestamp, end: Timestamp) -> anyhow::Result<()> {
    if end < start {
        return Err(exit::usage(format!("--end ({end}) is before --start ({start})")));
    }
    Ok(())
}

/// An instant on its own; times without an offset are of UTC.
pub(crate) fn at(text: &str) -> anyhow::Result<Timestamp> {
    instant(text, Edge::Start, &Zoned::now().with_time_zone(TimeZone::UTC))
}

/// The begin of the interval that an instant falls in.
fn interval_of(at: Timestamp, interval: Interval, zone: &TimeZone) -> anyhow::Result<Zoned> {
    let at = jiff::Timestamp::from_microsecond(at.unix_micros())?.to_zoned(zone.clone());
    let whole = |unit| at.round(ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc));
    let day = || whole(Unit::Day);
    Ok(match interval {
        Interval::Hour => whole(Unit::Hour),
        Interval::Day => day(),
        Interval::Week => {
            day()?.checked_sub(i64::from(at.weekday().to_monday_zero_offset()).days())
        }
        Interval::Month => day()?.first_of_month()?.start_of_day(),
        _ => day()?.first_of_year()?.start_of_day(),
    }?)
}

/// The begin of the earliest interval of a table that ends at `end`.
fn first_interval(end: Timestamp, interval: Interval, zone: &TimeZone) -> anyhow::Result<Zoned> {
    let before = match interval {
        Interval::Hour => 23.hours(),
        Interval::Day => 29.days(),
        Interval::Week => 11.weeks(),
        Interval::Month => 11.months(),
        _ => 2.years(),
    };
    let first = interval_of(end, interval, zone)?.checked_sub(before)?;
    // Servers take no question about earlier times (semantics section 8).
    let earliest = Date::constant(2023, 1, 1).to_zoned(TimeZone::UTC)?;
    Ok(first.max(earliest.with_time_zone(zone.clone())))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    /// A date stands for its last microsecond.
    End,
}

fn timestamp(zoned: &Zoned) -> anyhow::Result<Timestamp> {
    Timestamp::from_unix_micros(zoned.timestamp().as_microsecond())
        .context("this time is too far away")
}

fn instant(text: &str, edge: Edge, now: &Zoned) -> anyhow::Result<Timestamp> {
    let wrong = || exit::usage(format!("`{text}` is no time. {FORMS}"));
    let zone = now.time_zone();
    let date = |date: Date| {
        let start = date.to_zoned(zone.clone())?;
        timestamp(&match edge {
            Edge::Start => start,
            Edge::End => start.checked_add(1.day())?.checked_sub(1.microsecond())?,
        })
    };
    match text {
        "now" => return timestamp(now),
        "today" => return date(now.date()),
        "yesterday" => return date(now.date().yesterday()?),
        _ => {}
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((at, unit)) = text.char_indices().next_back()
        && let Some(number) = text.get(..at).filter(|number| is_number(number))
    {
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let ago = match unit {
            'm' => Span::new().try_minutes(number),
            'h' => Span::new().try_hours(number),
            'd' => Span::new().try_days(number),
            'w' => Span::new().try_weeks(number),
            _ => return Err(wrong()),
        };
        return timestamp(&now.checked_sub(ago?)?);
    }
    // A date first: it would be read as its midnight too.
    if text.len() <= "2026-01-31".len() {
        return date(text.parse().map_err(|_| wrong())?);
    }
    let civil: DateTime = text.parse().map_err(|_| wrong())?;
    // As the server reads local times (semantics section 4).
    timestamp(&zone.to_ambiguous_zoned(civil).later()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-03-18T10:20:30+01:00[Europe/Paris]".parse().unwrap()
    }

    #[track_caller]
    fn check(text: &str, start: &str, end: &str) {
        for (edge, expected) in [(Edge::Start, start), (Edge::End, end)] {
            let read = instant(text, edge, &now()).map(|instant| instant.to_string());
            assert_eq!(read.map_err(|error| error.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn times_are_read_in_the_zone() {
        let both = |text, expected| check(text, expected, expected);
        check("2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59.999999Z");
        check("today", "2026-03-17T23:00:00Z", "2026-03-18T22:59:59.999999Z");
        check("yesterday", "2026-03-16T23:00:00Z", "2026-03-17T22:59:59.999999Z");
        both("2026-07-01T12:00", "2026-07-01T10:00:00Z");
        both("2026-07-01 12:00:01.5", "2026-07-01T10:00:01.500000Z");
        both("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z");
        both("2026-07-01T12:00:00+05:30", "2026-07-01T06:30:00Z");
        // In a gap, and twice.
        both("2026-03-29T02:30", "2026-03-29T01:30:00Z");
        both("2026-10-25T02:30", "2026-10-25T01:30:00Z");
        both("now", "2026-03-18T09:20:30Z");
        both("90m", "2026-03-18T07:50:30Z");
        both("7d", "2026-03-11T09:20:30Z");
        both("1w", "2026-03-11T09:20:30Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "d",
            "5",
            "5x",
            "tomorrow",
            "2026-02-30",
            "2026-1-1",
            "12:00",
            "99999999999999999999d",
            "9999999d",
        ] {
            assert!(instant(text, Edge::Start, &now()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_begins_with_a_whole_interval() {
        let end = timestamp(&now()).unwrap();
        let check = |interval, whole: &str, first: &str| {
            let zone = now().time_zone().clone();
            let text = |zoned: Zoned| zoned.datetime().to_string() + &zoned.offset().to_string();
            assert_eq!(text(interval_of(end, interval, &zone).unwrap()), whole, "{interval}");
            assert_eq!(text(first_interval(end, interval, &zone).unwrap()), first, "{interval}");
        };
        check(Interval::Hour, "2026-03-18T10:00:00+01", "2026-03-17T11:00:00+01");
        check(Interval::Day, "2026-03-18T00:00:00+01", "2026-02-17T00:00:00+01");
        check(Interval::Week, "2026-03-16T00:00:00+01", "2025-12-29T00:00:00+01");
        check(Interval::Month, "2026-03-01T00:00:00+01", "2025-04-01T00:00:00+02");
        check(Interval::Year, "2026-01-01T00:00:00+01", "2024-01-01T00:00:00+01");
    }

    #[test]
    fn a_start_within_an_interval_is_moved_to_its_begin() {
        let range = Range {
            start: Some("2026-03-05T15:00".to_owned()),
            end: Some("2026-04-02T10:00".to_owned()),
            timezone: "Europe/Paris".to_owned(),
        };
        let bounds = |(start, end): (Timestamp, Timestamp)| (start.to_string(), end.to_string());
        let expected = |start: &str| (start.to_owned(), "2026-04-02T08:00:00Z".to_owned());
        let (asked, month) = ("2026-03-05T14:00:00Z", "2026-02-28T23:00:00Z");
        assert_eq!(bounds(range.bounds_by(Interval::Month).unwrap()), expected(asked));
        assert_eq!(bounds(range.whole_by(Interval::Month).unwrap()), expected(month));
    }
}
