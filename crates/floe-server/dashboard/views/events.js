// Events, newest first, or live: filters, and one event opened.

import { errorsElsewhere, get } from "../parts/api.js";
import { BeyondLast, Choice, Field, FormErrors, Pager, SearchField } from "../parts/controls.js";
import { EventRows } from "../parts/event-rows.js";
import { useZone } from "../parts/format.js";
import { Heading } from "../parts/heading.js";
import { html, useId } from "../parts/html.js";
import { allMeters, cutOff } from "../parts/meter-list.js";
import { closeOver, link, pageOf, setParams, useRoute } from "../parts/router.js";
import { customerQuery, metadataError, metadataQuery } from "../parts/selection.js";
import { Empty, Loaded } from "../parts/states.js";
import { useData } from "../parts/use-data.js";
import { instantOf, wall } from "../parts/zone.js";
import { EventDetail } from "./event.js";
import { Live } from "./live.js";

/** The API's query of the filters that are in the URL. */
function eventQuery(params) {
  return {
    name: params.name,
    ...customerQuery(params.customer),
    ...metadataQuery(params.metadata),
    meter_id: params.meter,
    source: params.source,
    start_timestamp: params.from,
    end_timestamp: params.to,
  };
}

export function Events() {
  const { params } = useRoute();
  const isLive = params.live === "1";
  return html`
    <${Heading} title="Events">
      <button type="button" class=${isLive ? "primary" : ""} aria-pressed=${isLive}
        onClick=${() => setParams({ live: isLive ? undefined : "1", page: undefined })}>
        <span class=${`dot${isLive ? " on" : ""}`} aria-hidden="true"></span>Live</button>
    <//>
    <${Filters} params=${params} isLive=${isLive} />
    ${isLive ? html`<${Live} key=${JSON.stringify([params.name, params.customer, params.metadata, params.source, params.meter])} params=${params} />` : html`<${List} params=${params} />`}
    ${params.event && html`<${EventDetail} key=${params.event} id=${params.event} onClose=${() => closeOver({ event: undefined })} />`}`;
}

function Filters({ params, isLive }) {
  const zone = useZone();
  const names = useData((signal) => get("/v1/events/names", { limit: 100 }, { signal }), ["names"]);
  const meters = useData((signal) => allMeters(signal), ["meters"]);
  const change = (patch) => setParams({ page: undefined, ...patch });
  const list = useId();
  const known = meters.value?.items ?? [];
  const options = [["", "Any"], ...known.map(({ id, name }) => [id, name])];
  if (params.meter && !known.some(({ id }) => id === params.meter)) options.push([params.meter, params.meter]);
  const filtered = ["name", "customer", "metadata", "meter", "from", "to", "source"].some((key) => params[key]);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <datalist id=${list}>${names.value?.items.map(({ name }) => html`<option key=${name} value=${name} />`)}</datalist>
    <${SearchField} label="Name" value=${params.name} list=${list} onChange=${(name) => change({ name })} />
    <${SearchField} label="Customer" value=${params.customer} placeholder="External id, or id" onChange=${(customer) => change({ customer })} />
    <${SearchField} label="Property" value=${params.metadata} placeholder="key=value" error=${metadataError(params.metadata)} onChange=${(metadata) => change({ metadata })} />
    <${Choice} label="Counted by" value=${params.meter ?? ""} options=${options} hint=${meters.value && cutOff(meters.value)}
      onChange=${(meter) => change({ meter })} />
    ${!isLive && html`
      <${Instant} label=${`After (${zone})`} zone=${zone} value=${params.from} onChange=${(from) => change({ from })} />
      <${Instant} label=${`Before (${zone})`} zone=${zone} value=${params.to} onChange=${(to) => change({ to })} />`}
    ${filtered && html`<button type="button" class="small" onClick=${() =>
      change({ name: undefined, customer: undefined, metadata: undefined, meter: undefined, from: undefined, to: undefined, source: undefined })}>Clear filters</button>`}
  </form>`;
}

const two = (value) => String(value).padStart(2, "0");

/** An instant by the wall clock of the chosen zone. */
function Instant({ label, zone, value, onChange }) {
  const instant = Date.parse(value ?? "");
  // A bound just before a bucket shows as the bucket's beginning.
  const clock = Number.isNaN(instant) ? null : wall(value.endsWith("999Z") ? instant + 1 : instant, zone);
  const text = clock && `${clock.year}-${two(clock.month)}-${two(clock.day)}T${two(clock.hour)}:${two(clock.minute)}`;
  const changed = (event) => {
    const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(event.currentTarget.value);
    if (found === null) return onChange(undefined);
    const [year, month, day, hour, minute] = found.slice(1).map(Number);
    return onChange(new Date(instantOf({ year, month, day, hour, minute }, zone)).toISOString());
  };
  return html`<${Field} label=${label}>
    ${(wiring) => html`<input type="datetime-local" ...${wiring} value=${text ?? ""} onChange=${changed} />`}
  <//>`;
}

function List({ params }) {
  const page = pageOf(params);
  const query = { ...eventQuery(params), page, limit: 50 };
  const data = useData((signal) => get("/v1/events/", query, { signal }), query, { keep: true });
  if (data.error?.kind === "invalid") return html`<${FormErrors} messages=${errorsElsewhere(data.error, [])} />`;
  return html`<${Loaded} data=${data}>
    ${({ items, pagination }) => (items.length === 0
      ? page > 1 ? html`<${BeyondLast} what="events" />` : html`<${Empty} title="No event is like that"><p><a href=${link([])}>The overview</a> says how to send events.</p><//>`
      : html`<${EventRows} items=${items} />
        <${Pager} page=${page} pagination=${pagination} what="events" onPage=${(next) => setParams({ page: next }, { remember: true })} />
        ${pagination.max_page <= 1 && page <= 1 && html`<p class="muted"><span data-test="count">${pagination.total_count.toLocaleString()}</span> events</p>`}`)}
  <//>`;
}
