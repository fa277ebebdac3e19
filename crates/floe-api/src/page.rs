//! Pages of lists (contract section 1.9).

use serde::Serialize;

use crate::query::Paging;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items on the page.
    pub items: Vec<T>,
    /// The whole list.
    pub pagination: Pagination,
}

impl<T> Page<T> {
    /// The page that `paging` asked for, of a list of `total_count` items.
    #[must_use]
    pub fn new(items: Vec<T>, total_count: u64, paging: Paging) -> Self {
        let max_page = paging.max_page(total_count);
        Self { items, pagination: Pagination { total_count, max_page } }
    }
}

/// How long a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// Items on all pages together.
    pub total_count: u64,
    /// Pages; 0 if there are no items.
    pub max_page: u64,
}

/// The parameters of all lists, for documentation; [`QueryParams::paging`] reads them.
///
/// [`QueryParams::paging`]: crate::query::QueryParams::paging
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PagingQuery {
    /// The page, from 1.
    #[param(minimum = 1, default = 1)]
    pub page: Option<u64>,
    /// Items on a page, at most 100: larger numbers mean 100.
    #[param(minimum = 1, default = 10)]
    pub limit: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Errors;
    use crate::query::QueryParams;

    #[test]
    fn a_page_tells_how_many_there_are() {
        let paging = QueryParams::parse("page=3&limit=2").paging(&mut Errors::new());
        assert_eq!(
            serde_json::to_string(&Page::new(vec![7], 5, paging)).unwrap(),
            r#"{"items":[7],"pagination":{"total_count":5,"max_page":3}}"#
        );
        assert_eq!(
            serde_json::to_string(&Page::<u8>::new(vec![], 0, paging)).unwrap(),
            r#"{"items":[],"pagination":{"total_count":0,"max_page":0}}"#
        );
    }
}
