// A customer: what it used and was credited on each meter, its usage over time, its events.

import { errorAt, errorsElsewhere, explain, get, post, refreshAll } from "../parts/api.js";
import { Chart } from "../parts/chart.js";
import { now } from "../parts/clock.js";
import { Check, Choice, FormErrors, Pager, TableBox, TextField } from "../parts/controls.js";
import { Confirm, Dialog } from "../parts/dialog.js";
import { customerName, dateTime, number, useZone } from "../parts/format.js";
import { Card, Heading } from "../parts/heading.js";
import { html, useRef, useState } from "../parts/html.js";
import { allMeters, cutOff } from "../parts/meter-list.js";
import { RangeControls } from "../parts/range-controls.js";
import { rangeOf, rangeQuery } from "../parts/ranges.js";
import { link, pageOf, setParams, useRoute } from "../parts/router.js";
import { Empty, Loaded } from "../parts/states.js";
import { say } from "../parts/toast.js";
import { useData } from "../parts/use-data.js";
import { metadataWords, named, tame, totalWords, unitOf } from "../parts/words.js";

export function Customer({ id }) {
  const data = useData((signal) => get(`/v1/customers/${encodeURIComponent(id)}`, {}, { signal }), ["customer", id]);
  return html`<${Loaded} data=${data} title="Customer" missing="There is no such customer: it was deleted, or belongs to another organization.">
    ${(customer) => html`<${Shown} customer=${customer} />`}
  <//>`;
}

function Shown({ customer }) {
  const zone = useZone();
  const { params } = useRoute();
  const page = pageOf(params);
  const query = { customer_id: customer.id, sorting: "meter_name", limit: 20, page };
  const balances = useData((signal) => get("/v1/customer-meters/", query, { signal }), query, { keep: true });
  return html`
    <${Heading} title=${customerName(customer)} above=${html`<p class="crumbs"><a href=${link(["customers"])}>Customers</a></p>`} />
    <dl class="facts inline">
      <div><dt>E-mail</dt><dd dir="auto">${customer.email ?? "–"}</dd></div>
      <div><dt>External id</dt><dd dir="auto">${customer.external_id ?? "–"}</dd></div>
      <div><dt>First usage</dt><dd>${dateTime(customer.first_user_event_at, zone)}</dd></div>
      <div><dt>Made</dt><dd>${dateTime(customer.created_at, zone)}</dd></div>
      <div><dt>Id</dt><dd><code>${customer.id}</code></dd></div>
    </dl>
    <${Balances} customer=${customer} data=${balances} page=${page} />
    <${Usage} customer=${customer} zone=${zone} balances=${balances} />
    <${Newest} customer=${customer} zone=${zone} />`;
}

function Balances({ customer, data, page }) {
  const [asked, setAsked] = useState(null);
  const close = () => setAsked(null);
  return html`<${Card} title="Meters">
    ${asked?.action === "credit" && html`<${Credit} row=${asked.row} onClose=${close} />`}
    ${asked?.action === "reset" && html`<${Reset} row=${asked.row} onClose=${close} />`}
    <${Loaded} data=${data}>
      ${({ items, pagination }) => (items.length === 0
        ? html`<${Empty} title="There is no meter yet"><p><a href=${link(["meters", "new"])}>Make a meter</a></p><//>`
        : html`<${TableBox} label="Meters of the customer"><table>
          <thead><tr><th scope="col">Meter</th><th scope="col" class="number">Consumed</th><th scope="col" class="number">Credited</th>
            <th scope="col" class="number">Balance</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
          <tbody>${items.map((row) => html`<tr key=${row.id}>
            <td class="text"><a dir="auto" href=${link(["meters", row.meter_id], { customer: customer.id })}>${row.meter.name}</a></td>
            <td class="number">${number(row.consumed_units)}</td>
            <td class="number">${number(row.credited_units)}</td>
            <td class=${`number${row.balance < 0 && row.credited_units > 0 ? " negative" : ""}`}>${number(row.balance)}</td>
            <td class="actions">
              <button type="button" class="small" aria-label=${`Credit ${row.meter.name}`} onClick=${() => setAsked({ action: "credit", row })}>Credit</button>
              <button type="button" class="small" aria-label=${`Reset ${row.meter.name}`} onClick=${() => setAsked({ action: "reset", row })}>Reset</button>
            </td>
          </tr>`)}</tbody></table><//>
          <${Pager} page=${page} pagination=${pagination} what="meters" onPage=${(next) => setParams({ page: next }, { remember: true })} />`)}
    <//>
  <//>`;
}

function Credit({ row, onClose }) {
  const [units, setUnits] = useState("");
  const [rollover, setRollover] = useState(false);
  const [error, setError] = useState(null);
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  // The same credit, however often it is sent: a lost answer must not credit twice.
  const externalId = useRef(`dashboard-${crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`}`);
  const submit = async (event) => {
    event.preventDefault();
    if (!/^-?\d{1,15}$/.test(units.trim())) {
      setWrong("Type in a whole number.");
      return;
    }
    setBusy(true);
    const body = { units: Number(units), rollover, external_id: externalId.current };
    const answer = await post(`/v1/customer-meters/${row.id}/credits`, body);
    setBusy(false);
    setWrong(null);
    if (!answer.ok) {
      setError(answer);
      return;
    }
    say(`Credited. The balance is ${number(answer.value.balance)}.`);
    onClose();
    refreshAll();
  };
  return html`<${Dialog} title=${`Credit ${tame(row.meter.name)}`} onClose=${onClose}>
    <form onSubmit=${submit} noValidate>
      <p>Balance now: <strong>${number(row.balance)}</strong></p>
      <${FormErrors} messages=${errorsElsewhere(error, ["units", "rollover"])} />
      <${TextField} label="Units" inputmode="numeric" value=${units} error=${wrong ?? errorAt(error, "units")} onInput=${setUnits}
        hint="Whole units. A negative number takes credit back." />
      <${Check} label="What is left at a reset is carried over" checked=${rollover} onChange=${setRollover} />
      <div class="buttons"><button type="submit" class="primary" disabled=${busy}>Credit</button>
        <button type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}

function Reset({ row, onClose }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    const answer = await post(`/v1/customer-meters/${row.id}/reset`, {});
    setBusy(false);
    if (!answer.ok) {
      setError(explain(answer));
      return;
    }
    say("A new period has begun.");
    onClose();
    refreshAll();
  };
  return html`<${Confirm} title=${`Reset ${tame(row.meter.name)}?`} action="Begin a new period" busy=${busy} error=${error} onConfirm=${confirm} onClose=${onClose}>
    <p>Consumed (${number(row.consumed_units)}) and credited (${number(row.credited_units)}) units go to zero, but for what is
      left of credits that are carried over. This cannot be taken back. Events and quantities stay as they are.</p>
  <//>`;
}

/** At first of a meter that the customer uses, if the balances tell. */
function Usage({ customer, zone, balances }) {
  const { params } = useRoute();
  const meters = useData((signal) => allMeters(signal, { is_archived: false }), ["meters"]);
  const items = meters.value?.items ?? [];
  const used = balances.value?.items.find(({ consumed_units: units }) => units > 0)?.meter_id;
  const isKnown = params.meter || balances.value || balances.error;
  const meter = isKnown ? (items.find(({ id }) => id === (params.meter ?? used)) ?? items[0]) : undefined;
  const range = rangeOf(params, zone, now());
  const query = { ...rangeQuery(range.error ? rangeOf({}, zone, now()) : range, zone), customer_id: customer.id };
  const data = useData(
    (signal) => get(`/v1/meters/${meter.id}/quantities`, query, { signal }),
    [meter?.id, query],
    { keep: true, skip: meter === undefined || range.error !== null },
  );
  return html`<${Card} title="Usage">
    <${Loaded} data=${meters}>
      ${() => meter && html`
        <form class="filters" onSubmit=${(event) => event.preventDefault()}>
          <${Choice} label="Meter" value=${meter.id} options=${items.map(({ id, name }) => [id, name])} hint=${cutOff(meters.value)} onChange=${(id) => setParams({ meter: id })} />
          <${RangeControls} params=${params} range=${range} zone=${zone} />
        </form>
        ${range.error === null && html`<${Loaded} data=${data} tall>
          ${(value) => html`<div><p class="figure-label">${totalWords(meter)}</p>
              <p class="figure-value"><span data-test="usage">${number(value.total)}</span> <small>${unitOf(meter)}</small></p></div>
            <${Chart} points=${value.quantities} interval=${range.interval} zone=${zone} unit=${unitOf(meter)}
              label=${`${meter.name} of this customer, by ${range.interval} in ${zone}. ${totalWords(meter)} ${number(value.total)}.`} />`}
        <//>`}`}
    <//>
  <//>`;
}

function Newest({ customer, zone }) {
  const query = { customer_id: customer.id, limit: 10 };
  const data = useData((signal) => get("/v1/events/", query, { signal }), query);
  return html`<${Card} title="Newest events" actions=${html`<a href=${link(["events"], { customer: customer.id })}>All events</a>`}>
    <${Loaded} data=${data}>
      ${({ items }) => (items.length === 0
        ? html`<p class="muted">There are none yet.</p>`
        : html`<${TableBox} label="Newest events of the customer"><table class="events">
            <thead><tr><th scope="col">Time (${zone})</th><th scope="col">Name</th><th scope="col">Metadata</th></tr></thead>
            <tbody>${items.map((event) => html`<tr key=${event.id}>
              <td class="when"><a href=${link(["events"], { customer: customer.id, event: event.id })}>${dateTime(event.timestamp, zone)}</a></td>
              <td class="text name" dir="auto">${named(event.label)}</td>
              <td class="metadata" dir="auto" title=${metadataWords(event.metadata)}>${metadataWords(event.metadata)}</td>
            </tr>`)}</tbody></table><//>`)}
    <//>
  <//>`;
}
