//! The events that everything is measured with.
//!
//! One organization, 10,000 customers of whom few use much, three names, 90 days. Events come in
//! the order of their timestamps but for 1 in 100, which is up to two days late. Each event can be
//! made by itself from the seed and its index, so that several tasks share the work.

use std::borrow::Cow;
use std::fmt::Write as _;

use floe_core::{CustomerRef, EventSource, Metadata, NewEvent, Number, Timestamp, Value};

use crate::random::{Random, mix};

/// Customers of the data set.
pub(crate) const CUSTOMERS: u64 = 10_000;
/// 2026-01-01T00:00:00Z, in microseconds since the epoch.
pub(crate) const START_MICROS: i64 = 1_767_225_600_000_000;
/// One day, in microseconds.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;
/// Days of the data set: until 2026-04-01T00:00:00Z.
pub(crate) const DAYS: i64 = 90;

/// Names of events.
pub(crate) const NAMES: [&str; 3] = ["completion", "embedding", "search"];
/// Values of `model`.
pub(crate) const MODELS: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];
/// Values of `region`.
pub(crate) const REGIONS: [&str; 4] = ["r0", "r1", "r2", "r3"];
/// Keys of metadata where there are many.
const MANY_KEYS: usize = 200;
/// The keys that the questions are about come first among them.
pub(crate) const USUAL_KEYS: [&str; 4] = ["tokens", "model", "region", "latency"];

/// Data that an engine might have been tuned away from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Variant {
    /// The data set that the bars are about.
    Usual,
    /// One customer has half of all events.
    Skewed,
    /// 30 in 100 events lie anywhere in the 90 days.
    Late,
    /// Each event has 5 of 200 metadata keys.
    Sparse,
    /// Each event has 200 metadata keys.
    Wide,
    /// Each event has four more strings of 50 to 200 random characters.
    Strings,
}

impl Variant {
    /// All, as they are called on the command line.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("usual", Self::Usual),
        ("skewed", Self::Skewed),
        ("late", Self::Late),
        ("sparse", Self::Sparse),
        ("wide", Self::Wide),
        ("strings", Self::Strings),
    ];

    /// As it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, variant)| *variant == self).map_or("", |(name, _)| name)
    }
}

/// A data set.
#[derive(Debug)]
pub(crate) struct DataSet {
    events: u64,
    seed: u64,
    variant: Variant,
    customers: Vec<String>,
    keys: Vec<String>,
}

/// The customer with an index below [`CUSTOMERS`].
pub(crate) fn customer(index: u64) -> String {
    format!("cus_{index:05}")
}

/// The customer who has about so many of so many events: an index `i` has
/// `events / (2 sqrt(10,000 i))` of them.
pub(crate) fn customer_with(wanted: u64, events: u64) -> String {
    let root = events / (2 * wanted).max(1);
    customer((root * root / CUSTOMERS).min(CUSTOMERS - 1))
}

impl DataSet {
    /// A data set of so many events.
    pub(crate) fn new(events: u64, seed: u64, variant: Variant) -> Self {
        let many = (USUAL_KEYS.len()..MANY_KEYS).map(|index| format!("key_{index:03}"));
        Self {
            events,
            seed,
            variant,
            customers: (0..CUSTOMERS).map(customer).collect(),
            keys: USUAL_KEYS.into_iter().map(str::to_owned).chain(many).collect(),
        }
    }

    /// Events in it.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// All of them, in the order in which they are to be ingested.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NewEvent<'_>> {
        (0..self.events).map(|index| self.event(index))
    }

    /// The event with an index below [`events`](Self::events).
    pub(crate) fn event(&self, index: u64) -> NewEvent<'_> {
        let mut random = Random::new(self.seed, index);
        let timestamp = self.timestamp(index, &mut random);
        let customer = &self.customers[self.customer_index(&mut random)];
        // A bijection of the index: 64 random bits, and yet none twice.
        let external_id = format!("e{:016x}", mix(mix(self.seed).wrapping_add(index)));
        NewEvent {
            name: Cow::Borrowed(random.pick(&NAMES)),
            source: EventSource::User,
            customer: CustomerRef::External(Cow::Borrowed(customer)),
            timestamp,
            external_id: Some(Cow::Owned(external_id)),
            parent_id: None,
            external_member_id: None,
            metadata: self.metadata(&mut random),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "microseconds of 90 days")]
    #[expect(clippy::cast_precision_loss, reason = "microseconds of 90 days, and events")]
    fn timestamp(&self, index: u64, random: &mut Random) -> Timestamp {
        let span = (DAYS * DAY_MICROS) as f64;
        let in_order = ((index as f64 + random.unit()) / self.events as f64 * span) as i64;
        let micros = match self.variant {
            Variant::Late if random.chance(30) => (random.unit() * span) as i64,
            _ if random.chance(1) => {
                let late = random.unit() * (2 * DAY_MICROS).min(in_order) as f64;
                in_order - late as i64
            }
            _ => in_order,
        };
        let last = DAYS * DAY_MICROS - 1;
        Timestamp::from_micros(START_MICROS + micros.min(last)).unwrap_or(Timestamp::MIN)
    }

    /// The square of a uniform number is dense as one over its square root.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 10,000")]
    #[expect(clippy::cast_precision_loss, reason = "below 10,000")]
    fn customer_index(&self, random: &mut Random) -> usize {
        if self.variant == Variant::Skewed && random.chance(50) {
            return 0;
        }
        let unit = random.unit();
        (unit * unit * CUSTOMERS as f64) as usize
    }

    fn metadata(&self, random: &mut Random) -> Metadata<'_> {
        let mut entries = Vec::new();
        match self.variant {
            Variant::Sparse => {
                let mut chosen: Vec<usize> = Vec::with_capacity(5);
                while chosen.len() < 5 {
                    let key = random.index(MANY_KEYS);
                    if !chosen.contains(&key) {
                        chosen.push(key);
                    }
                }
                chosen.into_iter().for_each(|key| entries.push(self.entry(key, random)));
            }
            Variant::Wide => (0..MANY_KEYS).for_each(|key| entries.push(self.entry(key, random))),
            _ => (0..USUAL_KEYS.len()).for_each(|key| entries.push(self.entry(key, random))),
        }
        if self.variant == Variant::Strings {
            for key in ["text_0", "text_1", "text_2", "text_3"] {
                entries.push((Cow::Borrowed(key), Value::String(Cow::Owned(text(random)))));
            }
        }
        Metadata::from_distinct(entries)
    }

    fn entry(&self, key: usize, random: &mut Random) -> (Cow<'_, str>, Value<'_>) {
        let int = |random: &mut Random| {
            Value::Number(Number::Int(i64::try_from(random.below(1000)).unwrap_or(0)))
        };
        let value = match key {
            0 => int(random),
            1 => Value::String(Cow::Borrowed(random.pick(&MODELS))),
            2 => Value::String(Cow::Borrowed(random.pick(&REGIONS))),
            3 => latency(random),
            // Of many keys, most are numbers.
            _ => match key % 4 {
                0 => Value::String(Cow::Borrowed(random.pick(&MODELS))),
                1 => Value::Bool(random.chance(50)),
                _ => int(random),
            },
        };
        (Cow::Borrowed(self.keys[key].as_str()), value)
    }
}

/// Milliseconds with two places, up to 1000, 250 on average.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 100,000")]
fn latency(random: &mut Random) -> Value<'static> {
    let hundredths = (random.unit() * random.unit() * 100_000.0) as u32;
    Value::Number(Number::Float(f64::from(hundredths) / 100.0))
}

fn text(random: &mut Random) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz 01234";
    let length = 50 + random.index(151);
    (0..length).map(|_| char::from(random.pick(ALPHABET))).collect()
}

/// An event as the wire has it.
pub(crate) fn to_json(event: &NewEvent<'_>) -> String {
    let mut json = String::new();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let CustomerRef::External(customer) = &event.customer else { return json };
    // Writing to a String cannot fail.
    let _ = write!(
        json,
        r#"{{"name":{},"external_customer_id":{},"external_id":{},"timestamp":"{}","metadata":{{"#,
        quoted(&event.name),
        quoted(customer),
        quoted(event.external_id.as_deref().unwrap_or_default()),
        event.timestamp
    );
    for (index, (key, value)) in event.metadata.iter().enumerate() {
        json.push_str(if index > 0 { "," } else { "" });
        json.push_str(&quoted(key));
        json.push(':');
        match value {
            Value::String(text) => json.push_str(&quoted(text)),
            other => json.push_str(&other.text().unwrap_or(Cow::Borrowed("null"))),
        }
    }
    json.push_str("}}");
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn metadata_len(variant: Variant) -> usize {
        DataSet::new(1, 7, variant).event(0).metadata.iter().len()
    }

    #[test]
    fn a_seed_and_an_index_make_an_event() {
        let (one, same) =
            (DataSet::new(1000, 7, Variant::Usual), DataSet::new(1000, 7, Variant::Usual));
        assert!(one.iter().eq((0..1000).map(|index| same.event(index))));
        assert_ne!(one.event(5), DataSet::new(1000, 8, Variant::Usual).event(5));
        // A change of the generator makes new figures incomparable with old ones: say so there.
        assert_eq!(
            to_json(&one.event(0)),
            concat!(
                r#"{"name":"completion","external_customer_id":"cus_08119","external_id":"eb78b9f38a670e787","#,
                r#""timestamp":"2026-01-01T02:03:08.454905Z","metadata":{"tokens":728,"model":"m0","region":"r0","latency":609.69}}"#
            )
        );
    }

    #[test]
    fn the_usual_data_are_as_they_are_said_to_be() {
        let data = DataSet::new(100_000, 1, Variant::Usual);
        let (mut ids, mut of_customer) = (HashSet::new(), HashMap::new());
        let (mut late, mut latest) = (0_u32, Timestamp::MIN);
        for event in data.iter() {
            assert!(event.timestamp.micros() >= START_MICROS);
            assert!(event.timestamp.micros() < START_MICROS + DAYS * DAY_MICROS);
            late += u32::from(event.timestamp < latest);
            latest = latest.max(event.timestamp);
            let external_id = event.external_id.unwrap();
            assert_eq!(external_id.len(), 17);
            assert!(ids.insert(external_id.into_owned()));
            *of_customer.entry(event.customer).or_insert(0_u32) += 1;
            assert_eq!(event.metadata.iter().len(), 4);
        }
        assert!((900..1100).contains(&late), "{late}");
        // The first quarter of the customers has half of the events.
        let quarter: HashSet<_> = (0..CUSTOMERS / 4).map(customer).collect();
        let half: u32 = of_customer
            .iter()
            .filter(|(of, _)| matches!(of, CustomerRef::External(of) if quarter.contains(&**of)))
            .map(|(_, count)| count)
            .sum();
        assert!((49_000..51_000).contains(&half), "{half}");
    }

    #[test]
    fn a_customer_of_any_size_is_found() {
        assert_eq!(customer_with(1000, 10_000_000), "cus_02500");
        assert_eq!(customer_with(5000, 10_000_000), "cus_00100");
        assert_eq!(customer_with(5000, 100_000_000), "cus_09999");
        let data = DataSet::new(100_000, 1, Variant::Usual);
        let wanted = CustomerRef::External(customer_with(100, 100_000).into());
        let count = data.iter().filter(|event| event.customer == wanted).count();
        assert!((70..130).contains(&count), "{count}");
    }

    #[test]
    fn variants_differ_where_they_should() {
        assert_eq!(metadata_len(Variant::Sparse), 5);
        assert_eq!(metadata_len(Variant::Wide), 200);
        assert_eq!(metadata_len(Variant::Strings), 8);
        let skewed = DataSet::new(10_000, 1, Variant::Skewed);
        let first = CustomerRef::External(customer(0).into());
        let of_first = skewed.iter().filter(|event| event.customer == first).count();
        assert!((4_900..5_300).contains(&of_first), "{of_first}");
        let late = DataSet::new(10_000, 1, Variant::Late);
        let mut latest = Timestamp::MIN;
        let behind = late.iter().filter(|event| {
            let is_behind = event.timestamp < latest;
            latest = latest.max(event.timestamp);
            is_behind
        });
        assert!(behind.count() > 2_500);
    }
}
