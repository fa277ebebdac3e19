//! Calendar intervals in a zone: the points of a quantities request and the buckets they show.
//!
//! Owns every civil question of Floe (semantics sections 4 and 5) and turns it into a sorted list
//! of boundary instants, so that engines count with a binary search and never see a zone. Zones
//! come from the database compiled into the program, never from the machine's. Span limits
//! (semantics section 8) are the caller's.

use std::sync::OnceLock;

use jiff::tz::TimeZoneDatabase;

use crate::Timestamp;

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// How far around a series the zone's offsets are looked up, in microseconds: the longest unit, a
/// leap year, and room for the change between any two offsets, which lie within 26 h of UTC.
const MARGIN_MICROS: i64 = (366 + 4) * DAY_MICROS;

/// The Gregorian calendar, its weeks and the zones' standing rules repeat after 400 years.
const CYCLE_DAYS: i64 = 146_097;
const CYCLE_MONTHS: i64 = 400 * 12;

/// The unit of a quantities request: a calendar year, month, ISO week, day or hour.
///
/// ```
/// use floe_core::Interval;
///
/// assert_eq!(Interval::from_name("month"), Some(Interval::Month));
/// assert_eq!(Interval::from_name("Month"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interval {
    /// From 1 January, 00:00 local time.
    Year,
    /// From the first of the month, 00:00 local time.
    Month,
    /// From Monday, 00:00 local time (ISO 8601).
    Week,
    /// From 00:00 local time; lasts 23 or 25 hours when clocks change.
    Day,
    /// From minute 0 of the local hour; a step of a series is 3600 seconds.
    Hour,
}

impl Interval {
    /// Every interval, in the order the wire's schema lists them.
    pub const ALL: [Self; 5] = [Self::Year, Self::Month, Self::Week, Self::Day, Self::Hour];

    /// The wire's name (contract section 3.5): `year`, `month`, `week`, `day` or `hour`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Week => "week",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// The interval of a wire name, in exact case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.as_str() == name)
    }
}

/// A zone of the IANA time zone database, as compiled into the program.
///
/// ```
/// use floe_core::TimeZone;
///
/// assert_eq!(TimeZone::named("US/Pacific").unwrap().name(), "US/Pacific");
/// assert_eq!(TimeZone::named("us/pacific"), None);
/// assert_eq!(TimeZone::named("+02:00"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(jiff::tz::TimeZone);

impl TimeZone {
    /// The zone with this IANA name in exact case, or `None`.
    ///
    /// Links such as `US/Pacific` are names and keep their spelling. Fixed offsets, POSIX rules
    /// and the database's placeholders `Factory` and `Etc/Unknown` are not.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
        let zone = BUNDLED.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
        // jiff looks names up without regard to case and answers with the database's spelling.
        let exact = zone.iana_name() == Some(name) && name != "Factory" && !zone.is_unknown();
        exact.then_some(Self(zone))
    }

    /// Coordinated Universal Time, the default of every request; its name is `UTC`.
    #[must_use]
    pub const fn utc() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }

    /// The IANA name this zone was asked for by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// The points of a quantities request and the calendar buckets whose quantities they show.
///
/// A point is aligned to the request's start, its bucket to the calendar: a day series from noon
/// has its points at noon and counts from midnight to midnight (semantics section 4, and S2 and S3
/// of section 13). All numbers are microseconds since the epoch, UTC. Where clocks go back shortly
/// after midnight the instants of a day are not contiguous, so a bucket may have several pieces.
///
/// ```
/// use floe_core::{Interval, Series, TimeZone, Timestamp};
///
/// let noon = |day: i64| Timestamp::from_micros((day * 24 + 12) * 3_600_000_000).unwrap();
/// let series = Series::new(Interval::Day, noon(0), noon(2), &TimeZone::utc());
/// assert_eq!(series.points(), [noon(0), noon(1), noon(2)]);
/// assert_eq!(series.bucket_of(Timestamp::from_micros(0).unwrap()), Some(0));
/// assert_eq!(series.bucket_of(Timestamp::from_micros(-1).unwrap()), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    points: Vec<Timestamp>,
    bucket_of_point: Vec<u32>,
    edges: Vec<i64>,
    slots: Vec<Option<u32>>,
}

impl Series {
    /// The series from `start` to `end`, both inclusive, with the wall clock of `zone`.
    ///
    /// An hour is 3600 seconds; a day or week is the same wall clock 1 or 7 days on; a month or
    /// year too, the day clamped to the month's length. Each step is taken from the point before,
    /// so a clamped day, or a wall clock moved by a gap, stays (semantics section 4). The caller
    /// checks that `end >= start` (otherwise `start` is the only point) and that the span is within
    /// the limits of semantics section 8: the cost grows with the number of points.
    #[must_use]
    pub fn new(interval: Interval, start: Timestamp, end: Timestamp, zone: &TimeZone) -> Self {
        let regimes = Regimes::around(start, end, zone);
        let mut points = vec![];
        let mut bucket_of_point = vec![];
        let mut pieces = vec![];
        let mut buckets = 0;
        let mut unit_before = None;
        let mut next = Some(start);
        while let Some(point) = next {
            let unit = Unit::of(interval, point.micros(), &regimes);
            if unit_before != Some(unit) {
                pieces.extend(unit.pieces(&regimes).map(|(from, to)| (from, to, buckets)));
                unit_before = Some(unit);
                buckets += 1;
            }
            points.push(point);
            bucket_of_point.push(buckets - 1);
            // Steps ascend strictly: see `Regimes::resolve`.
            let step = step(interval, point.micros(), &regimes);
            next = Timestamp::from_micros(step).filter(|next| *next <= end);
        }
        pieces.sort_unstable();
        let (edges, slots) = flatten(&pieces);
        Self { points, bucket_of_point, edges, slots }
    }

    /// One point at `start`, whose bucket is from there to just before `end`, whatever the calendar
    /// says. It is empty if `end` is not after `start`.
    #[must_use]
    pub fn between(start: Timestamp, end: Timestamp) -> Self {
        let (edges, slots) = if end > start {
            (vec![start.micros(), end.micros()], vec![Some(0), None])
        } else {
            (Vec::new(), Vec::new())
        };
        Self { points: vec![start], bucket_of_point: vec![0], edges, slots }
    }

    /// The instants the answer lists, strictly ascending from `start`; never empty.
    #[must_use]
    pub fn points(&self) -> &[Timestamp] {
        &self.points
    }

    /// The index, in `0..bucket_count()`, of the bucket that a point shows.
    ///
    /// # Panics
    ///
    /// If `point` is not an index into [`points`](Self::points).
    #[must_use]
    pub fn bucket_of_point(&self, point: usize) -> usize {
        self.bucket_of_point[point] as usize
    }

    /// How many distinct buckets the points show; at least 1, at most one a point.
    #[must_use]
    pub fn bucket_count(&self) -> usize {
        self.bucket_of_point.last().map_or(0, |last| *last as usize + 1)
    }

    /// The bucket that an event at `t` counts in, or `None` when no point shows it.
    #[must_use]
    pub fn bucket_of(&self, t: Timestamp) -> Option<usize> {
        let after = self.edges.partition_point(|edge| *edge <= t.micros());
        after.checked_sub(1).and_then(|piece| self.slots[piece]).map(|slot| slot as usize)
    }

    /// The instants at which the bucket changes, in microseconds UTC, strictly ascending.
    ///
    /// `edges()[i] <= t < edges()[i + 1]` falls in `slots()[i]`. Nothing is covered before the
    /// first edge nor from the last edge on.
    #[must_use]
    pub fn edges(&self) -> &[i64] {
        &self.edges
    }

    /// The bucket from each edge to the next, `None` where no point shows one; as long as
    /// [`edges`](Self::edges). Neighbours differ, and the last is `None`.
    #[must_use]
    pub fn slots(&self) -> &[Option<u32>] {
        &self.slots
    }
}

/// The start of the calendar bucket that holds `t`: its local time cut to the unit and read back.
///
/// A start that does not exist locally is read with the offset before the gap, an ambiguous one
/// with the offset after the change; an hour keeps the offset of `t` itself (semantics section 4).
/// So the start of a day may lie after some of its instants. Two instants share a bucket if and
/// only if their starts are equal. A start before [`Timestamp::MIN`] answers that.
///
/// This is the definition in jiff's terms; [`Series`] computes buckets another way and is tested
/// against it.
///
/// ```
/// use floe_core::{Interval, TimeZone, Timestamp, bucket_start};
///
/// let t = Timestamp::from_micros(1_704_668_400_000_000).unwrap(); // Sunday 2024-01-07T23:00Z
/// let week = bucket_start(Interval::Week, t, &TimeZone::utc());
/// assert_eq!(week.to_string(), "2024-01-01T00:00:00Z");
/// ```
#[must_use]
pub fn bucket_start(interval: Interval, t: Timestamp, zone: &TimeZone) -> Timestamp {
    // jiff's time ends a day before ours, so the last years are computed a calendar cycle earlier.
    const CYCLE_MICROS: i64 = CYCLE_DAYS * DAY_MICROS;
    let shift = if t.micros() > Timestamp::MAX.micros() - CYCLE_MICROS { CYCLE_MICROS } else { 0 };
    let start = cut(interval, t.micros() - shift, &zone.0).map(|start| start + shift);
    // What is left of jiff's range holds every start, so the error does not happen.
    start.map_or(t, |start| Timestamp::from_micros(start).unwrap_or(Timestamp::MIN))
}

fn cut(interval: Interval, micros: i64, zone: &jiff::tz::TimeZone) -> Result<i64, jiff::Error> {
    let instant = jiff::Timestamp::from_microsecond(micros)?;
    let offset = zone.to_offset(instant);
    let local = offset.to_datetime(instant);
    let date = match interval {
        Interval::Hour => {
            let hour = local.date().at(local.hour(), 0, 0, 0);
            return Ok(offset.to_timestamp(hour)?.as_microsecond());
        }
        Interval::Day => local.date(),
        Interval::Week => {
            let days = local.weekday().to_monday_zero_offset();
            local.date().checked_sub(jiff::Span::new().try_days(days)?)?
        }
        Interval::Month => local.date().first_of_month(),
        Interval::Year => local.date().first_of_year(),
    };
    let start = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).later()?;
    Ok(start.as_microsecond())
}

/// A stretch of constant offset, `[from, to)`; local time is the instant plus `offset`.
/// All in microseconds; the first stretch of a list begins, and the last ends, with all time.
#[derive(Debug, Clone, Copy)]
struct Regime {
    from: i64,
    to: i64,
    offset: i64,
}

/// The offsets of a zone around a series, in order of time; never empty.
#[derive(Debug)]
struct Regimes(Vec<Regime>);

impl Regimes {
    fn around(start: Timestamp, end: Timestamp, zone: &TimeZone) -> Self {
        let from = jiff_timestamp(start.micros() - MARGIN_MICROS);
        let to = end.micros().max(start.micros()) + MARGIN_MICROS;
        let offset = offset_micros(zone.0.to_offset(from));
        let mut last = Regime { from: i64::MIN, to: i64::MAX, offset };
        let mut regimes = vec![];
        for transition in zone.0.following(from) {
            let at = transition.timestamp().as_microsecond();
            if at > to {
                break;
            }
            // Some transitions change only the abbreviation.
            let offset = offset_micros(transition.offset());
            if offset != last.offset {
                regimes.push(Regime { to: at, ..last });
                last = Regime { from: at, to: i64::MAX, offset };
            }
        }
        regimes.push(last);
        Self(regimes)
    }

    /// The local time of an instant, on a clock that knows no offset.
    fn local(&self, instant: i64) -> i64 {
        // The first regime begins with all time, so the partition point is at least 1.
        let regime = self.0.partition_point(|regime| regime.from <= instant) - 1;
        instant + self.0[regime].offset
    }

    /// The instant of a local time: its offset is that of the last regime whose local start is
    /// not later.
    ///
    /// In a gap that is the offset before the change, since the next regime starts locally after
    /// the gap; of an ambiguous time it is the offset after the change. Moving an instant's local
    /// time forwards and resolving it gives a later instant: the regime is the same, or a later
    /// one, and then the result is not before its start.
    fn resolve(&self, local: i64) -> i64 {
        let starts_by = |regime: &&Regime| regime.from.saturating_add(regime.offset) <= local;
        local - self.0.iter().rfind(starts_by).map_or(0, |regime| regime.offset)
    }
}

/// A calendar unit in a zone; equal units are the same bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// The local times of `[first day, day after the last)`, in days since 1970-01-01.
    Days(i64, i64),
    /// The local hour that starts at an instant, at the offset that instant is written with.
    HourFrom(i64),
}

impl Unit {
    fn of(interval: Interval, instant: i64, regimes: &Regimes) -> Self {
        let local = regimes.local(instant);
        let day = local.div_euclid(DAY_MICROS);
        match interval {
            Interval::Hour => Self::HourFrom(instant - local.rem_euclid(HOUR_MICROS)),
            Interval::Day => Self::Days(day, day + 1),
            Interval::Week => {
                // 1970-01-01 was a Thursday.
                let monday = day - (day + 3).rem_euclid(7);
                Self::Days(monday, monday + 7)
            }
            Interval::Month => {
                let month = month_of_day(day);
                Self::Days(first_day_of_month(month), first_day_of_month(month + 1))
            }
            Interval::Year => {
                let month = month_of_day(day).div_euclid(12) * 12;
                Self::Days(first_day_of_month(month), first_day_of_month(month + 12))
            }
        }
    }

    /// The instants of this unit, as half-open ranges in order of time.
    fn pieces(self, regimes: &Regimes) -> impl Iterator<Item = (i64, i64)> {
        regimes.0.iter().filter_map(move |regime| {
            let (from, to) = match self {
                Self::Days(first, after) => {
                    (first * DAY_MICROS - regime.offset, after * DAY_MICROS - regime.offset)
                }
                // After a change by a fraction of an hour, local hours start at other instants.
                Self::HourFrom(start) if (start + regime.offset).rem_euclid(HOUR_MICROS) == 0 => {
                    (start, start + HOUR_MICROS)
                }
                Self::HourFrom(_) => return None,
            };
            let piece = (from.max(regime.from), to.min(regime.to));
            (piece.0 < piece.1).then_some(piece)
        })
    }
}

/// The instant one interval after `instant`, on the wall clock but for hours.
fn step(interval: Interval, instant: i64, regimes: &Regimes) -> i64 {
    let months = match interval {
        Interval::Hour => return instant + HOUR_MICROS,
        Interval::Day => return regimes.resolve(regimes.local(instant) + DAY_MICROS),
        Interval::Week => return regimes.resolve(regimes.local(instant) + 7 * DAY_MICROS),
        Interval::Month => 1,
        Interval::Year => 12,
    };
    let local = regimes.local(instant);
    let (day, of_day) = (local.div_euclid(DAY_MICROS), local.rem_euclid(DAY_MICROS));
    let month = month_of_day(day);
    let unclamped = first_day_of_month(month + months) + day - first_day_of_month(month);
    let last = first_day_of_month(month + months + 1) - 1;
    regimes.resolve(unclamped.min(last) * DAY_MICROS + of_day)
}

/// Edges and slots (see [`Series::edges`]) of disjoint pieces `(from, to, bucket)` in order.
fn flatten(pieces: &[(i64, i64, u32)]) -> (Vec<i64>, Vec<Option<u32>>) {
    let (mut edges, mut slots) = (vec![], vec![]);
    let mut covered_to = None;
    for &(from, to, bucket) in pieces {
        if let Some(hole) = covered_to.filter(|covered_to| *covered_to < from) {
            edges.push(hole);
            slots.push(None);
        }
        if slots.last() != Some(&Some(bucket)) {
            edges.push(from);
            slots.push(Some(bucket));
        }
        covered_to = Some(to);
    }
    edges.extend(covered_to);
    slots.extend(covered_to.map(|_| None));
    (edges, slots)
}

/// The month, counted from January 1970, that holds a day, counted from 1970-01-01.
fn month_of_day(day: i64) -> i64 {
    // The mean length of a month gives it, or a neighbour.
    let mut month = (day * CYCLE_MONTHS).div_euclid(CYCLE_DAYS);
    while first_day_of_month(month) > day {
        month -= 1;
    }
    while first_day_of_month(month + 1) <= day {
        month += 1;
    }
    month
}

/// The first day, counted from 1970-01-01, of a month, counted from January 1970.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`. Not jiff's,
/// because the end of the wire's last year is outside of jiff's.
fn first_day_of_month(month: i64) -> i64 {
    let from_march = 1970 * 12 + month - 2;
    let (year, month_from_march) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month_from_march + 2) / 5 - 719_468
}

fn offset_micros(offset: jiff::tz::Offset) -> i64 {
    i64::from(offset.seconds()) * 1_000_000
}

/// jiff reaches back before year 1 far enough, and ends a day before our last year does: no zone
/// changes its offset on that day.
fn jiff_timestamp(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::Interval::{Day, Hour, Month, Week, Year};
    use super::*;

    fn at(text: &str) -> Timestamp {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_micros(instant.as_microsecond()).unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::named(name).unwrap()
    }

    fn series(start: &str, end: &str, interval: Interval, zone_name: &str) -> Series {
        Series::new(interval, at(start), at(end), &zone(zone_name))
    }

    #[track_caller]
    fn check_points(start: &str, end: &str, interval: Interval, zone: &str, expected: &[&str]) {
        let series = series(start, end, interval, zone);
        let expected: Vec<_> = expected.iter().map(|point| at(point)).collect();
        assert_eq!(series.points(), expected);
        let buckets: Vec<_> = (0..expected.len()).map(|i| series.bucket_of_point(i)).collect();
        assert_eq!(buckets, (0..series.bucket_count()).collect::<Vec<_>>());
    }

    /// Pieces are `(from, slot)`, the last of them uncovered.
    #[track_caller]
    fn check_pieces(series: &Series, expected: &[(&str, Option<u32>)]) {
        let from = series.edges().iter().map(|edge| Timestamp::from_micros(*edge).unwrap());
        let pieces: Vec<_> = from.zip(series.slots().iter().copied()).collect();
        let expected: Vec<_> = expected.iter().map(|(from, slot)| (at(from), *slot)).collect();
        assert_eq!(pieces, expected);
        assert_eq!(series.edges().len(), series.slots().len());
    }

    #[track_caller]
    fn check_start(interval: Interval, t: &str, zone_name: &str, expected: &str) {
        assert_eq!(bucket_start(interval, at(t), &zone(zone_name)), at(expected));
    }

    #[test]
    fn the_points_of_semantics_14_2() {
        check_points(
            "2024-01-31T00:00Z",
            "2024-06-30T00:00Z",
            Month,
            "UTC",
            &[
                "2024-01-31T00Z",
                "2024-02-29T00Z",
                "2024-03-29T00Z",
                "2024-04-29T00Z",
                "2024-05-29T00Z",
                "2024-06-29T00Z",
            ],
        );
        check_points(
            "2024-01-31T00:00+01",
            "2024-06-30T00:00+02",
            Month,
            "Europe/Paris",
            &[
                "2024-01-30T23Z",
                "2024-02-28T23Z",
                "2024-03-28T23Z",
                "2024-04-28T22Z",
                "2024-05-28T22Z",
                "2024-06-28T22Z",
            ],
        );
        check_points(
            "2024-02-29T00Z",
            "2029-03-01T00Z",
            Year,
            "UTC",
            &[
                "2024-02-29T00Z",
                "2025-02-28T00Z",
                "2026-02-28T00Z",
                "2027-02-28T00Z",
                "2028-02-28T00Z",
                "2029-02-28T00Z",
            ],
        );
        check_points(
            "2024-03-30T00:00+01",
            "2024-04-02T00:00+02",
            Day,
            "Europe/Paris",
            &["2024-03-29T23Z", "2024-03-30T23Z", "2024-03-31T22Z", "2024-04-01T22Z"],
        );
        check_points(
            "2024-03-30T02:30+01",
            "2024-04-02T12:00+02",
            Day,
            "Europe/Paris",
            &["2024-03-30T01:30Z", "2024-03-31T01:30Z", "2024-04-01T01:30Z", "2024-04-02T01:30Z"],
        );
        check_points(
            "2024-03-30T00:00Z",
            "2024-04-02T00:00Z",
            Day,
            "Europe/Paris",
            &["2024-03-30T00Z", "2024-03-31T00Z", "2024-03-31T23Z", "2024-04-01T23Z"],
        );
        check_points(
            "2024-10-27T00:00+02",
            "2024-10-27T04:00+01",
            Hour,
            "Europe/Paris",
            &[
                "2024-10-26T22Z",
                "2024-10-26T23Z",
                "2024-10-27T00Z",
                "2024-10-27T01Z",
                "2024-10-27T02Z",
                "2024-10-27T03Z",
            ],
        );
        check_points(
            "2024-01-03T05:00Z",
            "2024-01-31T00:00Z",
            Week,
            "UTC",
            &["2024-01-03T05Z", "2024-01-10T05Z", "2024-01-17T05Z", "2024-01-24T05Z"],
        );
    }

    #[test]
    fn the_buckets_of_semantics_14_2() {
        let weeks = series("2024-01-03T05:00Z", "2024-01-31T00:00Z", Week, "UTC");
        assert_eq!(weeks.bucket_of(at("2024-01-01T00:00Z")), Some(0));
        assert_eq!(weeks.bucket_of(at("2023-12-31T23:59:59.999999Z")), None);
        assert_eq!(weeks.bucket_of(at("2024-01-28T23:59:59.999999Z")), Some(3));
        assert_eq!(weeks.bucket_of(at("2024-01-29T00:00Z")), None);
        check_start(Day, "2024-04-26T10:00Z", "Africa/Cairo", "2024-04-25T22:00Z");
        check_start(Hour, "2024-04-26T10:10Z", "Asia/Kolkata", "2024-04-26T09:30Z");
        check_start(Week, "2024-01-07T23:00Z", "UTC", "2024-01-01T00:00Z");
    }

    #[test]
    fn the_days_of_semantics_14_1_are_whole_and_the_end_day_is_lost() {
        let days = series("2024-01-01T12:00Z", "2024-01-03T06:00Z", Day, "UTC");
        check_pieces(
            &days,
            &[("2024-01-01T00Z", Some(0)), ("2024-01-02T00Z", Some(1)), ("2024-01-03T00Z", None)],
        );
        assert_eq!(days.points(), [at("2024-01-01T12Z"), at("2024-01-02T12Z")]);
    }

    #[test]
    fn equal_bounds_give_one_point_of_any_interval() {
        for interval in Interval::ALL {
            let t = "2024-02-29T12:34:56.789Z";
            check_points(t, t, interval, "Asia/Kathmandu", &[t]);
        }
    }

    #[test]
    fn a_day_goes_on_after_clocks_return_to_the_day_before() {
        // 2 November 2008 began at 02:30Z; a minute later the clock went back to 23:01.
        let days = series("2008-11-01T12:00Z", "2008-11-03T14:00Z", Day, "America/St_Johns");
        check_pieces(
            &days,
            &[
                ("2008-11-01T02:30Z", Some(0)),
                ("2008-11-02T02:30Z", Some(1)),
                ("2008-11-02T02:31Z", Some(0)),
                ("2008-11-02T03:30Z", Some(1)),
                ("2008-11-03T03:30Z", Some(2)),
                ("2008-11-04T03:30Z", None),
            ],
        );
        // Without the first of November its second piece is a hole.
        let days = series("2008-11-02T12:00Z", "2008-11-02T12:00Z", Day, "America/St_Johns");
        check_pieces(
            &days,
            &[
                ("2008-11-02T02:30Z", Some(0)),
                ("2008-11-02T02:31Z", None),
                ("2008-11-02T03:30Z", Some(0)),
                ("2008-11-03T03:30Z", None),
            ],
        );
        check_start(Day, "2008-11-02T02:30:30Z", "America/St_Johns", "2008-11-02T03:30Z");
    }

    #[test]
    fn a_day_that_a_zone_skipped_has_no_bucket() {
        check_points(
            "2011-12-28T10:00-10",
            "2012-01-02T00:00+14",
            Day,
            "Pacific/Apia",
            &["2011-12-28T20Z", "2011-12-29T20Z", "2011-12-30T20Z", "2011-12-31T20Z"],
        );
        let days = series("2011-12-29T10:00-10", "2012-01-01T00:00+14", Day, "Pacific/Apia");
        check_pieces(
            &days,
            &[
                ("2011-12-29T10:00Z", Some(0)),
                ("2011-12-30T10:00Z", Some(1)),
                ("2011-12-31T10:00Z", None),
            ],
        );
    }

    #[test]
    fn half_hour_changes_shift_the_hours() {
        // On 7 April 2024 Lord Howe went from 02:00 +11 back to 01:30 +10:30.
        let hours = series("2024-04-06T13:00Z", "2024-04-06T17:00Z", Hour, "Australia/Lord_Howe");
        check_pieces(
            &hours,
            &[
                ("2024-04-06T13:00Z", Some(0)),
                ("2024-04-06T14:00Z", Some(1)),
                ("2024-04-06T15:00Z", Some(2)),
                ("2024-04-06T15:30Z", Some(3)),
                ("2024-04-06T16:30Z", Some(4)),
                ("2024-04-06T17:30Z", None),
            ],
        );
        let hours = series("2024-04-06T14:45Z", "2024-04-06T15:45Z", Hour, "Australia/Lord_Howe");
        check_pieces(
            &hours,
            &[
                ("2024-04-06T14:00Z", Some(0)),
                ("2024-04-06T15:00Z", None),
                ("2024-04-06T15:30Z", Some(1)),
                ("2024-04-06T16:30Z", None),
            ],
        );
        check_start(Hour, "2024-04-06T15:10Z", "Australia/Lord_Howe", "2024-04-06T14:30Z");
        // On 6 October 2024 it went from 02:00 +10:30 to 02:30 +11.
        check_start(Hour, "2024-10-05T15:45Z", "Australia/Lord_Howe", "2024-10-05T15:00Z");
        let hours = series("2024-10-05T15:10Z", "2024-10-05T16:10Z", Hour, "Australia/Lord_Howe");
        check_pieces(
            &hours,
            &[
                ("2024-10-05T14:30Z", Some(0)),
                ("2024-10-05T15:30Z", None),
                ("2024-10-05T16:00Z", Some(1)),
                ("2024-10-05T17:00Z", None),
            ],
        );
    }

    #[test]
    fn clocks_that_change_within_an_hour_split_it() {
        // St. John's, 2 November 2008: 00:01 -02:30 became 23:01 -03:30.
        let hours = series("2008-11-02T01:30Z", "2008-11-02T03:30Z", Hour, "America/St_Johns");
        check_pieces(
            &hours,
            &[
                ("2008-11-02T01:30Z", Some(0)),
                ("2008-11-02T02:30Z", Some(1)),
                ("2008-11-02T03:30Z", Some(2)),
                ("2008-11-02T04:30Z", None),
            ],
        );
    }

    #[test]
    fn local_times_in_gaps_and_folds_resolve_to_the_later_instant() {
        #[track_caller]
        fn check(start: &str, zone: &str, expected: &str) {
            let series = series(start, "2024-12-31T00:00Z", Day, zone);
            assert_eq!(series.points()[1], at(expected));
        }

        check("2024-03-30T02:30+01", "Europe/Paris", "2024-03-31T01:30Z");
        check("2024-10-26T02:30+02", "Europe/Paris", "2024-10-27T01:30Z");
        check("2024-03-30T01:30+00", "Europe/Dublin", "2024-03-31T01:30Z");
        check("2024-10-26T01:30+01", "Europe/Dublin", "2024-10-27T01:30Z");
        check("2024-03-09T02:30-05", "America/New_York", "2024-03-10T07:30Z");
        check("2024-11-02T01:30-04", "America/New_York", "2024-11-03T06:30Z");
        check("2024-04-25T00:30+02", "Africa/Cairo", "2024-04-25T22:30Z");
        check("2024-10-30T23:30+03", "Africa/Cairo", "2024-10-31T21:30Z");
    }

    #[test]
    fn names_are_exact() {
        #[track_caller]
        fn check(name: &str, known: bool) {
            let zone = TimeZone::named(name);
            assert_eq!(zone.as_ref().map(TimeZone::name), known.then_some(name));
        }

        for name in zone_names() {
            check(name, name != "Factory");
        }
        check("UTC", true);
        check("Etc/GMT+5", true);
        check("GMT", true);
        check("EST5EDT", true);
        check("US/Pacific", true);
        check("us/pacific", false);
        check("utc", false);
        check("europe/paris", false);
        check("Etc/Unknown", false);
        check("posixrules", false);
        check("localtime", false);
        check("posix/Europe/Paris", false);
        check("+02:00", false);
        check("EST5EDT,M3.2.0,M11.1.0", false);
        check("Foo/Bar", false);
        check(" UTC", false);
        check("UTC\0", false);
        check("", false);
        assert_eq!(zone("UTC"), TimeZone::utc());
        assert_eq!(TimeZone::utc().name(), "UTC");
    }

    #[test]
    fn months_and_days_agree_with_jiff() {
        let epoch = jiff::civil::date(1970, 1, 1);
        let mut date = jiff::civil::date(0, 12, 1);
        while let Ok(next) = date.checked_add(jiff::Span::new().months(1)) {
            let month = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1;
            let first = date.duration_since(epoch).as_hours() / 24;
            let after = next.duration_since(epoch).as_hours() / 24;
            assert_eq!(first_day_of_month(month), first);
            assert_eq!(month_of_day(first), month);
            assert_eq!(month_of_day(after - 1), month);
            date = next;
        }
    }

    #[test]
    fn series_at_both_ends_of_time_are_finite_and_complete() {
        #[track_caller]
        fn check(start: &str, points: usize, zone_name: &str, interval: Interval) {
            let start = at(start);
            let series = Series::new(interval, start, Timestamp::MAX, &zone(zone_name));
            assert_eq!(series.points().len(), points);
            let last = series.points()[points - 1];
            assert_eq!(series.bucket_of(last), Some(points - 1));
            // The last year of all answers as 400 years before.
            let reference = bucket_start(interval, last, &zone(zone_name));
            assert_eq!(series.bucket_of(reference), Some(points - 1));
        }

        for name in ["UTC", "Europe/Paris", "Pacific/Kiritimati", "America/Los_Angeles"] {
            check("9999-12-30T00:00Z", 48, name, Hour);
            check("9999-12-20T00:00Z", 12, name, Day);
            check("9999-12-01T12:00Z", 5, name, Week);
            check("9999-11-30T00:00Z", 2, name, Month);
            check("9990-12-30T23:00Z", 10, name, Year);
            for interval in Interval::ALL {
                let first = Series::new(interval, Timestamp::MIN, Timestamp::MIN, &zone(name));
                assert_eq!(first.bucket_of(Timestamp::MIN), Some(0));
                assert!(bucket_start(interval, Timestamp::MIN, &zone(name)) >= Timestamp::MIN);
                let last = Series::new(interval, Timestamp::MAX, Timestamp::MAX, &zone(name));
                assert_eq!(last.bucket_of(Timestamp::MAX), Some(0));
            }
        }
    }

    fn zone_names() -> &'static [String] {
        static NAMES: OnceLock<Vec<String>> = OnceLock::new();
        NAMES.get_or_init(|| {
            TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
        })
    }

    fn any_zone() -> impl Strategy<Value = TimeZone> {
        any::<Index>().prop_map(|index| {
            let name = index.get(zone_names()).as_str();
            TimeZone::named(name).unwrap_or_else(TimeZone::utc)
        })
    }

    /// Microseconds of an instant of 2000 to 2040.
    fn any_instant() -> impl Strategy<Value = i64> {
        946_684_800_000_000..2_240_524_800_000_000_i64
    }

    /// The zone's changes of offset or name in a span, in microseconds.
    fn transitions(zone: &TimeZone, from: i64, to: i64) -> impl Iterator<Item = i64> {
        let transitions = zone.0.following(jiff_timestamp(from));
        transitions.map(|t| t.timestamp().as_microsecond()).take_while(move |at| *at <= to)
    }

    fn unit_micros(interval: Interval) -> i64 {
        match interval {
            Hour => HOUR_MICROS,
            Day => DAY_MICROS,
            Week => 7 * DAY_MICROS,
            Month => 31 * DAY_MICROS,
            Year => 366 * DAY_MICROS,
        }
    }

    fn timestamp(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    /// Every law a series keeps, at its own edges and points and at the given instants.
    #[track_caller]
    fn check_laws(interval: Interval, start: i64, span: i64, zone: &TimeZone, probes: &[i64]) {
        let (start, end) = (timestamp(start), timestamp(start + span));
        let series = Series::new(interval, start, end, zone);
        assert_eq!(series.points()[0], start);
        assert!(series.points().is_sorted_by(|a, b| a < b));
        assert!(*series.points().last().unwrap() <= end);
        assert!(series.edges().is_sorted_by(|a, b| a < b));
        assert!(series.slots().is_sorted_by(|a, b| a != b));
        assert_eq!(series.edges().len(), series.slots().len());
        assert_eq!(series.slots().last(), Some(&None));

        let mut starts = vec![];
        for (i, point) in series.points().iter().enumerate() {
            let bucket = series.bucket_of_point(i);
            assert_eq!(series.bucket_of(*point), Some(bucket));
            let bucket_start = bucket_start(interval, *point, zone);
            if bucket == starts.len() {
                starts.push(bucket_start);
            }
            assert_eq!(starts[bucket], bucket_start);
        }
        assert_eq!(series.bucket_count(), starts.len());
        assert!(starts.is_sorted_by(|a, b| a < b));

        let edges = series.edges().iter().flat_map(|edge| [edge - 1, *edge]);
        for t in edges.chain(probes.iter().copied()).map(timestamp) {
            let expected = starts.binary_search(&bucket_start(interval, t, zone)).ok();
            assert_eq!(series.bucket_of(t), expected, "{interval:?} {t} {}", zone.name());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

        #[test]
        fn buckets_are_those_of_the_definition(
            zone in any_zone(),
            interval in proptest::sample::select(&Interval::ALL[..]),
            start in any_instant(),
            units in 0..60_i64,
            probes in prop::collection::vec(0..i64::MAX, 8),
        ) {
            let (unit, span) = (unit_micros(interval), units * unit_micros(interval));
            let (from, to) = (start - 2 * unit, start + span + 2 * unit);
            let mut probes: Vec<_> = probes.iter().map(|p| from + p % (to - from)).collect();
            for at in transitions(&zone, from, to).take(24) {
                probes.extend([at - 1, at, at + 17 * 60_000_000, at - 31 * 60_000_000]);
            }
            check_laws(interval, start, span, &zone, &probes);
        }

        #[test]
        fn buckets_at_a_transition_are_those_of_the_definition(
            zone in any_zone(),
            interval in proptest::sample::select(&Interval::ALL[..]),
            near in any_instant(),
            units_before in 0..3_i64,
            units in 0..5_i64,
            minutes in -1500..1500_i64,
            probes in prop::collection::vec(-1500..1500_i64, 24),
        ) {
            let unit = unit_micros(interval);
            let transition = transitions(&zone, near, i64::MAX).next().unwrap_or(near);
            let start = transition - units_before * unit + minutes * 60_000_000;
            let probes: Vec<_> = probes.iter().map(|m| transition + m * 60_000_000).collect();
            check_laws(interval, start, units * unit, &zone, &probes);
        }
    }
}
