//! Pages of lists.

use serde::{Deserialize, Serialize};

/// Items on one page, at most: a larger limit means this one.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventsList, PAGE_ITEMS_MAX};
///
/// let list = EventsList::new().limit(PAGE_ITEMS_MAX);
/// assert_eq!(client.events().list(&list).await?.items.len(), 2);
/// # Ok(())
/// # });
/// ```
pub const PAGE_ITEMS_MAX: u32 = 100;

/// One page of a list.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{Event, EventsList, Page};
///
/// let page: Page<Event> = client.events().list(&EventsList::new().limit(1)).await?;
/// assert_eq!(page.items.len(), 1);
/// assert_eq!(page.pagination.max_page, 2);
/// # Ok(())
/// # });
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
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::EventsList;
///
/// let pagination = client.events().list(&EventsList::new().limit(1)).await?.pagination;
/// assert_eq!((pagination.total_count, pagination.max_page), (2, 2));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pagination {
    /// Items on all pages together.
    pub total_count: u64,
    /// Pages; 0 if there are no items.
    pub max_page: u64,
}
