// A meter: its quantities as a chart, a table and files, and who used most.

import { errorsElsewhere, explain, get, patch, refreshAll } from "../parts/api.js";
import { Chart, save, savePicture } from "../parts/chart.js";
import { now } from "../parts/clock.js";
import { Check, Choice, copyText, FormErrors, SearchField, Segments, TableBox } from "../parts/controls.js";
import { Confirm } from "../parts/dialog.js";
import { bucket, change, dateTime, number, useZone } from "../parts/format.js";
import { Card, Heading } from "../parts/heading.js";
import { html, steady, useMemo, useRef, useState } from "../parts/html.js";
import { RangeControls } from "../parts/range-controls.js";
import { bucketsOf, eventBounds, previousRange, rangeOf, rangeQuery } from "../parts/ranges.js";
import { link, setParams, useRoute } from "../parts/router.js";
import { customerQuery, metadataError, metadataQuery } from "../parts/selection.js";
import { Loaded } from "../parts/states.js";
import { say } from "../parts/toast.js";
import { CustomersOf } from "../parts/top-customers.js";
import { together, useData } from "../parts/use-data.js";
import { csv, fileName, FUNCTIONS, meterWords, totalWords, unitOf } from "../parts/words.js";

export function Meter({ id }) {
  const data = useData((signal) => get(`/v1/meters/${encodeURIComponent(id)}`, {}, { signal }), ["meter", id]);
  return html`<${Loaded} data=${data} title="Meter" missing="There is no such meter, or it belongs to another organization.">
    ${(meter) => html`<${Shown} meter=${meter} />`}
  <//>`;
}

function Shown({ meter }) {
  const { params } = useRoute();
  const zone = useZone();
  const [asking, setAsking] = useState(false);
  const plotRef = useRef(null);
  const range = rangeOf(params, zone, now());
  const selection = { ...customerQuery(params.customer), ...metadataQuery(params.metadata) };
  const compare = params.compare === "1";
  const path = `/v1/meters/${meter.id}/quantities`;
  const query = { ...selection, customer_aggregation_function: params.per_customer };
  const data = useData(
    async (signal) => {
      const answer = await together([
        get(path, { ...query, ...rangeQuery(range, zone) }, { signal }),
        ...(compare ? [get(path, { ...query, ...rangeQuery(previousRange(range, zone), zone) }, { signal })] : []),
      ]);
      if (!answer.ok) return answer;
      // With what was asked: it is shown until the answer to the next question is there.
      const [current, before] = answer.value;
      return { ok: true, value: { current, before, range, zone } };
    },
    [range.start, range.end, range.interval, zone, query, compare],
    { keep: true, skip: range.error !== null },
  );
  const unit = unitOf(meter);
  return html`
    <${Heading} title=${meter.name} above=${html`<p class="crumbs"><a href=${link(["meters"])}>Meters</a></p>`}>
      <button type="button" onClick=${() => copyText(location.href, "the link to this view")}>Copy link</button>
      <a class="button" href=${link(["meters", meter.id, "edit"])}>Edit</a>
      <button type="button" onClick=${() => setAsking(true)}>${meter.archived_at ? "Use again" : "Archive"}</button>
    <//>
    <p class="lead" dir="auto">${meter.archived_at && html`<span class="badge">archived ${dateTime(meter.archived_at, zone)}</span> `}
      ${meterWords(meter)}</p>
    ${asking && html`<${Archive} meter=${meter} onClose=${() => setAsking(false)} />`}
    <${Controls} params=${params} range=${range} zone=${zone} />
    ${data.error?.kind === "invalid"
      ? html`<${FormErrors} messages=${errorsElsewhere(data.error, [])} />`
      : range.error === null && html`<${Loaded} data=${data} tall>
        ${(asked) => html`<${Quantities} ...${{ meter, unit, params, plotRef, ...asked }} />`}
      <//>`}
    ${range.error === null && data.error?.kind !== "invalid" && html`<${Card} title="Top customers in this time">
      <${CustomersOf} meter=${meter} zone=${zone} range=${range} extra=${metadataQuery(params.metadata)} />
    <//>`}`;
}

const PER_CUSTOMER = [["", "No: all events together"], ...Object.entries(FUNCTIONS).map(([key, label]) => [key, key === "count" ? "Count of customers" : `${label} of customers`])];

function Controls({ params, range, zone }) {
  const isFiltered = params.customer || params.metadata || params.per_customer;
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>
    <${RangeControls} params=${params} range=${range} zone=${zone} />
    <details class="more-filters" open=${Boolean(isFiltered)}>
      <summary>Customers and metadata${isFiltered ? " (filtered)" : ""}</summary>
      <div class="filters">
        <${SearchField} label="Customer" value=${params.customer} onChange=${(customer) => setParams({ customer })} hint="External id, or id" />
        <${SearchField} label="Metadata" value=${params.metadata} onChange=${(metadata) => setParams({ metadata })} hint="key=value, more with &"
          error=${metadataError(params.metadata)} />
        <${Choice} label="By customer first" options=${PER_CUSTOMER} value=${params.per_customer ?? ""}
          onChange=${(value) => setParams({ per_customer: value })} />
      </div>
    </details>
  </form>`;
}

function Quantities({ meter, unit, range, zone, params, current, before, plotRef }) {
  const kind = params.chart === "line" ? "line" : "bars";
  const title = `${meter.name}, by ${range.interval}`;
  const span = `${bucket(range.start, "day", zone)} to ${bucket(range.end - 1, "day", zone)}, ${zone}`;
  const download = () => {
    const head = ["start", "quantity", ...(before ? ["start_before", "quantity_before"] : [])];
    const rows = current.quantities.map(({ timestamp, quantity }, at) => {
      const old = before?.quantities[at];
      return [timestamp, quantity, ...(before ? [old?.timestamp ?? "", old?.quantity ?? ""] : [])];
    });
    save(new Blob([csv([head, ...rows])], { type: "text/csv" }), fileName(title, "csv"));
    say("Saved as CSV. Times are in UTC.");
  };
  return html`<section class="card">
    <div class="card-head">
      <div>
        <h2 class="figure-label">${totalWords(meter)}</h2>
        <p class="figure-value"><span data-test="total">${number(current.total)}</span> <small>${unit}</small></p>
        ${before && html`<p class="figure-detail">Period before: ${number(before.total)} ${change(current.total, before.total)}</p>`}
      </div>
      <div class="buttons">
        <${Check} label="Compare with the period before" checked=${params.compare === "1"} onChange=${(on) => setParams({ compare: on ? "1" : undefined })} />
        <${Segments} label="Kind of chart" value=${kind} options=${[["bars", "Bars"], ["line", "Line"]]}
          onChange=${(value) => setParams({ chart: value === "bars" ? undefined : value })} />
        <button type="button" class="small" onClick=${download}>CSV</button>
        <button type="button" class="small" onClick=${() => plotRef.current && savePicture(plotRef.current, title, `${span} · ${totalWords(meter)} ${number(current.total)} ${unit}`, fileName(title, "png"))}>PNG</button>
      </div>
    </div>
    <${Chart} points=${current.quantities} previous=${before?.quantities} kind=${kind} interval=${range.interval} zone=${zone} unit=${unit}
      plotRef=${plotRef} label=${`${title}, ${span}. ${totalWords(meter)} ${number(current.total)} ${unit}. The table below has all values.`} />
    <${Table} ...${{ meter, unit, range, zone, current, before }} customer=${params.customer} metadata=${params.metadata} />
  </section>`;
}

/**
 * Newest first; each quantity leads to the events behind it. Hundreds of rows are not drawn anew to
 * draw the chart another way.
 */
const Table = steady(({ meter, unit, range, zone, customer, metadata, current, before }) => {
  const [all, setAll] = useState(false);
  const starts = useMemo(() => [...bucketsOf(range, zone), range.end], [range.start, range.end, range.interval, zone]);
  const rows = current.quantities.map((point, at) => ({ ...point, at })).reverse();
  const shown = all ? rows : rows.slice(0, 12);
  const { interval } = range;
  return html`<${TableBox} label="Quantities"><table>
      <thead><tr><th scope="col">${interval[0].toUpperCase() + interval.slice(1)} (${zone})</th>
        <th scope="col" class="number">${unit || "Quantity"}</th>
        ${before && html`<th scope="col" class="number">Period before</th>`}
        <th scope="col">Events</th></tr></thead>
      <tbody>${shown.map(({ timestamp, quantity, at }) => {
        const { start_timestamp: from, end_timestamp: to } = eventBounds(starts[at], starts[at + 1]);
        const events = link(["events"], { meter: meter.id, from, to, customer, metadata });
        const when = bucket(timestamp, interval, zone);
        return html`<tr key=${timestamp}>
          <td>${when}</td>
          <td class="number">${number(quantity)}</td>
          ${before && html`<td class="number">${number(before.quantities[at]?.quantity)}</td>`}
          <td><a href=${events}>Show<span class="visually-hidden"> the events of ${when}</span></a></td>
        </tr>`;
      })}</tbody>
    </table><//>
    ${rows.length > 12 && html`<p><button type="button" class="small" aria-expanded=${all} onClick=${() => setAll(!all)}>
      ${all ? "Show fewer" : `Show all ${rows.length}`}</button></p>`}`;
});

function Archive({ meter, onClose }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const isArchived = Boolean(meter.archived_at);
  const confirm = async () => {
    setBusy(true);
    const answer = await patch(`/v1/meters/${meter.id}`, { is_archived: !isArchived });
    setBusy(false);
    if (!answer.ok) {
      setError(explain(answer));
      return;
    }
    say(isArchived ? "The meter is in use again." : "The meter is archived.");
    onClose();
    refreshAll();
  };
  return html`<${Confirm} title=${isArchived ? "Use this meter again?" : "Archive this meter?"} danger=${false}
    action=${isArchived ? "Use again" : "Archive"} busy=${busy} error=${error} onConfirm=${confirm} onClose=${onClose}>
    <p>${isArchived
      ? "It is listed with the others again, and so are its customers' balances."
      : "It goes on counting and can be opened, but is no longer listed, nor are its customers' balances. You can use it again at any time."}</p>
  <//>`;
}

