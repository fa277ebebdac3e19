// One event: its JSON as the server wrote it, its customer, and which meters count it.

import { get } from "../parts/api.js";
import { Copy, Pager, TableBox } from "../parts/controls.js";
import { Dialog } from "../parts/dialog.js";
import { dateTime, useZone } from "../parts/format.js";
import { isNumber } from "../parts/exact.js";
import { html, useState } from "../parts/html.js";
import { link } from "../parts/router.js";
import { Loaded } from "../parts/states.js";
import { CustomerLink } from "../parts/top-customers.js";
import { useData } from "../parts/use-data.js";
import { aggregationWords, clipped, indented, named } from "../parts/words.js";

export function EventDetail({ id, onClose }) {
  const zone = useZone();
  const data = useData(
    async (signal) => {
      const answer = await get(`/v1/events/${encodeURIComponent(id)}`, {}, { signal });
      return answer.ok ? { ok: true, value: { event: answer.value, json: indented(answer.text) } } : answer;
    },
    ["event", id],
  );
  return html`<${Dialog} title="Event" side onClose=${onClose}>
    <${Loaded} data=${data} missing="There is no such event.">
      ${({ event, json }) => html`
        <dl class="facts">
          <dt>Name</dt><dd dir="auto">${named(event.name, Infinity)}</dd>
          <dt>Time</dt><dd>${dateTime(event.timestamp, zone)} (${zone})</dd>
          <dt>Customer</dt><dd><${CustomerLink} customer=${event.customer} id=${event.customer_id} externalId=${event.external_customer_id} /></dd>
          <dt>Id</dt><dd><code>${event.id}</code></dd>
          ${event.parent_id && html`<dt>Parent</dt><dd><a href=${link(["events"], { event: event.parent_id })}>${event.parent_id}</a></dd>`}
          ${event.child_count > 0 && html`<dt>Children</dt><dd>${event.child_count}</dd>`}
        </dl>
        <${CountedBy} event=${event} />
        <div class="card-head"><h3>JSON</h3><${Copy} text=${json} what="the JSON" /></div>
        <pre class="code" tabindex="0" aria-label="JSON of the event">${json}</pre>`}
    <//>
  <//>`;
}

const PAGE_METERS = 20;

/** All meters are asked by the server, which pages what it finds. */
function CountedBy({ event }) {
  const [page, setPage] = useState(1);
  const data = useData(
    (signal) => get(`/v1/events/${event.id}/meters`, { limit: PAGE_METERS, page }, { signal }),
    ["counted", event.id, page],
    { keep: true },
  );
  return html`<h3>Meters that count it</h3>
    <${Loaded} data=${data} what="Asking which meters count it" missing="This server is older than this page and does not tell which meters count an event.">
      ${({ items, pagination }) => {
        if (pagination.total_count === 0) return html`<p class="muted">No meter counts it.</p>`;
        return html`<${TableBox} label="Meters that count the event"><table>
          <thead><tr><th scope="col">Meter</th><th scope="col">What</th><th scope="col" class="number">Value</th></tr></thead>
          <tbody>${items.map(({ meter, value }) => html`<tr key=${meter.id}>
            <td class="text"><a dir="auto" href=${link(["meters", meter.id])}>${clipped(meter.name, 120)}</a>
              ${meter.archived_at && html` <span class="badge">archived</span>`}</td>
            <td class="text" dir="auto">${aggregationWords(meter.aggregation)}</td>
            <td class=${isNumber(value) ? "number" : "text"} dir="auto">${value === null ? "no value" : String(value)}</td>
          </tr>`)}</tbody></table><//>
          <${Pager} page=${page} pagination=${pagination} what="meters" onPage=${setPage} />`;
      }}
    <//>`;
}
