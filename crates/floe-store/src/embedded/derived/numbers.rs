//! Columns of exact numbers, as integers with one power of ten for all of them.
//!
//! That is what makes sums fast: most columns are integers, or decimals with a few places, and then
//! a sum is that of 64-bit integers. It is also exact: a number that does not fit stands beside the
//! column with all its digits.

use std::ops::Range;

use floe_core::{Accumulator, Exact, Number, float_in_units};

use super::bytes::{Bytes, put_text, put_u32};
use super::position;

/// Places beyond which a number stands beside the column, lest a single tiny one makes all others
/// wide.
const SCALE_MAX: u32 = 30;
/// Places that a float is tried with before all its digits are looked for.
const FLOAT_PLACES_MAX: u32 = 15;

/// Exact numbers in a row.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Numbers {
    /// Each is `mantissa / 10^scale`.
    scale: u32,
    mantissas: Mantissas,
    /// Those that do not fit, by place, ascending; their mantissa is 0.
    wide: Vec<(u32, Exact)>,
    /// No mantissa is further from 0.
    magnitude: u128,
}

#[derive(Debug, Clone)]
enum Mantissas {
    Narrow(Vec<i64>),
    Broad(Vec<i128>),
}

impl Default for Mantissas {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl Numbers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match &self.mantissas {
            Mantissas::Narrow(mantissas) => mantissas.len(),
            Mantissas::Broad(mantissas) => mantissas.len(),
        }
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        let mantissas = match &self.mantissas {
            Mantissas::Narrow(mantissas) => size_of_val(mantissas.as_slice()),
            Mantissas::Broad(mantissas) => size_of_val(mantissas.as_slice()),
        };
        // What is too wide for 128 bits has some hundred digits, unless somebody means harm.
        mantissas + self.wide.len() * 256
    }

    /// Appends an integer.
    pub(super) fn push_int(&mut self, value: i64) {
        if self.scale == 0
            && let Mantissas::Narrow(mantissas) = &mut self.mantissas
        {
            self.magnitude = self.magnitude.max(u128::from(value.unsigned_abs()));
            mantissas.push(value);
        } else {
            self.push_parts(i128::from(value), 0);
        }
    }

    /// Appends a float, by the decimal that it shows.
    pub(super) fn push_float(&mut self, value: f64) {
        if self.scale <= FLOAT_PLACES_MAX
            && let Some(units) = float_in_units(value, self.scale)
            && let Mantissas::Narrow(mantissas) = &mut self.mantissas
        {
            self.magnitude = self.magnitude.max(u128::from(units.unsigned_abs()));
            mantissas.push(units);
        } else {
            self.push(&Number::Float(value));
        }
    }

    /// Appends a number.
    pub(super) fn push(&mut self, number: &Number<'_>) {
        match number.parts() {
            Some((mantissa, scale)) => self.push_parts(i128::from(mantissa), scale),
            None => self.push_exact(&number.exact()),
        }
    }

    /// Appends an exact number.
    pub(super) fn push_exact(&mut self, number: &Exact) {
        match number.parts() {
            Some((mantissa, scale)) => self.push_parts(mantissa, scale),
            None => self.push_wide(number.clone()),
        }
    }

    fn push_wide(&mut self, number: Exact) {
        self.wide.push((position(self.len()), number));
        match &mut self.mantissas {
            Mantissas::Narrow(mantissas) => mantissas.push(0),
            Mantissas::Broad(mantissas) => mantissas.push(0),
        }
    }

    fn push_parts(&mut self, mantissa: i128, scale: u32) {
        if scale > self.scale && !self.raise_scale(scale) {
            return self.push_wide(Exact::new(mantissa, scale));
        }
        let power = power_of_ten(self.scale - scale);
        match power.and_then(|power| mantissa.checked_mul(power)) {
            Some(scaled) => self.push_mantissa(scaled),
            None => self.push_wide(Exact::new(mantissa, scale)),
        }
    }

    fn push_mantissa(&mut self, mantissa: i128) {
        self.magnitude = self.magnitude.max(mantissa.unsigned_abs());
        match &mut self.mantissas {
            Mantissas::Broad(mantissas) => mantissas.push(mantissa),
            Mantissas::Narrow(mantissas) => match i64::try_from(mantissa) {
                Ok(mantissa) => mantissas.push(mantissa),
                Err(_) => {
                    let mut broad: Vec<i128> = mantissas.iter().copied().map(i128::from).collect();
                    broad.push(mantissa);
                    self.mantissas = Mantissas::Broad(broad);
                }
            },
        }
    }

    /// Gives all numbers more places; not if one of them would no longer fit.
    fn raise_scale(&mut self, scale: u32) -> bool {
        let power = power_of_ten(scale - self.scale).filter(|_| scale <= SCALE_MAX);
        let raised = power.and_then(|power| {
            let magnitude = self.magnitude.checked_mul(power.unsigned_abs())?;
            (magnitude <= i128::MAX.unsigned_abs()).then_some((power, magnitude))
        });
        let Some((power, magnitude)) = raised else { return false };
        match &mut self.mantissas {
            Mantissas::Broad(mantissas) => {
                mantissas.iter_mut().for_each(|mantissa| *mantissa *= power);
            }
            Mantissas::Narrow(_) if self.magnitude == 0 => {}
            Mantissas::Narrow(mantissas) => match i64::try_from(power) {
                Ok(power) if magnitude <= u128::from(i64::MAX.unsigned_abs()) => {
                    mantissas.iter_mut().for_each(|mantissa| *mantissa *= power);
                }
                _ => {
                    let broad = mantissas.iter().map(|&mantissa| i128::from(mantissa) * power);
                    self.mantissas = Mantissas::Broad(broad.collect());
                }
            },
        }
        (self.scale, self.magnitude) = (scale, magnitude);
        true
    }

    fn mantissa(&self, place: usize) -> i128 {
        match &self.mantissas {
            Mantissas::Narrow(mantissas) => i128::from(mantissas[place]),
            Mantissas::Broad(mantissas) => mantissas[place],
        }
    }

    fn wide(&self, place: usize) -> Option<&Exact> {
        if self.wide.is_empty() {
            return None;
        }
        let found = self.wide.binary_search_by_key(&position(place), |(of, _)| *of).ok()?;
        Some(&self.wide[found].1)
    }

    /// The number at a place.
    pub(super) fn get(&self, place: usize) -> Exact {
        let wide = self.wide(place).cloned();
        wide.unwrap_or_else(|| Exact::new(self.mantissa(place), self.scale))
    }

    /// Adds the numbers at these places to an accumulator, each as an event's.
    pub(super) fn add_to(&self, places: Range<usize>, accumulator: &mut Accumulator) {
        each_run(&self.wide, places, |run| match run {
            Run::Wide(number) => accumulator.add_exact(number),
            Run::Places(places) => match &self.mantissas {
                Mantissas::Narrow(all) => accumulator.add_numbers(&all[places], self.scale),
                Mantissas::Broad(all) => accumulator.add_numbers(&all[places], self.scale),
            },
        });
    }

    /// How many numbers do not fit a column of this width and scale.
    fn beyond(&self, width: Width, scale: u32) -> usize {
        let power = power_of_ten(scale.saturating_sub(self.scale));
        let fits = |mantissa: i128| {
            let scaled = power.and_then(|power| mantissa.checked_mul(power));
            scaled.is_some_and(|scaled| width.holds(scaled))
        };
        if let Ok(magnitude) = i128::try_from(self.magnitude)
            && fits(magnitude)
        {
            return self.wide.len();
        }
        let beyond = match &self.mantissas {
            Mantissas::Narrow(all) => {
                all.iter().filter(|&&mantissa| !fits(mantissa.into())).count()
            }
            Mantissas::Broad(all) => all.iter().filter(|&&mantissa| !fits(mantissa)).count(),
        };
        self.wide.len() + beyond
    }

    /// Appends its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut column = ColumnWriter::for_all(&[self]);
        let mut bytes = Vec::new();
        for place in 0..self.len() {
            column.push(self, place, &mut bytes);
        }
        column.finish().encode(out);
        out.extend_from_slice(&bytes);
    }

    /// Reads so many numbers that [`encode`](Self::encode) wrote.
    pub(super) fn decode(count: usize, bytes: &mut Bytes<'_>) -> Option<Self> {
        let NumberColumn { scale, width, wide } = NumberColumn::decode(bytes)?;
        let column = bytes.take(count.checked_mul(width.bytes())?)?;
        let mantissas = match width {
            Width::Bytes16 => Mantissas::Broad(broad(column).collect()),
            width => {
                let mut narrow = Vec::new();
                width.narrow(column, &mut narrow);
                Mantissas::Narrow(narrow)
            }
        };
        let magnitude = match &mantissas {
            Mantissas::Narrow(all) => {
                all.iter().map(|mantissa| u128::from(mantissa.unsigned_abs())).max()
            }
            Mantissas::Broad(all) => all.iter().map(|mantissa| mantissa.unsigned_abs()).max(),
        };
        let magnitude = magnitude.unwrap_or(0);
        Some(Self { scale, mantissas, wide, magnitude })
    }
}

/// Numbers that are added at once.
enum Run<'w> {
    /// Those at these places, none of which is wide.
    Places(Range<usize>),
    /// One that does not fit.
    Wide(&'w Exact),
}

/// Cuts places where there are wide numbers.
fn each_run<'w>(wide: &'w [(u32, Exact)], places: Range<usize>, mut visit: impl FnMut(Run<'w>)) {
    let mut from = places.start;
    if !wide.is_empty() {
        let first = wide.partition_point(|(place, _)| (*place as usize) < places.start);
        for (place, number) in wide.iter().skip(first) {
            let place = *place as usize;
            if place >= places.end {
                break;
            }
            if from < place {
                visit(Run::Places(from..place));
            }
            visit(Run::Wide(number));
            from = place + 1;
        }
    }
    if from < places.end {
        visit(Run::Places(from..places.end));
    }
}

/// Bytes of each mantissa of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Bytes1,
    Bytes2,
    Bytes4,
    Bytes8,
    Bytes16,
}

impl Width {
    const ALL: [Self; 5] = [Self::Bytes1, Self::Bytes2, Self::Bytes4, Self::Bytes8, Self::Bytes16];

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Bytes1 => 1,
            Self::Bytes2 => 2,
            Self::Bytes4 => 4,
            Self::Bytes8 => 8,
            Self::Bytes16 => 16,
        }
    }

    fn of_bytes(bytes: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|width| position(width.bytes()) == bytes)
    }

    fn holds(self, mantissa: i128) -> bool {
        match self {
            Self::Bytes1 => i8::try_from(mantissa).is_ok(),
            Self::Bytes2 => i16::try_from(mantissa).is_ok(),
            Self::Bytes4 => i32::try_from(mantissa).is_ok(),
            Self::Bytes8 => i64::try_from(mantissa).is_ok(),
            Self::Bytes16 => true,
        }
    }

    fn put(self, mantissa: i128, out: &mut Vec<u8>) {
        let bytes = mantissa.to_le_bytes();
        out.extend_from_slice(&bytes[..self.bytes()]);
    }

    /// Reads mantissas of up to 8 bytes.
    fn narrow(self, column: &[u8], out: &mut Vec<i64>) {
        out.clear();
        match self {
            Self::Bytes1 => out.extend(column.iter().map(|&byte| i64::from(byte.cast_signed()))),
            Self::Bytes2 => out.extend(
                column.as_chunks().0.iter().map(|bytes| i64::from(i16::from_le_bytes(*bytes))),
            ),
            Self::Bytes4 => out.extend(
                column.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
            ),
            Self::Bytes8 => {
                out.extend(column.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)));
            }
            // Never asked: they are read by `broad`.
            Self::Bytes16 => {}
        }
    }
}

/// Reads mantissas of 16 bytes.
fn broad(column: &[u8]) -> impl Iterator<Item = i128> {
    column.as_chunks().0.iter().map(|bytes| i128::from_le_bytes(*bytes))
}

/// What must be known of a column of mantissas to read it.
#[derive(Debug, Clone)]
pub(super) struct NumberColumn {
    scale: u32,
    width: Width,
    /// Numbers that do not fit, by place, ascending; their mantissa is 0.
    wide: Vec<(u32, Exact)>,
}

/// Mantissas of a column in memory.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// Of columns of up to 8 bytes.
    narrow: Vec<i64>,
    broad: Vec<i128>,
}

impl Decoded {
    /// Takes the mantissas of another part of the column, which follow.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.narrow.append(&mut other.narrow);
        self.broad.append(&mut other.broad);
    }
}

impl NumberColumn {
    /// Bytes of each mantissa.
    pub(super) fn width(&self) -> usize {
        self.width.bytes()
    }

    /// How many numbers stand beside the column.
    pub(super) fn wide_count(&self) -> usize {
        self.wide.len()
    }

    /// Reads mantissas in place of those that were there.
    pub(super) fn read(&self, bytes: &[u8], into: &mut Decoded) {
        if self.width == Width::Bytes16 {
            into.broad.clear();
            into.broad.extend(broad(bytes));
        } else {
            self.width.narrow(bytes, &mut into.narrow);
        }
    }

    /// Adds numbers to an accumulator, each as an event's: those at these places among mantissas of
    /// which the first is that at `first` in the column.
    pub(super) fn add_to(
        &self,
        first: usize,
        places: Range<usize>,
        decoded: &Decoded,
        accumulator: &mut Accumulator,
    ) {
        let in_column = first + places.start..first + places.end;
        each_run(&self.wide, in_column, |run| match run {
            Run::Wide(number) => accumulator.add_exact(number),
            Run::Places(places) => {
                let places = places.start - first..places.end - first;
                if self.width == Width::Bytes16 {
                    accumulator.add_numbers(&decoded.broad[places], self.scale);
                } else {
                    accumulator.add_numbers(&decoded.narrow[places], self.scale);
                }
            }
        });
    }

    /// Appends its bytes; the mantissas are the caller's.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u32(self.scale, out);
        put_u32(position(self.width.bytes()), out);
        put_u32(position(self.wide.len()), out);
        for (place, number) in &self.wide {
            put_u32(*place, out);
            put_text(&number.canonical_text(), out);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(super) fn decode(bytes: &mut Bytes<'_>) -> Option<Self> {
        let scale = bytes.u32()?;
        let width = Width::of_bytes(bytes.u32()?)?;
        let count = bytes.count()?;
        let mut wide = Vec::with_capacity(count);
        for _ in 0..count {
            wide.push((bytes.u32()?, Exact::from_canonical_text(bytes.text()?)?));
        }
        wide.is_sorted_by_key(|(place, _)| *place).then_some(Self { scale, width, wide })
    }
}

/// One in so many numbers may stand beside the column if that makes all others narrower.
const WIDE_PART: usize = 256;

/// Writes numbers as one column.
#[derive(Debug)]
pub(super) struct ColumnWriter {
    column: NumberColumn,
    count: u32,
}

impl ColumnWriter {
    /// A column that suits all these numbers.
    pub(super) fn for_all(numbers: &[&Numbers]) -> Self {
        let scale = numbers.iter().map(|numbers| numbers.scale).max().unwrap_or(0);
        let count: usize = numbers.iter().map(|numbers| numbers.len()).sum();
        let beyond =
            |width| numbers.iter().map(|numbers| numbers.beyond(width, scale)).sum::<usize>();
        let most_fit = |width: &Width| beyond(*width) <= count / WIDE_PART;
        let width = Width::ALL.into_iter().find(most_fit).unwrap_or(Width::Bytes16);
        Self { column: NumberColumn { scale, width, wide: Vec::new() }, count: 0 }
    }

    /// Appends the number at a place, and its mantissa's bytes to `out`.
    pub(super) fn push(&mut self, numbers: &Numbers, place: usize, out: &mut Vec<u8>) {
        let NumberColumn { scale, width, wide } = &mut self.column;
        let mantissa = numbers.mantissa(place);
        let scaled = match *scale - numbers.scale {
            0 => Some(mantissa),
            more => power_of_ten(more).and_then(|power| mantissa.checked_mul(power)),
        };
        match scaled.filter(|scaled| width.holds(*scaled) && numbers.wide(place).is_none()) {
            Some(scaled) => width.put(scaled, out),
            None => {
                wide.push((self.count, numbers.get(place)));
                width.put(0, out);
            }
        }
        self.count += 1;
    }

    /// What must be kept to read the column.
    pub(super) fn finish(self) -> NumberColumn {
        self.column
    }
}

#[cfg(test)]
mod tests {
    use floe_core::AggregationFunction;
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = Number<'static>> {
        prop_oneof![
            4 => (-200_i64..200).prop_map(Number::Int),
            1 => any::<i64>().prop_map(Number::Int),
            4 => (-9999_i64..9999, 0_i32..5)
                .prop_map(|(digits, places)| Number::Float(digits as f64 / 10_f64.powi(places))),
            1 => (0_f64..1000.0).prop_map(Number::Float),
            1 => any::<f64>().prop_filter_map("finite", Number::float),
            1 => (any::<i32>(), 0_u8..=12)
                .prop_filter_map("scale", |(m, s)| Number::decimal(m.into(), s)),
            1 => "[1-9][0-9]{18,45}".prop_map(|digits| Number::Big(digits.into())),
        ]
    }

    fn numbers(of: &[Number<'_>]) -> Numbers {
        let mut numbers = Numbers::default();
        for number in of {
            match number {
                Number::Int(value) => numbers.push_int(*value),
                Number::Float(value) => numbers.push_float(*value),
                other => numbers.push(other),
            }
        }
        numbers
    }

    fn function() -> impl Strategy<Value = AggregationFunction> {
        use AggregationFunction::{Avg, Max, Min, Sum};
        proptest::sample::select(vec![Sum, Max, Min, Avg])
    }

    proptest! {
        #[test]
        fn numbers_stay_what_they_are(
            of in prop::collection::vec(number(), 0..40),
            more in prop::collection::vec(number(), 0..40),
            function in function(),
            places in (0_usize..41, 0_usize..41),
        ) {
            let column = numbers(&of);
            prop_assert_eq!(column.len(), of.len());
            for (place, number) in of.iter().enumerate() {
                prop_assert_eq!(column.get(place), number.exact());
            }
            let mut bytes = Vec::new();
            column.encode(&mut bytes);
            let mut rest = Bytes(&bytes);
            let again = Numbers::decode(of.len(), &mut rest).unwrap();
            prop_assert!(rest.is_empty());
            let places = places.0.min(of.len())..places.1.min(of.len());
            let mut expected = Accumulator::new(function);
            of[places.start..places.end.max(places.start)]
                .iter()
                .for_each(|number| expected.add_exact(&number.exact()));
            for column in [&column, &again] {
                let mut sum = Accumulator::new(function);
                column.add_to(places.clone(), &mut sum);
                prop_assert_eq!(sum.finish(), expected.finish());
            }
            // Two parts as one column.
            let other = numbers(&more);
            let mut writer = ColumnWriter::for_all(&[&column, &other]);
            let mut bytes = Vec::new();
            (0..column.len()).for_each(|place| writer.push(&column, place, &mut bytes));
            (0..other.len()).for_each(|place| writer.push(&other, place, &mut bytes));
            prop_assert_eq!(bytes.len(), (of.len() + more.len()) * writer.column.width.bytes());
            let both = writer.finish();
            let width = both.width();
            for (place, number) in of.iter().chain(&more).enumerate() {
                let mut sum = Accumulator::new(AggregationFunction::Sum);
                let mut decoded = Decoded::default();
                let first = place / 2;
                both.read(&bytes[first * width..(place + 1) * width], &mut decoded);
                both.add_to(first, place - first..place - first + 1, &decoded, &mut sum);
                prop_assert_eq!(sum.finish(), number.exact());
            }
        }

        #[test]
        fn damaged_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0_usize..9) {
            let _ = Numbers::decode(count, &mut Bytes(&bytes));
        }
    }

    #[test]
    fn one_outlier_makes_no_column_wide() {
        let mut of: Vec<Number<'_>> = (0..1000).map(|value| Number::Int(value % 100)).collect();
        of[7] = Number::Int(i64::MAX);
        let column = numbers(&of);
        assert_eq!(ColumnWriter::for_all(&[&column]).column.width.bytes(), 1);
        of.truncate(100);
        assert_eq!(ColumnWriter::for_all(&[&numbers(&of)]).column.width.bytes(), 8);
        // Prices with two places, and floats with all their digits.
        let prices: Vec<Number<'_>> =
            (0..100).map(|cents| Number::Float(f64::from(cents) / 100.0)).collect();
        assert_eq!(ColumnWriter::for_all(&[&numbers(&prices)]).column.width.bytes(), 1);
        let thirds: Vec<Number<'_>> =
            (0..100).map(|third| Number::Float(f64::from(third) / 3.0)).collect();
        let writer = ColumnWriter::for_all(&[&numbers(&thirds)]);
        assert_eq!(writer.column.width.bytes(), 8);
    }
}
