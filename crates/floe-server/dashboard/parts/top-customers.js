// Customers by what they used of a meter, and links to customers.

import { get } from "./api.js";
import { TableBox } from "./controls.js";
import { customerName, number } from "./format.js";
import { html } from "./html.js";
import { rangeQuery } from "./ranges.js";
import { link } from "./router.js";
import { Share } from "./sparkline.js";
import { Loaded } from "./states.js";
import { useData } from "./use-data.js";
import { named, unitOf } from "./words.js";

/** Who used most of a meter in a range. */
export function CustomersOf({ meter, zone, range, extra = {}, limit = 10 }) {
  const { start_timestamp, end_timestamp, interval } = rangeQuery(range, zone);
  const query = { start_timestamp, end_timestamp, interval, timezone: zone, ...extra, limit };
  const data = useData(
    (signal) => get(`/v1/meters/${meter.id}/customers`, query, { signal }),
    ["meter-customers", meter.id, query],
    { keep: true },
  );
  const missing = "This server is older than this page and cannot list a meter's customers.";
  return html`<${Loaded} data=${data} missing=${missing}>
    ${({ items, pagination }) =>
      items.length === 0
        ? html`<p class="muted">Nobody used anything in this time.</p>`
        : html`<${TableBox} label=${`Top customers of ${meter.name}`}><table>
            <thead><tr><th scope="col">Customer</th><th scope="col" class="number">${unitOf(meter) || "Quantity"}</th></tr></thead>
            <tbody>${items.map((item) => html`<tr key=${item.customer_id ?? item.external_customer_id}>
              <td class="text"><${CustomerLink} customer=${item.customer} id=${item.customer_id} externalId=${item.external_customer_id} />
                <${Share} value=${item.quantity} most=${items[0].quantity} /></td>
              <td class="number">${number(item.quantity)}</td>
            </tr>`)}</tbody>
          </table><//>
          ${pagination.total_count > items.length &&
            html`<p class="muted">${number(pagination.total_count)} customers in all.</p>`}`}
  <//>`;
}

/** A customer that exists is a link; an external id that nobody has yet is only its text. */
export function CustomerLink({ customer, id, externalId }) {
  const name = named(customerName(customer, externalId, id));
  if (customer && !customer.deleted_at) {
    return html`<a dir="auto" href=${link(["customers", customer.id])}>${name}</a>`;
  }
  return html`<span dir="auto" title=${customer ? "A deleted customer" : "No customer has this external id"}>${name}</span>`;
}
