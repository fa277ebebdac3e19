//! What a definition counts in each quarter of an hour, over the rows of a segment or a chunk.
//!
//! Every offset of every zone since 1972 is a multiple of a quarter, so the buckets of a question
//! about all customers are made of whole cells, whatever its zone; where they are not, it is not
//! answered from here.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use floe_core::{
    Accumulator, AggregationFunction, DistinctValue, EVERYBODY, QuantityAccumulator, Series,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::bytes::{Bytes, put_u32, put_u32s};
use super::matches::{Contributions, Matches, NO_VALUE};
use super::numbers::Numbers;
use super::position;
use super::texts::{TextCodes, Texts};

/// Microseconds of a cell.
const CELL_MICROS: i64 = 15 * 60 * 1_000_000;

/// A rollup of `unique` keeps each value once a cell. If that is hardly less than the rows
/// themselves there is none: not more than one in so many rows, but for so many in any case.
const VALUES_PART: usize = 8;
const VALUES_MIN: usize = 4096;

/// A quarter of an hour, counted from the epoch. 32 bits hold every year that there is.
type CellNumber = i32;

/// The cell of an instant.
fn cell_of(micros: i64) -> CellNumber {
    let number = micros.div_euclid(CELL_MICROS);
    CellNumber::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// Whether the buckets of a series are made of whole cells.
pub(super) fn suits(series: &Series) -> bool {
    series.edges().iter().all(|edge| edge % CELL_MICROS == 0)
}

/// What cells hold, in order of time; only those that have something.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Rollup {
    cells: Vec<CellNumber>,
    parts: Parts,
}

/// What each of the cells holds.
#[derive(Debug, Clone)]
enum Parts {
    Counts(Vec<u32>),
    Sums(Numbers),
    SumsAndCounts(Numbers, Vec<u32>),
    Greatest(Numbers),
    Least(Numbers),
    /// The codes of the distinct values of each cell, one cell after the other, and where each ends.
    Values {
        ends: Vec<u32>,
        codes: Vec<u32>,
        texts: Texts,
    },
    /// There are too many distinct values; it is not answered from here.
    None,
}

impl Default for Parts {
    fn default() -> Self {
        Self::Counts(Vec::new())
    }
}

impl Rollup {
    /// Whether questions can be answered from it.
    pub(in super::super) fn is_there(&self) -> bool {
        !matches!(self.parts, Parts::None)
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        let parts = match &self.parts {
            Parts::Counts(counts) => 4 * counts.len(),
            Parts::Sums(numbers) | Parts::Greatest(numbers) | Parts::Least(numbers) => {
                numbers.memory()
            }
            Parts::SumsAndCounts(numbers, counts) => numbers.memory() + 4 * counts.len(),
            Parts::Values { ends, codes, texts } => {
                4 * ends.len() + 4 * codes.len() + texts.memory()
            }
            Parts::None => 0,
        };
        size_of::<Self>() + 4 * self.cells.len() + parts
    }

    /// Adds what it holds to the buckets of a series that it [`suits`]; customers are not told
    /// apart.
    pub(super) fn add_to(&self, series: &Series, accumulator: &mut QuantityAccumulator) {
        let mut of_codes = Vec::new();
        let mut from = 0;
        for (edges, slot) in series.edges().windows(2).zip(series.slots()) {
            let &[start, end] = edges else { continue };
            let Some(bucket) = slot else { continue };
            let (start, end) = (cell_of(start), cell_of(end));
            from += self.cells[from..].partition_point(|&cell| cell < start);
            let count = self.cells[from..].partition_point(|&cell| cell < end);
            let cells = from..from + count;
            from = cells.end;
            if cells.is_empty() {
                continue;
            }
            if let Parts::Values { ends, codes, texts } = &self.parts {
                of_codes.resize(texts.len(), None);
                let first = cells.start.checked_sub(1).map_or(0, |before| ends[before]);
                let codes = &codes[first as usize..ends[cells.end - 1] as usize];
                let values = distinct(codes, &mut of_codes, texts, accumulator);
                accumulator.cell(*bucket as usize, EVERYBODY).add_values(values);
            } else if let Some(part) = self.part(cells) {
                accumulator.cell(*bucket as usize, EVERYBODY).merge(&part);
            }
        }
    }

    fn part(&self, cells: Range<usize>) -> Option<Accumulator> {
        let add = |numbers: &Numbers, function: AggregationFunction| {
            let mut part = Accumulator::new(function);
            numbers.add_to(cells.clone(), &mut part);
            part
        };
        let count = |counts: &[u32]| counts[cells.clone()].iter().map(|&c| u64::from(c)).sum();
        Some(match &self.parts {
            Parts::Counts(counts) => Accumulator::Count(count(counts)),
            Parts::Sums(sums) => add(sums, AggregationFunction::Sum),
            Parts::SumsAndCounts(sums, counts) => Accumulator::Avg {
                sum: add(sums, AggregationFunction::Sum).finish(),
                count: count(counts),
            },
            Parts::Greatest(numbers) => add(numbers, AggregationFunction::Max),
            Parts::Least(numbers) => add(numbers, AggregationFunction::Min),
            Parts::Values { .. } | Parts::None => return None,
        })
    }

    /// Whether another one, of the same function, tells the same: codes of values may differ.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_numbers = |a: &Numbers, b: &Numbers| {
            a.len() == b.len() && (0..a.len()).all(|place| a.get(place) == b.get(place))
        };
        let parts_are_same = match (&self.parts, &other.parts) {
            (Parts::None, Parts::None) => true,
            (Parts::Counts(a), Parts::Counts(b)) => a == b,
            (Parts::Sums(a), Parts::Sums(b))
            | (Parts::Greatest(a), Parts::Greatest(b))
            | (Parts::Least(a), Parts::Least(b)) => same_numbers(a, b),
            (Parts::SumsAndCounts(a, counts), Parts::SumsAndCounts(b, others)) => {
                counts == others && same_numbers(a, b)
            }
            (Parts::Values { ends, .. }, Parts::Values { ends: others, .. }) => {
                ends == others
                    && (0..ends.len()).all(|cell| self.values_of(cell) == other.values_of(cell))
            }
            _ => false,
        };
        self.cells == other.cells && parts_are_same
    }

    /// The distinct values of a cell, with `None` for events that have none.
    fn values_of(&self, cell: usize) -> BTreeSet<Option<&str>> {
        let Parts::Values { ends, codes, texts } = &self.parts else { return BTreeSet::new() };
        let first = cell.checked_sub(1).map_or(0, |before| ends[before] as usize);
        let text = |code: &u32| match *code {
            NO_VALUE => None,
            code => Some(texts.get(code as usize - 1)),
        };
        codes[first..ends[cell] as usize].iter().map(text).collect()
    }

    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let tag = match &self.parts {
            Parts::None => 0,
            Parts::Counts(_) => 1,
            Parts::Sums(_) => 2,
            Parts::SumsAndCounts(..) => 3,
            Parts::Greatest(_) => 4,
            Parts::Least(_) => 5,
            Parts::Values { .. } => 6,
        };
        put_u32(tag, &mut out);
        put_u32(position(self.cells.len()), &mut out);
        out.extend(self.cells.iter().flat_map(|cell| cell.to_le_bytes()));
        match &self.parts {
            Parts::None => {}
            Parts::Counts(counts) => put_u32s(counts, &mut out),
            Parts::Sums(numbers) | Parts::Greatest(numbers) | Parts::Least(numbers) => {
                numbers.encode(&mut out);
            }
            Parts::SumsAndCounts(numbers, counts) => {
                put_u32s(counts, &mut out);
                numbers.encode(&mut out);
            }
            Parts::Values { ends, codes, texts } => {
                put_u32s(ends, &mut out);
                put_u32s(codes, &mut out);
                texts.encode(&mut out);
            }
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote for an aggregation of this function.
    pub(super) fn decode(function: AggregationFunction, bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let (tag, count) = (bytes.u32()?, bytes.count()?);
        let cells = bytes.u32s(count)?.into_iter().map(u32::cast_signed).collect();
        let parts = match (tag, function) {
            (0, AggregationFunction::Unique) => Parts::None,
            (1, AggregationFunction::Count) => Parts::Counts(bytes.u32s(count)?),
            (2, AggregationFunction::Sum) => Parts::Sums(Numbers::decode(count, &mut bytes)?),
            (3, AggregationFunction::Avg) => {
                let counts = bytes.u32s(count)?;
                Parts::SumsAndCounts(Numbers::decode(count, &mut bytes)?, counts)
            }
            (4, AggregationFunction::Max) => Parts::Greatest(Numbers::decode(count, &mut bytes)?),
            (5, AggregationFunction::Min) => Parts::Least(Numbers::decode(count, &mut bytes)?),
            (6, AggregationFunction::Unique) => {
                let ends = bytes.u32s(count)?;
                let codes = bytes.u32s(ends.last().map_or(0, |&end| end as usize))?;
                let texts = Texts::decode(&mut bytes)?;
                let are_codes = codes.iter().all(|&code| code as usize <= texts.len());
                (ends.is_sorted() && are_codes).then_some(Parts::Values { ends, codes, texts })?
            }
            _ => return None,
        };
        let rollup = Self { cells, parts };
        (bytes.is_empty() && rollup.cells.is_sorted()).then_some(rollup)
    }
}

/// The distinct values among codes; `of_codes` remembers those that the accumulator knows already.
pub(super) fn distinct(
    codes: &[u32],
    of_codes: &mut [Option<DistinctValue>],
    texts: &Texts,
    accumulator: &mut QuantityAccumulator,
) -> Vec<DistinctValue> {
    let mut values = Vec::new();
    let mut seen = FxHashSet::default();
    for &code in codes {
        if code != NO_VALUE && seen.insert(code) {
            let code = code as usize - 1;
            let value = *of_codes[code].get_or_insert_with(|| accumulator.value(texts.get(code)));
            values.push(value);
        }
    }
    values
}

/// Gathers a rollup from matches, in any order.
#[derive(Debug)]
pub(super) struct RollupBuilder {
    function: AggregationFunction,
    /// Where in `parts` a cell is. The hash of our own numbers need not resist anybody.
    places: FxHashMap<CellNumber, usize>,
    parts: Vec<PartBuilder>,
    texts: TextCodes,
    /// Values of all cells together, and beyond how many there is no rollup.
    values: usize,
    values_max: usize,
}

#[derive(Debug)]
enum PartBuilder {
    Of(Accumulator),
    Values(FxHashSet<u32>),
}

impl RollupBuilder {
    /// One for a segment or chunk of so many rows.
    pub(super) fn new(function: AggregationFunction, rows: usize) -> Self {
        Self {
            function,
            places: FxHashMap::default(),
            parts: Vec::new(),
            texts: TextCodes::default(),
            values: 0,
            values_max: VALUES_MIN.max(rows / VALUES_PART),
        }
    }

    fn has_too_many_values(&self) -> bool {
        self.values > self.values_max
    }

    fn place(&mut self, cell: CellNumber) -> usize {
        let (function, parts) = (self.function, &mut self.parts);
        *self.places.entry(cell).or_insert_with(|| {
            parts.push(match function {
                AggregationFunction::Unique => PartBuilder::Values(FxHashSet::default()),
                function => PartBuilder::Of(Accumulator::new(function)),
            });
            parts.len() - 1
        })
    }

    /// Adds matches, given the timestamps of their rows.
    pub(super) fn add(&mut self, micros: &[i64], matches: &Matches) {
        let at = |place: usize| {
            // What could not be read is told by its batch.
            matches.rows.get(place).and_then(|&row| micros.get(row as usize)).copied()
        };
        let codes = match &matches.contributions {
            // Enough is known, of this part and so of the whole: see `finish`.
            Contributions::Values(_) if self.has_too_many_values() => return,
            Contributions::Values(values) => {
                let own: Vec<u32> =
                    values.texts.texts().iter().map(|text| self.texts.code(text) + 1).collect();
                let code = |&code: &u32| match code {
                    NO_VALUE => NO_VALUE,
                    code => own[code as usize - 1],
                };
                values.codes.iter().map(code).collect()
            }
            _ => Vec::new(),
        };
        // Rows of one cell mostly stand together.
        let mut from = 0;
        while let Some(first) = at(from) {
            let cell = cell_of(first);
            let start = i64::from(cell) * CELL_MICROS;
            let mut to = from + 1;
            while at(to).is_some_and(|micros| {
                micros.wrapping_sub(start).cast_unsigned() < CELL_MICROS.cast_unsigned()
            }) {
                to += 1;
            }
            let place = self.place(cell);
            match (&mut self.parts[place], &matches.contributions) {
                (PartBuilder::Of(Accumulator::Count(count)), _) => *count += (to - from) as u64,
                (PartBuilder::Of(part), Contributions::Numbers(numbers)) => {
                    numbers.add_to(from..to, part);
                }
                (PartBuilder::Values(values), _) => {
                    let before = values.len();
                    values.extend(&codes[from..to]);
                    self.values += values.len() - before;
                }
                (PartBuilder::Of(_), _) => {}
            }
            from = to;
        }
    }

    /// Adds what another builder for the same function holds.
    pub(super) fn merge(&mut self, other: Self) {
        if other.has_too_many_values() {
            self.values = other.values;
        }
        if self.has_too_many_values() {
            return;
        }
        let texts = other.texts.into_texts();
        let own: Vec<u32> = texts.iter().map(|text| self.texts.code(text) + 1).collect();
        for (cell, place) in sorted(other.places) {
            let into = self.place(cell);
            match (&mut self.parts[into], &other.parts[place]) {
                (PartBuilder::Of(whole), PartBuilder::Of(part)) => whole.merge(part),
                (PartBuilder::Values(whole), PartBuilder::Values(part)) => {
                    let before = whole.len();
                    whole.extend(part.iter().map(|&code| match code {
                        NO_VALUE => NO_VALUE,
                        code => own[code as usize - 1],
                    }));
                    self.values += whole.len() - before;
                }
                (_, _) => {}
            }
        }
    }

    /// The rollup.
    pub(super) fn finish(self) -> Rollup {
        if self.has_too_many_values() {
            return Rollup { cells: Vec::new(), parts: Parts::None };
        }
        let order = sorted(self.places);
        let cells = order.iter().map(|(cell, _)| *cell).collect();
        let parts = order.iter().map(|(_, place)| &self.parts[*place]);
        let mut numbers = Numbers::default();
        let mut counts = Vec::new();
        let (mut ends, mut codes) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                PartBuilder::Of(Accumulator::Count(count)) => counts.push(clamped(*count)),
                PartBuilder::Of(Accumulator::Avg { sum, count }) => {
                    numbers.push_exact(sum);
                    counts.push(clamped(*count));
                }
                PartBuilder::Of(part) => numbers.push_exact(&part.finish()),
                PartBuilder::Values(values) => {
                    let mut values: Vec<u32> = values.iter().copied().collect();
                    values.sort_unstable();
                    codes.extend(values);
                    ends.push(position(codes.len()));
                }
            }
        }
        let parts = match self.function {
            AggregationFunction::Count => Parts::Counts(counts),
            AggregationFunction::Sum => Parts::Sums(numbers),
            AggregationFunction::Avg => Parts::SumsAndCounts(numbers, counts),
            AggregationFunction::Max => Parts::Greatest(numbers),
            AggregationFunction::Min => Parts::Least(numbers),
            AggregationFunction::Unique => {
                Parts::Values { ends, codes, texts: self.texts.into_texts() }
            }
        };
        Rollup { cells, parts }
    }
}

/// In order of time.
fn sorted(
    places: HashMap<CellNumber, usize, rustc_hash::FxBuildHasher>,
) -> Vec<(CellNumber, usize)> {
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_unstable();
    places
}

/// A count of rows of one segment, of which there are less than 2^32.
fn clamped(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::matches::Values;
    use super::*;

    /// Two hours of events, one a second, with a value that a few of them share.
    fn of_values(distinct: u32) -> (Vec<i64>, Matches) {
        let micros = (0..7200).map(|second| second * 1_000_000).collect();
        let mut values = Values::default();
        for row in 0..7200_u32 {
            let value = row % distinct;
            values.codes.push(values.texts.code(&value.to_string()) + 1);
        }
        let contributions = Contributions::Values(values);
        (micros, Matches { rows: (0..7200).collect(), contributions })
    }

    fn rollup(distinct: u32, rows: usize) -> Rollup {
        let (micros, matches) = of_values(distinct);
        let new = || RollupBuilder::new(AggregationFunction::Unique, rows);
        let mut builder = new();
        builder.add(&micros, &matches);
        let mut other = new();
        other.merge(builder);
        other.finish()
    }

    #[test]
    fn values_that_hardly_repeat_have_no_rollup() {
        assert!(rollup(7, 7200).is_there());
        assert!(rollup(400, 7200).is_there());
        assert!(!rollup(7200, 7200).is_there());
        assert!(rollup(7200, 8 * 7200).is_there());
        let none = Rollup::decode(AggregationFunction::Unique, &rollup(7200, 7200).encode());
        assert!(!none.unwrap().is_there());
    }

    #[test]
    fn bytes_of_another_function_are_refused() {
        let bytes = rollup(7, 7200).encode();
        let is_read = |function| Rollup::decode(function, &bytes).is_some();
        let readers = AggregationFunction::ALL.map(|(_, function)| is_read(function));
        assert_eq!(readers, [false, false, false, false, false, true]);
        assert!((0..bytes.len()).all(|length| {
            Rollup::decode(AggregationFunction::Unique, &bytes[..length]).is_none()
        }));
    }

    #[test]
    fn cells_are_quarters_of_an_hour_before_the_epoch_too() {
        assert_eq!([-1, 0, CELL_MICROS - 1, CELL_MICROS].map(cell_of), [-1, 0, 0, 1]);
        let years = [floe_core::Timestamp::MIN, floe_core::Timestamp::MAX];
        assert_eq!(years.map(|at| cell_of(at.micros())), [-69_039_552, 281_558_111]);
    }
}
