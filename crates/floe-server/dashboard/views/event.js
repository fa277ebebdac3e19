// One event: its JSON as the server wrote it, its customer, and which meters count it.

import { get } from "../parts/api.js";
import { Copy, TableBox } from "../parts/controls.js";
import { Dialog } from "../parts/dialog.js";
import { dateTime, useZone } from "../parts/format.js";
import { html } from "../parts/html.js";
import { link } from "../parts/router.js";
import { Loaded } from "../parts/states.js";
import { CustomerLink } from "../parts/top-customers.js";
import { useData } from "../parts/use-data.js";
import { aggregationWords, indented, valueAt } from "../parts/words.js";

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
          <dt>Name</dt><dd dir="auto">${event.name || "(no name)"}</dd>
          <dt>Time</dt><dd>${dateTime(event.timestamp, zone)}</dd>
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

/** Pages of events of one instant that are looked through for this one. */
const PAGES_MAX = 5;

/** Whether a meter counts an event: asks the server for what the meter counts at its instant. */
async function isCounted(event, meter, signal) {
  const [, seconds, fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(event.timestamp);
  const micros = Number(fraction.padEnd(6, "0"));
  const base = Date.parse(`${seconds}Z`);
  const at = (shift) => {
    const total = base * 1000 + micros + shift;
    const whole = Math.floor(total / 1_000_000);
    const rest = String(total - whole * 1_000_000).padStart(6, "0");
    return `${new Date(whole * 1000).toISOString().slice(0, 19)}.${rest}Z`;
  };
  const query = {
    meter_id: meter.id,
    name: event.name || undefined,
    customer_id: event.customer_id,
    external_customer_id: event.customer_id ? undefined : event.external_customer_id,
    start_timestamp: at(-1),
    end_timestamp: at(1),
    limit: 100,
  };
  for (let page = 1; page <= PAGES_MAX; page++) {
    const answer = await get("/v1/events/", { ...query, page }, { signal });
    if (!answer.ok) return answer;
    if (answer.value.items.some(({ id }) => id === event.id)) return { ok: true, value: true };
    if (page >= answer.value.pagination.max_page) return { ok: true, value: false };
  }
  return { ok: true, value: null };
}

function CountedBy({ event }) {
  const data = useData(
    async (signal) => {
      const meters = await get("/v1/meters/", { is_archived: false, limit: 100 }, { signal });
      if (!meters.ok) return meters;
      const answers = await Promise.all(meters.value.items.map((meter) => isCounted(event, meter, signal)));
      const failed = answers.find((answer) => !answer.ok);
      if (failed) return failed;
      const rows = meters.value.items.map((meter, at) => ({ meter, counted: answers[at].value }));
      return { ok: true, value: rows };
    },
    ["counted", event.id],
  );
  return html`<h3>Meters that count it</h3>
    <${Loaded} data=${data} what="Asking which meters count it">
      ${(rows) => {
        const counting = rows.filter(({ counted }) => counted !== false);
        if (counting.length === 0) return html`<p class="muted">None of the ${rows.length} meters in use.</p>`;
        return html`<${TableBox} label="Meters that count the event"><table>
          <thead><tr><th scope="col">Meter</th><th scope="col">What</th><th scope="col" class="number">Value</th></tr></thead>
          <tbody>${counting.map(({ meter, counted }) => html`<tr key=${meter.id}>
            <td class="text"><a dir="auto" href=${link(["meters", meter.id])}>${meter.name}</a></td>
            <td class="text">${aggregationWords(meter.aggregation)}</td>
            <td class="number" dir="auto">${counted === null ? "too many at that instant to tell" : contribution(event, meter.aggregation)}</td>
          </tr>`)}</tbody></table><//>`;
      }}
    <//>`;
}

function contribution(event, { func, property }) {
  if (func === "count") return "1";
  if (func !== "unique" && property === "timestamp") return String(Math.round(Date.parse(event.timestamp) / 1000));
  const value = valueAt(event.metadata, property);
  return value === undefined ? "–" : String(value);
}
