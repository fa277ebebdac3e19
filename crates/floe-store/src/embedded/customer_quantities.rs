//! Pages of the customers of a meter, by what each of them has.

use std::sync::Arc;

use floe_core::{Customer, CustomerKey, CustomerQuantity, CustomerRef, OrganizationId};

use super::catalog::EmbeddedCatalog;
use super::tie_break;
use crate::port::{
    CustomerQuantityRow, CustomerQuantitySort, Direction, Page, PageRequest, Sorting,
};
use crate::sort::{SortKey, sorted_page};

/// A page of customers with their quantities, those of whom the text tells if there is one.
pub(super) fn page(
    catalog: &EmbeddedCatalog,
    organization: OrganizationId,
    quantities: Vec<CustomerQuantity>,
    text: Option<&str>,
    sorting: &Sorting<CustomerQuantitySort>,
    page: PageRequest,
) -> Page<CustomerQuantityRow> {
    let needle = text.map(str::to_lowercase);
    let rows = quantities
        .into_iter()
        .map(|of| row(catalog, organization, of))
        .filter(|row| needle.as_ref().is_none_or(|needle| is_found(row, needle)));
    let directions: Vec<Direction> = sorting.iter().map(|(_, direction)| *direction).collect();
    let keys = |row: &CustomerQuantityRow| {
        let by = sorting.iter().map(|(by, _)| match by {
            CustomerQuantitySort::Quantity => SortKey::Float(row.quantity),
            CustomerQuantitySort::CustomerName => {
                SortKey::optional_text(row.customer.as_ref().and_then(|c| c.name.as_deref()))
            }
            CustomerQuantitySort::ExternalCustomerId => {
                SortKey::optional_text(row.external_customer_id.as_deref())
            }
        });
        let tie = match &row.customer {
            Some(customer) => tie_break(customer.created_at, customer.id.0),
            None => [SortKey::Null, SortKey::optional_text(row.external_customer_id.as_deref())],
        };
        by.chain(tie).collect()
    };
    sorted_page(rows, &directions, keys, page)
}

fn row(
    catalog: &EmbeddedCatalog,
    organization: OrganizationId,
    of: CustomerQuantity,
) -> CustomerQuantityRow {
    let CustomerQuantity { customer, quantity } = of;
    match customer {
        CustomerKey::Id(id) => {
            let customer = catalog.customer_of_event(organization, &CustomerRef::Id(id));
            // The external id of a deleted customer is anybody's: events with it are of others.
            let live = customer.as_ref().filter(|customer| customer.deleted_at.is_none());
            let external_customer_id = live.and_then(|customer| customer.external_id.clone());
            CustomerQuantityRow { customer_id: Some(id), external_customer_id, customer, quantity }
        }
        CustomerKey::External(text) => CustomerQuantityRow {
            customer_id: None,
            external_customer_id: Some(text.into()),
            customer: None,
            quantity,
        },
    }
}

/// Whether the text, in lower case, is in the customer's name or address, or begins its external
/// id: as in the list of customers.
fn is_found(row: &CustomerQuantityRow, needle: &str) -> bool {
    let holds = |text: &Option<String>| {
        text.as_ref().is_some_and(|text| text.to_lowercase().contains(needle))
    };
    let of_customer = |customer: &Arc<Customer>| holds(&customer.email) || holds(&customer.name);
    row.customer.as_ref().is_some_and(of_customer)
        || row.external_customer_id.as_ref().is_some_and(|id| id.to_lowercase().starts_with(needle))
}
