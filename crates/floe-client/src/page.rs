//! Pages of lists.

use serde::{Deserialize, Serialize};

/// Items on one page, at most: a larger limit means this one.
pub const PAGE_ITEMS_MAX: u32 = 100;

/// One page of a list.
///
/// ```
/// let page: floe_client::Page<u32> = serde_json::from_str(
///     r#"{"items":[1,2],"pagination":{"total_count":3,"max_page":2}}"#,
/// )?;
/// assert_eq!(page.items, [1, 2]);
/// assert_eq!(page.pagination.max_page, 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
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
