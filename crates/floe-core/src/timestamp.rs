//! Instants: microseconds UTC, as the wire writes them.

use std::fmt;

/// An instant, in microseconds since 1970-01-01T00:00:00Z.
///
/// Bounds: the years 1 to 9999 in UTC, which is what the wire can write (contract section 1.5).
/// Its [`Display`](fmt::Display) is the wire's form: `2024-01-01T00:00:00Z`, with exactly six
/// fraction digits when the microseconds are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant `micros` microseconds after the epoch, or `None` outside the years 1 to 9999.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(Self(micros)) }
    }

    /// Microseconds since 1970-01-01T00:00:00Z; negative before it.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards minus infinity (semantics section 13, S10).
    #[must_use]
    pub const fn epoch_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The next representable instant, saturating at [`Timestamp::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < Self::MAX.0 { Self(self.0 + 1) } else { Self::MAX }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let (year, month, day) = civil_from_days(days);
        let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

/// Year, month, day of a count of days since 1970-01-01 in the proleptic Gregorian calendar.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`. Written out
/// because an answer holds hundreds of instants and jiff ends a day before the wire's last year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(micros: i64, expected: &str) {
        assert_eq!(Timestamp::from_micros(micros).unwrap().to_string(), expected);
    }

    #[test]
    fn the_wire_form_has_six_fraction_digits_or_none() {
        check(0, "1970-01-01T00:00:00Z");
        check(1_704_067_200_123_000, "2024-01-01T00:00:00.123000Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(1_709_208_000_000_000, "2024-02-29T12:00:00Z");
        check(Timestamp::MIN.micros(), "0001-01-01T00:00:00Z");
        check(Timestamp::MAX.micros(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn epoch_seconds_are_floored() {
        assert_eq!(Timestamp::from_micros(-1).unwrap().epoch_seconds(), -1);
        assert_eq!(Timestamp::from_micros(999_999).unwrap().epoch_seconds(), 0);
    }
}
