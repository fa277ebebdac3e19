//! Points in time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The start of the year 1.
const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// The last microsecond of the year 9999.
const MICROS_MAX: i64 = 253_402_300_799_999_999;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time: microseconds since the Unix epoch, in UTC, from the year 1 to the year 9999.
///
/// Its text is that of RFC 3339. It is read with any offset, and digits beyond microseconds are
/// cut off; it is written as the wire does: in UTC with a `Z`, with six digits of the second's
/// fraction, or none if that is 0.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use floe_client::Timestamp;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let noon: Timestamp = "2026-03-01T12:00:00+02:00".parse()?;
/// assert_eq!(noon.to_string(), "2026-03-01T10:00:00Z");
/// assert_eq!(noon.unix_seconds(), 1_772_359_200);
///
/// let later = noon.saturating_add(Duration::from_millis(1500));
/// assert_eq!(later.to_string(), "2026-03-01T10:00:01.500000Z");
/// assert!(later > noon);
///
/// let system: SystemTime = noon.into();
/// assert_eq!(Timestamp::from(system), noon);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest one, `0001-01-01T00:00:00Z`.
    ///
    /// ```
    /// assert_eq!(floe_client::Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
    /// ```
    pub const MIN: Self = Self(MICROS_MIN);
    /// The latest one, `9999-12-31T23:59:59.999999Z`.
    ///
    /// ```
    /// assert_eq!(floe_client::Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    /// ```
    pub const MAX: Self = Self(MICROS_MAX);

    /// What this machine's clock shows.
    ///
    /// ```
    /// use floe_client::Timestamp;
    ///
    /// assert!(Timestamp::now() > Timestamp::MIN);
    /// ```
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// So many seconds after (before, if negative) the Unix epoch; `None` outside the years 1 to
    /// 9999.
    ///
    /// ```
    /// use floe_client::Timestamp;
    ///
    /// let start = Timestamp::from_unix_seconds(1_700_000_000).expect("a year of four digits");
    /// assert_eq!(start.to_string(), "2023-11-14T22:13:20Z");
    /// assert_eq!(Timestamp::from_unix_seconds(i64::MAX), None);
    /// ```
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(MICROS_PER_SECOND) {
            Some(micros) => Self::from_unix_micros(micros),
            None => None,
        }
    }

    /// So many microseconds after (before, if negative) the Unix epoch; `None` outside the years
    /// 1 to 9999.
    ///
    /// ```
    /// use floe_client::Timestamp;
    ///
    /// let at = Timestamp::from_unix_micros(1_500_000).expect("a year of four digits");
    /// assert_eq!(at.to_string(), "1970-01-01T00:00:01.500000Z");
    /// ```
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Option<Self> {
        if MICROS_MIN <= micros && micros <= MICROS_MAX { Some(Self(micros)) } else { None }
    }

    /// Whole seconds since the Unix epoch, rounded down.
    ///
    /// ```
    /// use floe_client::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_unix_micros(-1).map(Timestamp::unix_seconds), Some(-1));
    /// ```
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// Microseconds since the Unix epoch.
    ///
    /// ```
    /// use floe_client::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_unix_seconds(2).map(Timestamp::unix_micros), Some(2_000_000));
    /// ```
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// So much later, or [`Timestamp::MAX`]. Parts of a microsecond are cut off.
    ///
    /// ```
    /// use std::time::Duration;
    /// use floe_client::Timestamp;
    ///
    /// assert_eq!(Timestamp::MAX.saturating_add(Duration::from_secs(1)), Timestamp::MAX);
    /// ```
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(MICROS_MAX))
    }

    /// So much earlier, or [`Timestamp::MIN`]. Parts of a microsecond are cut off.
    ///
    /// ```
    /// use std::time::Duration;
    /// use floe_client::Timestamp;
    ///
    /// let yesterday = Timestamp::now().saturating_sub(Duration::from_secs(86_400));
    /// assert!(yesterday < Timestamp::now());
    /// ```
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(MICROS_MIN))
    }
}

/// The text of a timestamp, made without allocation: batches have one an event.
struct Text {
    bytes: [u8; 27],
    length: usize,
}

impl Text {
    fn of(timestamp: Timestamp) -> Self {
        let micros = timestamp.0;
        let (second, micro) =
            (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
        let (day, second) =
            (second.div_euclid(SECONDS_PER_DAY), second.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date_of(day);
        let mut bytes = *b"0000-00-00T00:00:00.000000Z";
        put(&mut bytes[0..4], year);
        put(&mut bytes[5..7], month);
        put(&mut bytes[8..10], day);
        put(&mut bytes[11..13], second / 3600);
        put(&mut bytes[14..16], second / 60 % 60);
        put(&mut bytes[17..19], second % 60);
        if micro == 0 {
            bytes[19] = b'Z';
            return Self { bytes, length: 20 };
        }
        put(&mut bytes[20..26], micro);
        Self { bytes, length: 27 }
    }

    fn as_str(&self) -> &str {
        // Always ASCII.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// The digits of numbers below 100. Two at a time are written, since a batch of events spends a
/// quarter of its writing on timestamps otherwise.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0_u8;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// Writes the last digits, as many as there is room for, which is even, of a number from 0 to
/// `u32::MAX`.
fn put(digits: &mut [u8], number: i64) {
    let mut number = u32::try_from(number).unwrap_or(0);
    for pair in digits.rchunks_exact_mut(2) {
        pair.copy_from_slice(&PAIRS[number as usize % 100]);
        number /= 100;
    }
}

impl Timestamp {
    /// Writes it as the wire has it: ASCII, with nothing to escape.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Text::of(self).as_str().as_bytes());
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Text::of(*self).as_str())
    }
}

/// The number of a day, from that of the Unix epoch on, in the Gregorian calendar. Years are
/// counted from March, so that a leap day is a year's last; 400 of them have 146,097 days.
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year * 365 + year / 4 - year / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year, the month and the day of the month of a day that is numbered as [`day_of`] does.
fn date_of(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// What is left of a text that is being read.
struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    /// A number of so many digits, within bounds.
    fn number(&mut self, digits: usize, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        let mut number = 0;
        for byte in head {
            number = number * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        self.0 = rest;
        bounds.contains(&number).then_some(number)
    }

    /// One of these bytes.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        bytes.contains(&first).then_some(first)
    }

    /// Microseconds, from a point and digits, if there are any.
    fn fraction(&mut self) -> Option<i64> {
        if self.0.first() != Some(&b'.') {
            return Some(0);
        }
        self.0 = &self.0[1..];
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (head, rest) = self.0.split_at_checked(digits).filter(|_| digits > 0)?;
        self.0 = rest;
        let digits = head.iter().copied().chain(std::iter::repeat(b'0')).take(6);
        Some(digits.fold(0, |number, byte| number * 10 + i64::from(byte - b'0')))
    }

    /// An offset from UTC in seconds.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2, 0..=23)?;
        self.one_of(b":")?;
        Some(sign * (hours * 3600 + self.number(2, 0..=59)? * 60))
    }
}

fn micros_of(text: &str) -> Option<i64> {
    let mut text = Reader(text.as_bytes());
    let year = text.number(4, 0..=9999)?;
    text.one_of(b"-")?;
    let month = text.number(2, 1..=12)?;
    text.one_of(b"-")?;
    let day = text.number(2, 1..=31)?;
    text.one_of(b"Tt ")?;
    let hour = text.number(2, 0..=23)?;
    text.one_of(b":")?;
    let minute = text.number(2, 0..=59)?;
    text.one_of(b":")?;
    let second = text.number(2, 0..=59)?;
    let micro = text.fraction()?;
    let offset = text.offset()?;
    let date = day_of(year, month, day);
    if !text.0.is_empty() || date_of(date) != (year, month, day) {
        return None;
    }
    let seconds = date * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * MICROS_PER_SECOND + micro)
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let micros = micros_of(text).and_then(Self::from_unix_micros);
        micros.ok_or_else(|| InvalidTimestamp { text: text.to_owned() })
    }
}

/// To whole microseconds, rounded towards the epoch; beyond the years 1 and 9999, the nearest.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(0).saturating_add(after),
            Err(before) => Self(0).saturating_sub(before.duration()),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp(micros): Timestamp) -> Self {
        let distance = Duration::from_micros(micros.unsigned_abs());
        if micros < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no point in time: it lacks the date, the time of day or the offset, there is no such
/// day, or its year is not one of 1 to 9999.
///
/// ```
/// use floe_client::Timestamp;
///
/// let error = "2026-03-01".parse::<Timestamp>().unwrap_err();
/// assert_eq!(error.to_string(), "`2026-03-01` is no time such as 2026-03-01T10:00:00Z");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no time such as 2026-03-01T10:00:00Z")]
pub struct InvalidTimestamp {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_the_wires() {
        for (text, micros, written) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("1970-01-01t00:00:00.5z", 500_000, "1970-01-01T00:00:00.500000Z"),
            ("1970-01-01T01:00:00.0000019+01:00", 1, "1970-01-01T00:00:00.000001Z"),
            ("1969-12-31T23:59:59.999999Z", -1, "1969-12-31T23:59:59.999999Z"),
            ("0001-01-01T00:00:00Z", MICROS_MIN, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.9999999Z", MICROS_MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            let parsed: Timestamp = text.parse().unwrap();
            assert_eq!(parsed.unix_micros(), micros, "{text}");
            assert_eq!(parsed.to_string(), written, "{text}");
            let json = serde_json::to_string(&parsed).unwrap();
            assert_eq!(json, format!("\"{written}\""));
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), parsed);
        }
    }

    #[test]
    fn without_an_offset_it_is_none() {
        for text in ["", "2026-03-01", "2026-03-01T10:00:00", "10:00", "2026-03-01T10:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn there_is_no_such_time() {
        for text in [
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00Zé",
            "２026-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    /// Against a count of the days one by one.
    #[test]
    fn every_day_has_its_number() {
        let mut number = -719_162;
        for year in 1..=9999_i64 {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if is_leap { 29 } else { 28 };
            for (month, days) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
                for day in 1..=days {
                    assert_eq!(day_of(year, month, day), number);
                    assert_eq!(date_of(number), (year, month, day));
                    number += 1;
                }
            }
        }
        assert_eq!(number * SECONDS_PER_DAY * MICROS_PER_SECOND, MICROS_MAX + 1);
    }

    #[test]
    fn the_systems_time_goes_both_ways() {
        for micros in [0, 1, -1, MICROS_MIN, MICROS_MAX] {
            let time = Timestamp::from_unix_micros(micros).unwrap();
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
        let far = SystemTime::from(Timestamp::MAX) + Duration::from_secs(1);
        assert_eq!(Timestamp::from(far), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_micros(MICROS_MAX + 1), None);
        assert_eq!(Timestamp::from_unix_micros(MICROS_MIN - 1), None);
    }
}
