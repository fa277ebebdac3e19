//! Customer selection: which events are of whom (semantics section 6).

use std::collections::HashSet;

use crate::event::CustomerRef;
use crate::ids::CustomerId;

/// The live customers of one organization, as selection needs them.
pub trait CustomerDirectory {
    /// The live customer with this external id.
    fn customer_with_external_id(&self, external_id: &str) -> Option<CustomerId>;
    /// Whether this is a live customer, and if so, its external id.
    fn external_id_of(&self, id: CustomerId) -> Option<Option<String>>;
}

/// Who an event is of once both spellings of a customer are one (semantics section 13, S5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CustomerKey {
    /// A customer, live or deleted.
    Id(CustomerId),
    /// An external id that no live customer has.
    External(Box<str>),
}

impl CustomerKey {
    /// The key of an event's customer.
    #[must_use]
    pub fn of(customer: &CustomerRef<'_>, directory: &impl CustomerDirectory) -> Self {
        match customer {
            CustomerRef::Id(id) => Self::Id(*id),
            CustomerRef::External(external_id) => {
                match directory.customer_with_external_id(external_id) {
                    Some(id) => Self::Id(id),
                    None => Self::External(Box::from(&**external_id)),
                }
            }
        }
    }
}

/// A set of customers, by both of their spellings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerSelection {
    ids: HashSet<CustomerId>,
    external_ids: HashSet<String>,
}

impl CustomerSelection {
    /// The customers with one of these ids or external ids: events are found under either
    /// spelling of a live customer, and under external ids that nobody has. Ids of unknown and
    /// deleted customers select nothing.
    #[must_use]
    pub fn resolve(
        ids: &[CustomerId],
        external_ids: &[String],
        directory: &impl CustomerDirectory,
    ) -> Self {
        let mut selection =
            Self { external_ids: external_ids.iter().cloned().collect(), ..Self::default() };
        let by_external_id =
            external_ids.iter().filter_map(|text| directory.customer_with_external_id(text));
        for id in ids.iter().copied().chain(by_external_id) {
            if let Some(external_id) = directory.external_id_of(id) {
                selection.ids.insert(id);
                selection.external_ids.extend(external_id);
            }
        }
        selection
    }

    /// As [`resolve`](Self::resolve), for lists of events and names: also events of deleted
    /// customers, by id (semantics section 6).
    #[must_use]
    pub fn resolve_for_lists(
        ids: &[CustomerId],
        external_ids: &[String],
        directory: &impl CustomerDirectory,
    ) -> Self {
        let mut selection = Self::resolve(ids, external_ids, directory);
        selection.ids.extend(ids);
        selection
    }

    /// One live customer.
    #[must_use]
    pub fn one(id: CustomerId, external_id: Option<&str>) -> Self {
        Self {
            ids: HashSet::from([id]),
            external_ids: external_id.map(str::to_owned).into_iter().collect(),
        }
    }

    /// Whether an event of this customer is selected.
    #[must_use]
    pub fn contains(&self, customer: &CustomerRef<'_>) -> bool {
        match customer {
            CustomerRef::Id(id) => self.ids.contains(id),
            CustomerRef::External(external_id) => self.external_ids.contains(&**external_id),
        }
    }

    /// The references that events of these customers carry.
    pub fn references(&self) -> impl Iterator<Item = CustomerRef<'_>> {
        let external = self.external_ids.iter().map(|text| CustomerRef::External(text.into()));
        self.ids.iter().map(|&id| CustomerRef::Id(id)).chain(external)
    }
}
