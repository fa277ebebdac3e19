//! Which definitions were asked about lately.

use std::collections::HashMap;
use std::sync::Arc;

use floe_core::OrganizationId;

use super::Definition;

/// Definitions of an organization that are prepared for, at most: sealing waits for it.
const DEFINITIONS_MAX: usize = 16;
/// So many new segments without a question, and a definition is no longer prepared for.
const SEGMENTS_MAX: u32 = 64;

/// What questions need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Needed {
    pub(in super::super) rollup: bool,
    pub(in super::super) column: bool,
}

/// The definitions that were asked about lately, by organization.
#[derive(Debug, Default)]
pub(super) struct Recent {
    organizations: HashMap<OrganizationId, Vec<Use>>,
}

#[derive(Debug)]
struct Use {
    definition: Arc<Definition>,
    needed: Needed,
    /// New segments that it is still prepared for.
    left: u32,
}

impl Recent {
    /// Notes a question.
    pub(super) fn note(
        &mut self,
        organization: OrganizationId,
        definition: &Definition,
        needed: Needed,
    ) {
        let uses = self.organizations.entry(organization).or_default();
        let known = uses.iter().position(|of| of.definition.key() == definition.key());
        let mut of = match known {
            // The one that is asked about most is mostly the last one already.
            Some(place) if place + 1 == uses.len() => match uses.pop() {
                Some(of) => of,
                None => return,
            },
            Some(place) => uses.remove(place),
            None => {
                if uses.len() >= DEFINITIONS_MAX {
                    uses.remove(0);
                }
                let definition = Arc::new(definition.clone());
                Use { definition, needed: Needed::default(), left: 0 }
            }
        };
        of.needed.rollup |= needed.rollup;
        of.needed.column |= needed.column;
        of.left = SEGMENTS_MAX;
        uses.push(of);
    }

    /// What is to be prepared for a new segment, what was asked for last first.
    pub(super) fn for_segment(
        &mut self,
        organization: OrganizationId,
    ) -> Vec<(Arc<Definition>, Needed)> {
        let Some(uses) = self.organizations.get_mut(&organization) else { return Vec::new() };
        uses.retain_mut(|of| {
            of.left = of.left.saturating_sub(1);
            of.left > 0
        });
        uses.iter().rev().map(|of| (Arc::clone(&of.definition), of.needed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use floe_core::{Aggregation, AggregationFunction, Filter};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_asked_for_lately_is_prepared() {
        let organization = OrganizationId(Uuid::from_u128(1));
        let definition = |number: usize| {
            let sum = Aggregation::of(AggregationFunction::Sum, number.to_string());
            Definition::new(&Filter::all(), &sum).unwrap()
        };
        let mut recent = Recent::default();
        assert!(recent.for_segment(organization).is_empty());
        let (rollup, column) =
            (Needed { rollup: true, column: false }, Needed { rollup: false, column: true });
        for number in 0..DEFINITIONS_MAX + 2 {
            recent.note(organization, &definition(number), rollup);
        }
        recent.note(organization, &definition(5), column);
        let prepared = recent.for_segment(organization);
        assert_eq!(prepared.len(), DEFINITIONS_MAX);
        assert_eq!(*prepared[0].0, definition(5));
        assert_eq!(prepared[0].1, Needed { rollup: true, column: true });
        assert_eq!(*prepared[1].0, definition(DEFINITIONS_MAX + 1));
        assert_eq!(*prepared[DEFINITIONS_MAX - 1].0, definition(2));
        assert!(recent.for_segment(OrganizationId(Uuid::from_u128(2))).is_empty());
        for _ in 2..SEGMENTS_MAX {
            assert!(!recent.for_segment(organization).is_empty());
        }
        assert!(recent.for_segment(organization).is_empty());
    }
}
