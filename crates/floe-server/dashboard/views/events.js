// Events, newest first: filters, the live tail, and one event opened.

import { errorsElsewhere, get, stream } from "../parts/api.js";
import { Choice, Field, FormErrors, Pager, SearchField, TableBox } from "../parts/controls.js";
import { dateTime, useZone } from "../parts/format.js";
import { Heading } from "../parts/heading.js";
import { html, useEffect, useId, useRef, useState } from "../parts/html.js";
import { link, setParams, useRoute } from "../parts/router.js";
import { Empty, Loaded } from "../parts/states.js";
import { useData } from "../parts/use-data.js";
import { clipped, metadataWords } from "../parts/words.js";
import { instantOf, wall } from "../parts/zone.js";
import { EventDetail } from "./event.js";
import { customerQuery, metadataError, metadataQuery } from "./meter.js";
import { CustomerLink } from "./overview.js";

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
    ${isLive ? html`<${Live} key=${JSON.stringify(eventQuery(params))} params=${params} />` : html`<${List} params=${params} />`}
    ${params.event && html`<${EventDetail} key=${params.event} id=${params.event} onClose=${() => setParams({ event: undefined })} />`}`;
}

function Filters({ params, isLive }) {
  const zone = useZone();
  const names = useData((signal) => get("/v1/events/names", { limit: 100 }, { signal }), ["names"]);
  const meters = useData((signal) => get("/v1/meters/", { limit: 100 }, { signal }), ["meters"]);
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
    ${!isLive && html`
      <${Choice} label="Counted by" value=${params.meter ?? ""} options=${options} onChange=${(meter) => change({ meter })} />
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
  const page = Number(params.page) || 1;
  const query = { ...eventQuery(params), page, limit: 50 };
  const data = useData((signal) => get("/v1/events/", query, { signal }), query, { keep: true });
  if (data.error?.kind === "invalid") return html`<${FormErrors} messages=${errorsElsewhere(data.error, [])} />`;
  return html`<${Loaded} data=${data}>
    ${({ items, pagination }) => (items.length === 0
      ? html`<${Empty} title="No event is like that"><p><a href=${link([])}>The overview</a> says how to send events.</p><//>`
      : html`<${Rows} items=${items} />
        <${Pager} page=${page} pagination=${pagination} what="events" onPage=${(next) => setParams({ page: next }, { remember: true })} />
        <p class="muted"><span data-test="count">${pagination.total_count.toLocaleString()}</span> events</p>`)}
  <//>`;
}

function Rows({ items }) {
  const zone = useZone();
  return html`<div class="card flush"><${TableBox} label="Events"><table class="events">
    <thead><tr><th scope="col">Time (${zone})</th><th scope="col">Name</th><th scope="col">Customer</th><th scope="col">Metadata</th></tr></thead>
    <tbody>${items.map((event) => html`<tr key=${event.id}>
      <td class="when"><button type="button" class="link" onClick=${() => setParams({ event: event.id })}
        title="Open the event">${dateTime(event.timestamp, zone)}</button></td>
      <td class="text name" dir="auto">${nameWords(event)}
        ${event.source === "system" && html` <span class="badge">system</span>`}</td>
      <td class="text"><${CustomerLink} customer=${event.customer} id=${event.customer_id} externalId=${event.external_customer_id} /></td>
      <td class="text metadata" dir="auto">${metadataWords(event.metadata)}</td>
    </tr>`)}</tbody>
  </table><//></div>`;
}

function nameWords({ label, name }) {
  if (label === name) return clipped(name) || "(no name)";
  return `${clipped(label)} (${clipped(name)})`;
}

/**
 * The stream's query. It has no `metadata[…]`, but a filter: a property is a text, a number or a
 * boolean that reads like that. Answers null if a filter cannot say it.
 */
function liveQuery(params) {
  const clauses = params.source ? [{ property: "source", operator: "eq", value: params.source }] : [];
  for (const [property, text] of new URLSearchParams(params.metadata ?? "")) {
    // A filter takes a dot for a step into an object, and these for the event's own fields.
    if (property.includes(".") || ["name", "source", "timestamp"].includes(property)) return null;
    const values = [text];
    if (/^-?\d{1,9}$/.test(text)) values.push(Number(text));
    if (text === "true" || text === "false") values.push(text === "true");
    clauses.push({ conjunction: "or", clauses: values.map((value) => ({ property, operator: "eq", value })) });
  }
  const filter = clauses.length > 0 ? JSON.stringify({ conjunction: "and", clauses }) : undefined;
  return { name: params.name, ...customerQuery(params.customer), filter };
}

const SHOWN_MAX = 100;

/** Events as they come in. When the stream breaks off, it goes on after the last one seen. */
function Live({ params }) {
  const [state, setState] = useState({ status: "connecting", error: null, items: [], count: 0 });
  const [paused, setPaused] = useState(false);
  const pausedNow = useRef(false);
  const waiting = useRef([]);
  pausedNow.current = paused;

  useEffect(() => {
    const controller = new AbortController();
    let lastId;
    const show = () => {
      if (pausedNow.current || waiting.current.length === 0) return;
      const fresh = waiting.current.reverse();
      waiting.current = [];
      setState((old) => ({ ...old, count: old.count + fresh.length, items: [...fresh, ...old.items].slice(0, SHOWN_MAX) }));
    };
    const timer = setInterval(show, 200);
    const onEvent = (event, id) => {
      lastId = id;
      waiting.current.push(event);
      // While it is paused only the newest are kept.
      if (waiting.current.length > 10 * SHOWN_MAX) waiting.current.splice(0, waiting.current.length - SHOWN_MAX);
    };
    const query = liveQuery(params);
    (async () => {
      if (query === null) {
        const details = [{ loc: [], msg: "Live, events cannot be found by this property. The list can." }];
        setState((old) => ({ ...old, status: "refused", error: { kind: "invalid", message: details[0].msg, details } }));
        return;
      }
      for (let attempts = 0; !controller.signal.aborted; attempts++) {
        const error = await stream("/v1/event-stream", query, {
          signal: controller.signal,
          lastId,
          onOpen: () => {
            attempts = 0;
            setState((old) => ({ ...old, status: "live", error: null }));
          },
          onEvent,
        });
        if (controller.signal.aborted) return;
        const lasting = error && !["network", "busy", "server"].includes(error.kind);
        setState((old) => ({ ...old, status: lasting ? "refused" : "waiting", error }));
        if (lasting) return;
        await new Promise((resolve) => setTimeout(resolve, Math.min(15_000, 500 * 2 ** attempts)));
      }
    })();
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, []);

  if (state.status === "refused") {
    if (state.error.kind === "invalid") return html`<${FormErrors} messages=${errorsElsewhere(state.error, [])} />`;
    const data = { value: undefined, error: state.error, loading: false };
    return html`<${Loaded} data=${data} missing="This server is older than this page and has no stream of events. The list without “Live” shows them." />`;
  }
  const words = { connecting: "Connecting…", live: "Live: events show as they come in.", waiting: "The stream broke off. Trying again…" };
  return html`
    <div class="live-head">
      <p role="status" data-test="live">${words[state.status]}</p>
      <p class="muted">${state.count.toLocaleString()} since you opened this</p>
      <button type="button" class="small" aria-pressed=${paused} onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button>
    </div>
    ${state.items.length === 0
      ? html`<${Empty} title="Waiting for events"><p>Send one, and it shows here.</p><//>`
      : html`<${Rows} items=${state.items} />`}`;
}

