//! Numbers of event metadata, and exact arithmetic on them.
//!
//! A number's value is the decimal that it shows: an integer with all its digits, any other
//! number by its shortest round-trip decimal (semantics section 3). Sums are therefore exact and
//! do not depend on the order of their terms; they are rounded once, at the end.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};

use crate::limits::COST_DECIMAL_PLACES_MAX;

/// Floats from here on show as integers (semantics section 2.3).
const FLOAT_SHOWN_AS_INTEGER_MIN: f64 = 1e16;

/// A number as it stands in event metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Number<'a> {
    /// An integer that fits 64 bits.
    Int(i64),
    /// A JSON number with a fraction or an exponent; finite, never the negative zero.
    Float(f64),
    /// A decimal of `_cost.amount`: `mantissa / 10^scale`, scale 1 to 12, no trailing zero.
    Decimal {
        /// The digits, at most 17 of them.
        mantissa: i64,
        /// How many of the digits stand behind the point.
        scale: u8,
    },
    /// An integer beyond 64 bits, in decimal digits without leading zeros, `-` in front if
    /// negative.
    Big(Cow<'a, str>),
}

impl<'a> Number<'a> {
    /// A finite float; `None` for NaN and the infinities. The negative zero becomes zero.
    #[must_use]
    pub fn float(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Float(if value == 0.0 { 0.0 } else { value }))
    }

    /// `mantissa / 10^scale` with trailing zeros taken off; an integer if nothing is left behind
    /// the point. `None` if the scale is over 12.
    #[must_use]
    pub fn decimal(mut mantissa: i64, mut scale: u8) -> Option<Self> {
        if scale > COST_DECIMAL_PLACES_MAX {
            return None;
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Some(if scale == 0 { Self::Int(mantissa) } else { Self::Decimal { mantissa, scale } })
    }

    /// An integer from its digits (`-` allowed in front); `None` if they are not digits.
    #[must_use]
    pub fn integer(digits: &'a str) -> Option<Self> {
        let (negative, unsigned) = match digits.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, digits),
        };
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = unsigned.trim_start_matches('0');
        if let Ok(small) = digits.parse::<i64>() {
            return Some(Self::Int(small));
        }
        Some(Self::Big(if significant.len() == unsigned.len() {
            Cow::Borrowed(digits)
        } else if negative {
            Cow::Owned(format!("-{significant}"))
        } else {
            Cow::Borrowed(significant)
        }))
    }

    /// The same number, not borrowing from its source.
    #[must_use]
    pub fn into_owned(self) -> Number<'static> {
        match self {
            Self::Int(value) => Number::Int(value),
            Self::Float(value) => Number::Float(value),
            Self::Decimal { mantissa, scale } => Number::Decimal { mantissa, scale },
            Self::Big(digits) => Number::Big(Cow::Owned(digits.into_owned())),
        }
    }

    /// The same number, borrowing from this one.
    #[must_use]
    pub fn borrowed(&self) -> Number<'_> {
        match self {
            Self::Int(value) => Number::Int(*value),
            Self::Float(value) => Number::Float(*value),
            Self::Decimal { mantissa, scale } => {
                Number::Decimal { mantissa: *mantissa, scale: *scale }
            }
            Self::Big(digits) => Number::Big(Cow::Borrowed(digits)),
        }
    }

    /// Whether it shows without a fraction: an integer, or a float of 1e16 and more.
    #[must_use]
    pub fn shows_as_integer(&self) -> bool {
        match self {
            Self::Int(_) | Self::Big(_) => true,
            Self::Float(value) => value.abs() >= FLOAT_SHOWN_AS_INTEGER_MIN,
            Self::Decimal { .. } => false,
        }
    }

    /// The nearest f64, ties to even; saturates at ±`f64::MAX`.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        match self {
            // 64-bit integers round once, to the nearest.
            #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest is the rule")]
            Self::Int(value) => *value as f64,
            Self::Float(value) => *value,
            Self::Decimal { .. } => self.exact().to_f64(),
            Self::Big(digits) => saturate(digits.parse::<f64>().unwrap_or(f64::INFINITY)),
        }
    }

    /// Mantissa and scale of its exact value, `mantissa / 10^scale`, where 64 bits hold the mantissa
    /// and it is no multiple of a power of ten ([`exact`](Self::exact) has the others).
    #[must_use]
    pub fn parts(&self) -> Option<(i64, u32)> {
        match self {
            Self::Int(value) => Some((*value, 0)),
            Self::Float(value) => match shortest_decimal(*value) {
                (mantissa, exponent) if exponent <= 0 => Some((mantissa, exponent.unsigned_abs())),
                _ => None,
            },
            Self::Decimal { mantissa, scale } => Some((*mantissa, u32::from(*scale))),
            Self::Big(_) => None,
        }
    }

    /// Its exact value.
    #[must_use]
    pub fn exact(&self) -> Exact {
        match self {
            Self::Int(value) => Exact::from(*value),
            Self::Float(value) => Exact::from_shortest_decimal(*value),
            Self::Decimal { mantissa, scale } => {
                Exact::small(i128::from(*mantissa), u32::from(*scale))
            }
            Self::Big(digits) => Exact::big(digits.parse().unwrap_or_default(), 0),
        }
    }
}

impl fmt::Display for Number<'_> {
    /// Canonical decimal text (semantics section 2.3): `7`, `7.0`, `0.0000001`,
    /// `100000000000000000000`; never an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => {
                write!(f, "{value}")?;
                if value.fract() == 0.0 && value.abs() < FLOAT_SHOWN_AS_INTEGER_MIN {
                    f.write_str(".0")?;
                }
                Ok(())
            }
            Self::Decimal { mantissa, scale } => {
                let scale = usize::from(*scale);
                let digits = format!("{:0width$}", mantissa.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if *mantissa < 0 { "-" } else { "" };
                write!(f, "{sign}{whole}.{fraction}")
            }
            Self::Big(digits) => f.write_str(digits),
        }
    }
}

/// An exact decimal number: a running sum, or a value in one.
///
/// Two of them are equal exactly if they are the same number, however they came about.
#[derive(Debug, Clone, Default)]
pub struct Exact {
    /// In units of `10^-scale`.
    small: i128,
    scale: u32,
    /// What did not fit: the number is `small / 10^scale + big / 10^big_scale`.
    big: Option<Box<(BigInt, u32)>>,
}

/// `10^exponent` if an i128 holds it.
fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Powers of ten that an f64 holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl From<i64> for Exact {
    fn from(value: i64) -> Self {
        Self::small(i128::from(value), 0)
    }
}

impl Exact {
    fn small(mantissa: i128, scale: u32) -> Self {
        Self { small: mantissa, scale, big: None }
    }

    /// `mantissa / 10^scale`.
    #[must_use]
    pub fn new(mantissa: i128, scale: u32) -> Self {
        Self::small(mantissa, scale)
    }

    /// What [`new`](Self::new) makes this number from, with a scale that need not be the least;
    /// `None` if 128 bits do not hold the mantissa.
    #[must_use]
    pub fn parts(&self) -> Option<(i128, u32)> {
        if self.big.is_none() {
            return Some((self.small, self.scale));
        }
        let (mantissa, scale) = self.normal();
        mantissa.to_i128().map(|mantissa| (mantissa, scale))
    }

    fn big(mantissa: BigInt, scale: u32) -> Self {
        Self { small: 0, scale: 0, big: Some(Box::new((mantissa, scale))) }
    }

    /// The count of something.
    #[must_use]
    pub fn count(value: u64) -> Self {
        Self::small(i128::from(value), 0)
    }

    /// The shortest decimal that reads back as `value`, which must be finite.
    #[must_use]
    pub fn from_shortest_decimal(value: f64) -> Self {
        match shortest_decimal(value) {
            (mantissa, exponent) if exponent <= 0 => {
                Self::small(i128::from(mantissa), exponent.unsigned_abs())
            }
            (mantissa, exponent) => match power_of_ten(exponent.unsigned_abs())
                .and_then(|power| i128::from(mantissa).checked_mul(power))
            {
                Some(small) => Self::small(small, 0),
                None => Self::big(
                    BigInt::from(mantissa) * BigInt::from(10).pow(exponent.unsigned_abs()),
                    0,
                ),
            },
        }
    }

    /// Adds one number of metadata.
    pub fn add_number(&mut self, number: &Number<'_>) {
        match number.parts() {
            Some((mantissa, scale)) => self.add_small(i128::from(mantissa), scale),
            None => self.add(&number.exact()),
        }
    }

    /// Adds another exact number.
    pub fn add(&mut self, other: &Self) {
        self.add_small(other.small, other.scale);
        if let Some(big) = &other.big {
            self.add_big(&big.0, big.1);
        }
    }

    /// This number less another.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        let (mantissa, scale) = other.normal();
        difference.add_big(&-mantissa, scale);
        difference
    }

    fn add_small(&mut self, mantissa: i128, scale: u32) {
        let sum = match scale.cmp(&self.scale) {
            Ordering::Equal => self.small.checked_add(mantissa),
            Ordering::Less => power_of_ten(self.scale - scale)
                .and_then(|power| mantissa.checked_mul(power))
                .and_then(|mantissa| self.small.checked_add(mantissa)),
            Ordering::Greater => power_of_ten(scale - self.scale)
                .and_then(|power| self.small.checked_mul(power))
                .and_then(|small| small.checked_add(mantissa))
                .inspect(|_| self.scale = scale),
        };
        match sum {
            Some(sum) => self.small = sum,
            None => self.add_big(&BigInt::from(mantissa), scale),
        }
    }

    fn add_big(&mut self, mantissa: &BigInt, scale: u32) {
        let (sum, sum_scale) = &mut **self.big.get_or_insert_default();
        if scale > *sum_scale {
            *sum *= BigInt::from(10).pow(scale - *sum_scale);
            *sum_scale = scale;
        }
        *sum += mantissa * BigInt::from(10).pow(*sum_scale - scale);
    }

    /// Mantissa and scale of the whole number, without trailing zeros behind the point.
    fn normal(&self) -> (BigInt, u32) {
        let mut whole = self.clone();
        let (small, scale) = (BigInt::from(std::mem::take(&mut whole.small)), whole.scale);
        whole.add_big(&small, scale);
        let (mut mantissa, mut scale) = whole.big.map(|big| *big).unwrap_or_default();
        let ten = BigInt::from(10);
        while scale > 0 && (&mantissa % &ten).is_zero() {
            mantissa /= &ten;
            scale -= 1;
        }
        (mantissa, scale)
    }

    /// The nearest f64, ties to even; saturates at ±`f64::MAX`.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.divided_by(1)
    }

    /// This number divided by a count, rounded once to the nearest f64; 0 for a count of 0.
    #[must_use]
    pub fn divided_by(&self, count: u64) -> f64 {
        if count == 0 {
            return 0.0;
        }
        // One division of two exact f64s rounds once.
        const EXACT_MAX: i128 = 1 << 53;
        if self.big.is_none()
            && let Some(divisor) =
                power_of_ten(self.scale).and_then(|power| power.checked_mul(i128::from(count)))
            && self.small.abs() <= EXACT_MAX
            && divisor <= EXACT_MAX
        {
            #[expect(clippy::cast_precision_loss, reason = "both are at most 2^53")]
            return self.small as f64 / divisor as f64;
        }
        let (mantissa, scale) = self.normal();
        let divisor = BigUint::from(10_u8).pow(scale) * BigUint::from(count);
        let magnitude = ratio_to_f64(mantissa.magnitude(), &divisor);
        saturate(if mantissa.sign() == Sign::Minus { -magnitude } else { magnitude })
    }

    /// Its whole part, towards zero, clamped to 64 bits.
    #[must_use]
    pub fn truncate(&self) -> i64 {
        let (mantissa, scale) = self.normal();
        let whole = mantissa / BigInt::from(10).pow(scale);
        whole.to_i64().unwrap_or(if whole.is_negative() { i64::MIN } else { i64::MAX })
    }

    /// A form in which equal numbers, and only those, are equal: for sets of values.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let (mantissa, scale) = self.normal();
        format!("{mantissa}e-{scale}")
    }

    /// Reads what [`canonical_text`](Self::canonical_text) wrote.
    #[must_use]
    pub fn from_canonical_text(text: &str) -> Option<Self> {
        let (mantissa, scale) = text.split_once("e-")?;
        let (mantissa, scale): (BigInt, u32) = (mantissa.parse().ok()?, scale.parse().ok()?);
        // Far beyond any number of metadata, and before a power of ten fills the memory.
        const SCALE_MAX: u32 = 100_000;
        (scale <= SCALE_MAX).then(|| match mantissa.to_i128() {
            Some(small) => Self::small(small, scale),
            None => Self::big(mantissa, scale),
        })
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.big.is_none() && other.big.is_none() && self.scale == other.scale {
            return self.small.cmp(&other.small);
        }
        self.minus(other).normal().0.cmp(&BigInt::ZERO)
    }
}

fn saturate(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

/// Up to 15 digits, the decimal that rounds to a given f64 is unique.
const UNIQUE_MAX: f64 = 1e15;

/// The exact value of a float in units of `10^-places`, if it has no more places than that and, with
/// them, at most 15 digits.
///
/// For columns of floats: most have as many places as their neighbours, and then this is all that
/// it takes to know their exact values.
///
/// ```
/// use floe_core::float_in_units;
///
/// assert_eq!(float_in_units(0.1, 2), Some(10));
/// assert_eq!(float_in_units(0.125, 2), None);
/// ```
#[must_use]
pub fn float_in_units(value: f64, places: u32) -> Option<i64> {
    // Two decimals of at most 15 digits that round to one f64 are equal, so if this one does, it
    // is the shortest, perhaps with zeros behind it.
    let power = EXACT_POWERS.get(..16)?.get(usize::try_from(places).ok()?)?;
    let candidate = (value * power).round();
    #[expect(clippy::float_cmp, reason = "the question is whether the bits are the same")]
    let is_it = candidate.abs() < UNIQUE_MAX && candidate / power == value;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
    is_it.then_some(candidate as i64)
}

/// Mantissa and power of ten of the shortest decimal that reads back as `value` (finite).
fn shortest_decimal(value: f64) -> (i64, i32) {
    for (places, power) in (0..).zip(EXACT_POWERS.iter().take(16)) {
        let candidate = (value * power).round();
        if candidate.abs() >= UNIQUE_MAX {
            break;
        }
        // The first that rounds to the value is the shortest.
        #[expect(clippy::float_cmp, reason = "the question is whether the bits are the same")]
        if candidate / power == value {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
            return (candidate as i64, -places);
        }
    }
    // `{:e}` prints the shortest digits that read back, in the form `d.ddde±n`.
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let mantissa = digits.replace('.', "").parse().unwrap_or(0);
    (mantissa, exponent - i32::try_from(places).unwrap_or(0))
}

/// `numerator / denominator` rounded to the nearest f64, ties to even; infinite above its range.
fn ratio_to_f64(numerator: &BigUint, denominator: &BigUint) -> f64 {
    if numerator.is_zero() || denominator.is_zero() {
        return 0.0;
    }
    // Scale by a power of two so that the quotient has 66 or 67 bits; whatever the division
    // leaves sets the lowest bit, which is far below the rounding position ("sticky").
    let bits = |value: &BigUint| i64::try_from(value.bits()).unwrap_or(i64::MAX);
    let mut shift = 66 - (bits(numerator) - bits(denominator));
    // Below the normal range an f64 keeps fewer bits: nothing under 2^-1076 decides a rounding.
    shift = shift.min(1076);
    let amount = shift.unsigned_abs();
    let (numerator, denominator) = if shift >= 0 {
        (numerator << amount, denominator.clone())
    } else {
        (numerator.clone(), denominator << amount)
    };
    let quotient = &numerator / &denominator;
    let sticky = u128::from(&quotient * &denominator != numerator);
    // At most 67 bits.
    let quotient = quotient.to_u128().unwrap_or(u128::MAX) | sticky;
    scale_by_power_of_two(quotient, -shift)
}

/// `value * 2^exponent` rounded to the nearest f64, ties to even.
fn scale_by_power_of_two(value: u128, exponent: i64) -> f64 {
    let length = 128 - i64::from(value.leading_zeros());
    // The weight of the last kept bit: 53 bits, or what the subnormal range has left.
    let last = (length - 53 + exponent).max(-1074);
    let drop = last - exponent;
    let kept = if drop <= 0 {
        value << drop.unsigned_abs().min(127)
    } else if drop > 127 {
        0
    } else {
        let half = 1_u128 << (drop - 1);
        let (kept, rest) = (value >> drop, value & ((1_u128 << drop) - 1));
        if rest > half || (rest == half && kept & 1 == 1) { kept + 1 } else { kept }
    };
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53")]
    let mantissa = kept as f64;
    // Powers of two multiply exactly; in two steps, since 2^last may itself be out of range.
    let power = |exponent: i64| 2_f64.powi(i32::try_from(exponent).unwrap_or(i32::MAX));
    let first = last.clamp(-1000, 1000);
    mantissa * power(first) * power(last - first)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "short texts")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn shows(number: Number<'_>, expected: &str) {
        assert_eq!(number.to_string(), expected);
    }

    #[test]
    fn numbers_show_as_canonical_decimals() {
        shows(Number::Int(-7), "-7");
        shows(Number::float(7.0).unwrap(), "7.0");
        shows(Number::float(5.5).unwrap(), "5.5");
        shows(Number::float(-0.0).unwrap(), "0.0");
        shows(Number::float(1e20).unwrap(), "100000000000000000000");
        shows(Number::float(1e-7).unwrap(), "0.0000001");
        shows(Number::float(1e16).unwrap(), "10000000000000000");
        shows(Number::float(9_007_199_254_740_993.0).unwrap(), "9007199254740992.0");
        shows(Number::decimal(-15, 1).unwrap(), "-1.5");
        shows(Number::decimal(10, 2).unwrap(), "0.1");
        shows(Number::decimal(1, 12).unwrap(), "0.000000000001");
        shows(Number::decimal(300, 2).unwrap(), "3");
        shows(Number::integer("0009").unwrap(), "9");
        shows(Number::integer("-00099999999999999999999").unwrap(), "-99999999999999999999");
        assert_eq!(Number::integer("12a"), None);
        assert_eq!(Number::float(f64::NAN), None);
    }

    #[track_caller]
    fn sums_to(terms: &[f64], expected: f64) {
        let mut sum = Exact::default();
        for &term in terms {
            sum.add_number(&Number::float(term).unwrap());
        }
        assert_eq!(sum.to_f64().to_bits(), expected.to_bits(), "{}", sum.to_f64());
    }

    #[test]
    fn sums_are_of_the_decimals_that_are_shown() {
        sums_to(&[0.1, 0.2], 0.3);
        sums_to(&[0.1; 10], 1.0);
        sums_to(&[1e300, 1.0, -1e300], 1.0);
        sums_to(&[1.7e308, 1.7e308], f64::MAX);
        sums_to(&[-1.7e308, -1.7e308], f64::MIN);
        sums_to(&[5e-324, 5e-324], 1e-323);
        sums_to(&[5e-324], 5e-324);
        sums_to(&[], 0.0);
    }

    #[test]
    fn a_quotient_is_rounded_once() {
        assert_eq!(Exact::from(7).divided_by(3), 7.0 / 3.0);
        let mut sum = Exact::default();
        for term in [0.1, 0.2, 0.4] {
            sum.add_number(&Number::Float(term));
        }
        // 0.7 / 3 = 0.23333…; plain f64 gives 0.23333333333333336.
        assert_eq!(sum.divided_by(3), 0.233_333_333_333_333_33);
        assert_eq!(Exact::from(5).divided_by(0), 0.0);
    }

    #[test]
    fn truncation_goes_towards_zero() {
        assert_eq!(Number::Float(-1.5).exact().truncate(), -1);
        assert_eq!(Number::Float(1e300).exact().truncate(), i64::MAX);
    }

    #[test]
    fn what_is_too_wide_for_parts_is_said_so() {
        let digits = "9".repeat(50);
        let wide = Number::Big(digits.as_str().into());
        assert_eq!((wide.parts(), wide.exact().parts()), (None, None));
        let mut sum = wide.exact();
        sum = sum.minus(&wide.exact());
        sum.add(&Exact::from(3));
        assert_eq!(sum.parts(), Some((3, 0)));
        for not_it in ["", "1", "e-1", "1e--1", "1e-99999999", "x"] {
            assert_eq!(Exact::from_canonical_text(not_it), None, "{not_it}");
        }
    }

    proptest! {
        #[test]
        fn an_exact_float_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(Exact::from_shortest_decimal(value).to_f64(), value);
        }

        #[test]
        fn a_shortest_decimal_is_what_the_standard_library_prints(
            digits in -999_999_999_999_999_999_i64..999_999_999_999_999_999, places in 0_i32..40
        ) {
            let value: f64 = format!("{digits}e-{places}").parse().unwrap();
            let (mantissa, exponent) = shortest_decimal(value);
            let by_text: BigDecimalText = format!("{value:e}").into();
            prop_assert_eq!(BigDecimalText::new(mantissa, exponent), by_text);
        }

        #[test]
        fn a_float_in_units_is_its_exact_value(
            digits in -9_999_999_999_999_999_i64..9_999_999_999_999_999, places in 0_u32..16,
            asked in 0_u32..20, bits: u64
        ) {
            let written: f64 = format!("{digits}e-{places}").parse().unwrap();
            for value in [written, f64::from_bits(bits)].into_iter().filter(|v| v.is_finite()) {
                let exact = Exact::from_shortest_decimal(value);
                if let Some(units) = float_in_units(value, asked) {
                    prop_assert_eq!(Exact::new(units.into(), asked), exact);
                }
            }
            if digits.abs() < 100_000_000 && places <= asked && asked < places + 7 && asked < 16 {
                prop_assert!(float_in_units(written, asked).is_some());
            }
        }

        #[test]
        fn parts_and_text_make_the_same_number_again(mantissa: i128, scale in 0_u32..400, bits: u64) {
            let number = Number::float(f64::from_bits(bits)).unwrap_or(Number::Int(7));
            for exact in [Exact::new(mantissa, scale), number.exact()] {
                let text = exact.canonical_text();
                prop_assert_eq!(Exact::from_canonical_text(&text), Some(exact.clone()));
                if let Some((mantissa, scale)) = exact.parts() {
                    prop_assert_eq!(&Exact::new(mantissa, scale), &exact);
                }
            }
            if let Some((mantissa, scale)) = number.parts() {
                prop_assert_eq!(Exact::new(mantissa.into(), scale), number.exact());
            }
        }

        #[test]
        fn division_agrees_with_long_division_on_text(
            mantissa: i128, scale in 0_u32..330, count in 1_u64..1_000_000
        ) {
            let exact = Exact::big(BigInt::from(mantissa), scale);
            // 900 digits and a sticky one decide any rounding to an f64.
            let scaled = BigInt::from(mantissa) * BigInt::from(10).pow(900);
            let quotient = &scaled / BigInt::from(count);
            let sticky = u8::from(&quotient * BigInt::from(count) != scaled);
            let text = format!("{quotient}{sticky}e-{}", scale + 901);
            prop_assert_eq!(exact.divided_by(count), text.parse::<f64>().unwrap());
        }

        #[test]
        fn order_and_grouping_do_not_matter(
            terms in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 0..20),
            split in 0_usize..20,
        ) {
            let number = |&term: &f64| Number::float(term).unwrap();
            let mut forward = Exact::default();
            terms.iter().map(number).for_each(|n| forward.add_number(&n));
            let mut parts = [Exact::default(), Exact::default()];
            for (index, term) in terms.iter().enumerate().rev() {
                parts[usize::from(index < split)].add_number(&number(term));
            }
            let [mut whole, rest] = parts;
            whole.add(&rest);
            prop_assert_eq!(&whole, &forward);
            prop_assert_eq!(whole.to_f64().to_bits(), forward.to_f64().to_bits());
            prop_assert_eq!(whole.canonical_text(), forward.canonical_text());
        }
    }

    /// Mantissa without trailing zeros, and exponent.
    #[derive(Debug, PartialEq)]
    struct BigDecimalText(i64, i32);

    impl BigDecimalText {
        fn new(mut mantissa: i64, mut exponent: i32) -> Self {
            if mantissa == 0 {
                return Self(0, 0);
            }
            while mantissa % 10 == 0 {
                mantissa /= 10;
                exponent += 1;
            }
            Self(mantissa, exponent)
        }
    }

    impl From<String> for BigDecimalText {
        fn from(text: String) -> Self {
            let (digits, exponent) = text.split_once('e').unwrap();
            let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
            Self::new(
                digits.replace('.', "").parse().unwrap(),
                exponent.parse::<i32>().unwrap() - places,
            )
        }
    }
}
