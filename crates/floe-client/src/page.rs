//! Pages of lists.

use serde::{Deserialize, Serialize};

/// Items on one page, at most: a larger limit means this one.
pub const PAGE_ITEMS_MAX: u32 = 100;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items on the page.
    pub items: Vec<T>,
    /// The whole list.
    pub pagination: Pagination,
}

/// How long a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pagination {
    /// Items on all pages together.
    pub total_count: u64,
    /// Pages; 0 if there are no items.
    pub max_page: u64,
}

/// Which page of a list to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paging {
    /// From 1.
    pub(crate) page: u64,
    /// Items on it.
    pub(crate) limit: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Self { page: 1, limit: PAGE_ITEMS_MAX }
    }
}

impl Paging {
    /// The query's parameters.
    pub(crate) fn parameters(self) -> [(&'static str, String); 2] {
        [("page", self.page.to_string()), ("limit", self.limit.to_string())]
    }
}
