//! The tree of events: parents by external id and by id, late parents, circles.

use std::collections::HashSet;

use floe_core::{EventId, NewEvent, OrganizationId};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use floe_store::port::{EventQuery, EventRow, EventStore as _, NameQuery};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{DAY_ONE, HOUR, event, folder, ingest, list, open_with, organization, wait};

struct Tree {
    _folder: TempDir,
    store: EmbeddedStore,
    organization: OrganizationId,
    events: i64,
}

impl Tree {
    fn new() -> Self {
        let folder = folder();
        // Parents and children are sealed apart from each other, and some stay in memory.
        let options = EmbeddedOptions { seal_events: 3, ..EmbeddedOptions::default() };
        let store = open_with(folder.path(), options);
        let organization = organization(&store);
        Self { _folder: folder, store, organization, events: 0 }
    }

    /// Ingests an event and returns its id.
    fn add(&mut self, external_id: Option<&str>, parent: Option<&str>) -> EventId {
        let mut new = event("c", DAY_ONE + self.events * HOUR, external_id);
        new.parent_id = parent.map(|text| text.to_owned().into());
        assert_eq!(ingest(&self.store, self.organization, &[new]).unwrap().inserted, 1);
        self.events += 1;
        self.rows().last().unwrap().id
    }

    fn rows(&self) -> Vec<EventRow> {
        list(&self.store, self.organization, EventQuery::default()).items
    }

    /// Parent and number of children of an event.
    fn shown(&self, id: EventId) -> (Option<EventId>, u64) {
        let organizations = floe_store::port::Organizations::one(self.organization);
        let row = wait(self.store.event(&organizations, id)).unwrap().unwrap();
        assert_eq!(Some(&row), self.rows().iter().find(|row| row.id == id));
        (row.parent_id, row.child_count)
    }

    fn listed(&self, parent_id: Option<EventId>, depth: Option<u8>) -> Vec<EventId> {
        let query = EventQuery { parent_id, depth, ..EventQuery::default() };
        let page = list(&self.store, self.organization, query);
        assert_eq!(page.items.len() as u64, page.total_count);
        page.items.into_iter().map(|row| row.id).collect()
    }

    fn occurrences(&self, query: NameQuery) -> u64 {
        let names = wait(self.store.event_names(self.organization, query)).unwrap();
        names.iter().map(|row| row.occurrences).sum()
    }
}

#[test]
fn a_parent_is_found_by_external_id_and_by_event_id() {
    let mut tree = Tree::new();
    let root = tree.add(Some("root"), None);
    let by_external_id = tree.add(None, Some("root"));
    let by_id = tree.add(None, Some(&root.to_string()));
    let by_id_in_capitals = tree.add(None, Some(&root.to_string().to_uppercase()));
    for child in [by_external_id, by_id, by_id_in_capitals] {
        assert_eq!(tree.shown(child), (Some(root), 0));
    }
    assert_eq!(tree.shown(root), (None, 3));
    assert_eq!(tree.listed(Some(root), None), [by_external_id, by_id, by_id_in_capitals]);
}

#[test]
fn a_parent_may_arrive_later() {
    let mut tree = Tree::new();
    let child = tree.add(None, Some("late"));
    assert_eq!(tree.shown(child), (None, 0));
    assert_eq!(tree.listed(None, Some(0)), [child]);
    let parent = tree.add(Some("late"), None);
    assert_eq!(tree.shown(child), (Some(parent), 0));
    assert_eq!(tree.shown(parent), (None, 1));
    assert_eq!(tree.listed(None, Some(0)), [parent]);
    assert_eq!(tree.listed(Some(parent), None), [child]);
}

#[test]
fn an_external_id_comes_before_an_event_id() {
    let mut tree = Tree::new();
    let by_id = tree.add(None, None);
    let child = tree.add(None, Some(&by_id.to_string()));
    assert_eq!(tree.shown(child).0, Some(by_id));
    // Now the same text is also somebody's external id.
    let by_external_id = tree.add(Some(&by_id.to_string()), None);
    assert_eq!(tree.shown(child).0, Some(by_external_id));
    assert_eq!((tree.shown(by_id).1, tree.shown(by_external_id).1), (0, 1));
}

#[test]
fn nobody_is_their_own_parent() {
    let mut tree = Tree::new();
    let one = tree.add(Some("self"), Some("self"));
    assert_eq!(tree.shown(one), (None, 0));
    assert_eq!(tree.listed(None, Some(0)), [one]);
    assert_eq!(tree.listed(Some(one), Some(9)), []);
    let other = tree.add(None, None);
    // Its external id names itself, so the text is an event id for it, and for nobody else.
    let named = tree.add(Some(&other.to_string()), Some(&other.to_string()));
    let child = tree.add(None, Some(&other.to_string()));
    assert_eq!(tree.shown(named), (Some(other), 1));
    assert_eq!(tree.shown(other), (None, 1));
    assert_eq!(tree.shown(child).0, Some(named));
}

#[test]
fn a_circle_has_no_root_and_ends() {
    let mut tree = Tree::new();
    let a = tree.add(Some("a"), Some("c"));
    let b = tree.add(Some("b"), Some("a"));
    let c = tree.add(Some("c"), Some("b"));
    let below = tree.add(None, Some("a"));
    assert_eq!((tree.shown(a), tree.shown(b)), ((Some(c), 2), (Some(a), 1)));
    assert_eq!(tree.listed(None, Some(255)), []);
    assert_eq!(tree.listed(Some(a), Some(255)), [b, c, below]);
    assert_eq!(tree.listed(Some(c), Some(1)), [a]);
}

#[test]
fn depth_counts_levels() {
    let mut tree = Tree::new();
    let mut line = vec![tree.add(Some("0"), None)];
    for level in 1..6 {
        line.push(tree.add(Some(&level.to_string()), Some(&(level - 1).to_string())));
    }
    assert_eq!(tree.listed(Some(line[0]), Some(3)), line[1..=3]);
    assert_eq!(tree.listed(Some(line[0]), Some(0)), []);
    assert_eq!(tree.listed(None, Some(2)), line[..=2]);
    assert_eq!(tree.listed(None, None), line);
    assert!(line[..5].iter().all(|&id| tree.shown(id).1 == 1), "children are direct ones");
    assert_eq!(tree.occurrences(NameQuery { root_events: true, ..NameQuery::default() }), 1);
    let below = NameQuery { parent_id: Some(line[1]), ..NameQuery::default() };
    assert_eq!(tree.occurrences(below), 1);
}

#[test]
fn parents_are_of_the_same_organization() {
    let mut tree = Tree::new();
    let foreign = tree.add(Some("root"), None);
    let elsewhere = organization(&tree.store);
    let mut children = [event("c", DAY_ONE, None), event("c", DAY_ONE, None)];
    children[0].parent_id = Some("root".into());
    children[1].parent_id = Some(foreign.to_string().into());
    ingest(&tree.store, elsewhere, &children).unwrap();
    let rows = list(&tree.store, elsewhere, EventQuery::default()).items;
    assert!(rows.iter().all(|row| row.parent_id.is_none()));
    assert_eq!(tree.shown(foreign), (None, 0));
    let query = EventQuery { parent_id: Some(foreign), ..EventQuery::default() };
    assert_eq!(list(&tree.store, elsewhere, query).total_count, 0);
}

#[test]
fn a_parent_of_very_many_is_shown_at_once() {
    let mut tree = Tree::new();
    let root = tree.add(Some("root"), None);
    let children: Vec<NewEvent<'_>> = (0..30_000)
        .map(|number| {
            let mut child = event("c", DAY_ONE + HOUR + number, None);
            child.parent_id = Some("root".into());
            child
        })
        .collect();
    ingest(&tree.store, tree.organization, &children).unwrap();
    let organizations = floe_store::port::Organizations::one(tree.organization);
    for _ in 0..1000 {
        let row = wait(tree.store.event(&organizations, root)).unwrap().unwrap();
        assert_eq!(row.child_count, 30_000);
    }
    assert_eq!(tree.listed(Some(root), Some(7)).len(), 30_000);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Parents name external ids, or ids of the events of the first half.
    #[test]
    fn any_forest_is_that_of_the_definition(
        first in vec((option::of(0_usize..8), option::of(0_usize..8)), 1..12),
        second in vec((option::of(0_usize..16), option::of(0_usize..24)), 1..16),
        depth in 0_u8..5,
    ) {
        let mut tree = Tree::new();
        let mut taken = HashSet::new();
        let mut facts: Vec<(EventId, Option<String>, Option<String>)> = Vec::new();
        let mut add = |external_id: Option<String>, parent: Option<String>, facts: &mut Vec<_>| {
            let external_id = external_id.filter(|id| taken.insert(id.clone()));
            let id = tree.add(external_id.as_deref(), parent.as_deref());
            facts.push((id, external_id, parent));
        };
        for (id, parent) in first {
            let text = |number: usize| format!("x{number}");
            add(id.map(text), parent.map(text), &mut facts);
        }
        // From 8 on: the id of an event of the first half, or once in a while somebody's own.
        let ids: Vec<String> = facts.iter().map(|fact| fact.0.to_string()).collect();
        let text = |number: usize| match number.checked_sub(8) {
            None => format!("x{number}"),
            Some(number) => ids[number % ids.len()].clone(),
        };
        for (id, parent) in second {
            add(id.map(text), parent.map(text), &mut facts);
        }

        let parent_of = |child: usize| -> Option<usize> {
            let text = facts[child].2.as_ref()?;
            let other = |number: &usize| *number != child;
            let numbers = || (0..facts.len()).filter(other);
            let by_external_id = numbers().find(|&number| facts[number].1.as_ref() == Some(text));
            by_external_id.or_else(|| numbers().find(|&number| facts[number].0.to_string() == *text))
        };
        let parents: Vec<Option<usize>> = (0..facts.len()).map(parent_of).collect();
        for (number, (id, ..)) in facts.iter().enumerate() {
            let children = parents.iter().filter(|parent| **parent == Some(number)).count();
            let parent = parents[number].map(|parent| facts[parent].0);
            prop_assert_eq!(tree.shown(*id), (parent, children as u64));

            let mut below = HashSet::new();
            let mut level = HashSet::from([number]);
            for _ in 0..depth {
                level = (0..facts.len())
                    .filter(|&child| parents[child].is_some_and(|parent| level.contains(&parent)))
                    .collect();
                below.extend(level.iter().copied());
            }
            below.remove(&number);
            let below: HashSet<EventId> = below.into_iter().map(|number| facts[number].0).collect();
            let listed: HashSet<EventId> = tree.listed(Some(*id), Some(depth)).into_iter().collect();
            prop_assert_eq!(listed, below);
        }
        let is_near_a_root = |number: usize| {
            let mut at = number;
            for _ in 0..=depth {
                match parents[at] {
                    None => return true,
                    Some(parent) => at = parent,
                }
            }
            false
        };
        let near: Vec<EventId> = (0..facts.len())
            .filter(|&number| is_near_a_root(number))
            .map(|number| facts[number].0)
            .collect();
        prop_assert_eq!(tree.listed(None, Some(depth)), near);
    }
}
