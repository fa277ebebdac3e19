//! Identifiers: version-4 UUIDs on the wire, numbers behind a keyed permutation where we can.

use std::fmt;

use siphasher::sip::SipHasher24;
use uuid::{Builder, Uuid};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id! {
    /// The tenant: everything belongs to one organization.
    OrganizationId
    /// An organization's access token (not its secret).
    AccessTokenId
    /// A customer.
    CustomerId
    /// A meter.
    MeterId
    /// An event: the permuted [`Sequence`] of the event.
    EventId
    /// A customer and a meter together.
    CustomerMeterId
    /// An organization's event name.
    EventTypeId
}

/// An event's place in the order of ingestion, from 0, over all organizations of a data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Low bits of a half: the 122 free bits of a version-4 UUID are two halves of 61.
const HALF: u64 = (1 << 61) - 1;
/// Four rounds of a keyed pseudo-random function make a permutation that cannot be told from a
/// random one (Luby and Rackoff, 1988); two more are cheap.
const ROUNDS: u8 = 6;

/// Turns numbers into version-4-shaped UUIDs and back, by a key.
///
/// So an event's id is its address and need not be stored, and who holds ids learns neither the
/// number of events nor how to make another valid one: a guessed id decodes to a valid number
/// with probability 2^-58.
#[derive(Clone)]
pub struct IdCipher {
    key: [u8; 16],
}

impl fmt::Debug for IdCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdCipher(..)")
    }
}

/// What an id is of; each kind has its own permutation.
#[derive(Clone, Copy)]
enum Kind {
    Event = 1,
    CustomerMeter = 2,
    EventType = 3,
    KeyCheck = 4,
}

impl IdCipher {
    /// A cipher of a 128-bit key. The key must never change for a data folder.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// A value that tells whether two ciphers have the same key, and nothing else.
    #[must_use]
    pub fn key_check(&self) -> [u8; 8] {
        self.prf(Kind::KeyCheck, 0, 0).to_le_bytes()
    }

    /// The id of the event with this sequence number.
    #[must_use]
    pub fn event_id(&self, sequence: Sequence) -> EventId {
        let high = sequence.0 >> 61;
        EventId(self.encrypt(Kind::Event, high, sequence.0 & HALF))
    }

    /// The sequence number that an id stands for, if it is one of ours.
    #[must_use]
    pub fn sequence(&self, id: EventId) -> Option<Sequence> {
        let (high, low) = self.decrypt(Kind::Event, id.0)?;
        (high < 8).then_some(Sequence(high << 61 | low))
    }

    /// The id of a customer and a meter, by their numbers in the catalog (below 2^61).
    #[must_use]
    pub fn customer_meter_id(&self, customer: u64, meter: u64) -> CustomerMeterId {
        CustomerMeterId(self.encrypt(Kind::CustomerMeter, customer & HALF, meter & HALF))
    }

    /// The numbers of the customer and the meter that an id stands for.
    #[must_use]
    pub fn customer_and_meter(&self, id: CustomerMeterId) -> Option<(u64, u64)> {
        self.decrypt(Kind::CustomerMeter, id.0)
    }

    /// The id of an organization's event name: a keyed hash.
    #[must_use]
    pub fn event_type_id(&self, organization: OrganizationId, name: &str) -> EventTypeId {
        let mut text = organization.0.as_bytes().to_vec();
        text.extend_from_slice(name.as_bytes());
        let half = |side: u8| {
            let mut hasher = self.hasher(Kind::EventType, side);
            std::hash::Hasher::write(&mut hasher, &text);
            std::hash::Hasher::finish(&hasher) & HALF
        };
        EventTypeId(shape(half(0), half(1)))
    }

    fn hasher(&self, kind: Kind, round: u8) -> SipHasher24 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        std::hash::Hasher::write(&mut hasher, &[kind as u8, round]);
        hasher
    }

    fn prf(&self, kind: Kind, round: u8, half: u64) -> u64 {
        let mut hasher = self.hasher(kind, round);
        std::hash::Hasher::write(&mut hasher, &half.to_le_bytes());
        std::hash::Hasher::finish(&hasher) & HALF
    }

    fn encrypt(&self, kind: Kind, mut left: u64, mut right: u64) -> Uuid {
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.prf(kind, round, right));
        }
        shape(left, right)
    }

    fn decrypt(&self, kind: Kind, id: Uuid) -> Option<(u64, u64)> {
        if id.get_version_num() != 4 || id.get_variant() != uuid::Variant::RFC4122 {
            return None;
        }
        let (mut left, mut right) = unshape(id);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.prf(kind, round, left), left);
        }
        Some((left, right))
    }
}

/// Lays two halves around the version and variant bits: 48 bits, version, 12 bits, variant, 62.
fn shape(left: u64, right: u64) -> Uuid {
    let bits = u128::from(left) << 61 | u128::from(right);
    let spread = bits >> 74 << 80 | (bits >> 62 & 0xfff) << 64 | (bits & ((1 << 62) - 1));
    Builder::from_random_bytes(spread.to_be_bytes()).into_uuid()
}

fn unshape(id: Uuid) -> (u64, u64) {
    let spread = id.as_u128();
    let bits = spread >> 80 << 74 | (spread >> 64 & 0xfff) << 62 | (spread & ((1 << 62) - 1));
    let half = |bits: u128| u64::try_from(bits & u128::from(HALF)).unwrap_or(0);
    (half(bits >> 61), half(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn event_ids_are_addresses(key: [u8; 16], sequence: u64) {
            let cipher = IdCipher::new(key);
            let id = cipher.event_id(Sequence(sequence));
            prop_assert_eq!(id.0.get_version_num(), 4);
            prop_assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
            prop_assert_eq!(cipher.sequence(id), Some(Sequence(sequence)));
        }

        #[test]
        fn customer_meter_ids_are_addresses(key: [u8; 16], customer in 0..=HALF, meter in 0..=HALF) {
            let cipher = IdCipher::new(key);
            let id = cipher.customer_meter_id(customer, meter);
            prop_assert_eq!(cipher.customer_and_meter(id), Some((customer, meter)));
        }

        #[test]
        fn random_ids_are_nobodys(key: [u8; 16], bytes: [u8; 16]) {
            let id = Builder::from_random_bytes(bytes).into_uuid();
            prop_assert_eq!(IdCipher::new(key).sequence(EventId(id)), None);
        }
    }

    #[test]
    fn each_kind_and_key_has_its_own_permutation() {
        let (one, other) = (IdCipher::new([1; 16]), IdCipher::new([2; 16]));
        assert_ne!(one.event_id(Sequence(7)), other.event_id(Sequence(7)));
        assert_ne!(one.event_id(Sequence(7)).0, one.customer_meter_id(0, 7).0);
        assert_ne!(one.key_check(), other.key_check());
    }
}
