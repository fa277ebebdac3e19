// All meters, each with its last 30 days.

import { explain, get } from "../parts/api.js";
import { now } from "../parts/clock.js";
import { BeyondLast, Choice, Pager, SearchField, TableBox } from "../parts/controls.js";
import { dateTime, number, useZone } from "../parts/format.js";
import { Heading } from "../parts/heading.js";
import { html } from "../parts/html.js";
import { rangeOf, rangeQuery } from "../parts/ranges.js";
import { link, pageOf, setParams, useRoute } from "../parts/router.js";
import { Sparkline } from "../parts/sparkline.js";
import { Empty, Loaded } from "../parts/states.js";
import { useData } from "../parts/use-data.js";
import { clipped, meterWords, unitOf } from "../parts/words.js";

const SORTINGS = [
  ["name", "Name"],
  ["-name", "Name, backwards"],
  ["-created_at", "Newest first"],
  ["created_at", "Oldest first"],
];
const SHOWN = [
  ["active", "In use"],
  ["archived", "Archived"],
  ["all", "All"],
];

export function Meters() {
  const { params } = useRoute();
  const page = pageOf(params);
  const shown = params.show ?? "active";
  const query = {
    query: params.query,
    is_archived: shown === "all" ? undefined : shown === "archived",
    sorting: params.sorting ?? "name",
    page,
    limit: 20,
  };
  const data = useData((signal) => get("/v1/meters/", query, { signal }), query, { keep: true });
  const change = (patch) => setParams({ page: undefined, ...patch });
  return html`
    <${Heading} title="Meters"><a class="button primary" href=${link(["meters", "new"])}>New meter</a><//>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${SearchField} label="Search" type="search" placeholder="Name" value=${params.query} onChange=${(text) => change({ query: text })} />
      <${Choice} label="Show" options=${SHOWN} value=${shown} onChange=${(value) => change({ show: value === "active" ? undefined : value })} />
      <${Choice} label="Order" options=${SORTINGS} value=${query.sorting} onChange=${(value) => change({ sorting: value === "name" ? undefined : value })} />
    </form>
    <${Loaded} data=${data}>
      ${({ items, pagination }) => (items.length === 0 ? page > 1 ? html`<${BeyondLast} what="meters" />` : html`<${None} filtered=${params.query || shown !== "active"} />` : html`
        <div class="card flush"><${TableBox} label="Meters"><table>
          <thead><tr><th scope="col">Meter</th><th scope="col">Last 30 days</th><th scope="col" class="number">In all</th><th scope="col" class="extra">Made</th></tr></thead>
          <tbody>${items.map((meter) => html`<${Row} key=${meter.id} meter=${meter} />`)}</tbody>
        </table><//></div>
        <${Pager} page=${page} pagination=${pagination} what="meters" onPage=${(next) => setParams({ page: next }, { remember: true })} />`)}
    <//>`;
}

function None({ filtered }) {
  if (filtered) return html`<${Empty} title="No meter is like that" />`;
  return html`<${Empty} title="There is no meter yet">
    <p>A meter says which events count, and what of them: all chats, the sum of their tokens.</p>
    <p><a class="button primary" href=${link(["meters", "new"])}>Make the first meter</a></p>
  <//>`;
}

function Row({ meter }) {
  const zone = useZone();
  const data = useData(
    (signal) => {
      const range = rangeOf({ range: "30d" }, zone, now());
      return get(`/v1/meters/${meter.id}/quantities`, rangeQuery(range, zone), { signal });
    },
    [meter.id, zone],
    { keep: true },
  );
  return html`<tr>
    <td class="text"><a class="row-title" dir="auto" href=${link(["meters", meter.id])}>${clipped(meter.name, 120)}</a>
      ${meter.archived_at && html` <span class="badge">archived</span>`}
      <p class="row-detail" dir="auto">${meterWords(meter)}</p></td>
    <td class="line">${data.value && html`<${Sparkline} values=${data.value.quantities.map(({ quantity }) => quantity)} />`}</td>
    <td class="number" title=${data.error ? explain(data.error) : undefined}>${data.value ? `${number(data.value.total)} ${unitOf(meter)}` : data.error ? "?" : "…"}</td>
    <td class="when extra">${dateTime(meter.created_at, zone)}</td>
  </tr>`;
}
