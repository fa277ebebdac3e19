//! Sorting and paging of lists that stand in memory (contract sections 1.9 and 1.10).

use std::cmp::Ordering;

use crate::port::{Direction, Page, PageRequest};

/// What a list is sorted by. Nulls come last when ascending and first when descending; text is
/// compared whatever the case, then by code point.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    /// Text, as made by [`SortKey::text`].
    Text(String, String),
    /// Instants in microseconds, and counts.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// An id: the last tie-break.
    Id(u128),
    /// Nothing.
    Null,
}

impl SortKey {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_lowercase(), text.to_owned())
    }

    /// A text, if it is there.
    #[must_use]
    pub fn optional_text(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    /// An instant.
    #[must_use]
    pub fn instant(instant: floe_core::Timestamp) -> Self {
        Self::Integer(instant.micros())
    }

    /// An instant, if it is there.
    #[must_use]
    pub fn optional_instant(instant: Option<floe_core::Timestamp>) -> Self {
        instant.map_or(Self::Null, Self::instant)
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(folded, exact), Self::Text(other_folded, other_exact)) => {
                (folded, exact).cmp(&(other_folded, other_exact))
            }
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Id(a), Self::Id(b)) => a.cmp(b),
            // Null is the greatest.
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Greater,
            (_, Self::Null) => Ordering::Less,
            // One criterion yields one kind of key.
            (_, _) => Ordering::Equal,
        }
    }
}

/// Sorts by the keys, each in its direction, and takes a page. Keys beyond the directions are
/// tie-breaks and follow the first direction.
pub fn sorted_page<T>(
    items: impl IntoIterator<Item = T>,
    directions: &[Direction],
    keys: impl Fn(&T) -> Vec<SortKey>,
    page: PageRequest,
) -> Page<T> {
    let mut keyed: Vec<(Vec<SortKey>, T)> =
        items.into_iter().map(|item| (keys(&item), item)).collect();
    let tie_break = directions.first().copied().unwrap_or(Direction::Ascending);
    keyed.sort_by(|(a, _), (b, _)| {
        let directions = directions.iter().copied().chain(std::iter::repeat(tie_break));
        a.iter()
            .zip(b)
            .zip(directions)
            .map(|((a, b), direction)| match direction {
                Direction::Ascending => a.compare(b),
                Direction::Descending => b.compare(a),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    let total_count = keyed.len() as u64;
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let items = keyed.into_iter().skip(offset).take(limit).map(|(_, item)| item).collect();
    Page { items, total_count }
}
