// What a meter that is not saved would count: among the newest events, and over 30 days.

import { errorsElsewhere, post } from "../parts/api.js";
import { Chart } from "../parts/chart.js";
import { now } from "../parts/clock.js";
import { FormErrors, TableBox } from "../parts/controls.js";
import { isNumber } from "../parts/exact.js";
import { goToPlace } from "../parts/filter-tree.js";
import { dateTime, number, useZone } from "../parts/format.js";
import { html, useEffect, useState } from "../parts/html.js";
import { rangeOf, rangeQuery } from "../parts/ranges.js";
import { Loaded } from "../parts/states.js";
import { useData } from "../parts/use-data.js";
import { metadataWords, named } from "../parts/words.js";

const PAUSE_MS = 400;

/** Events that are shown, of those that are asked for: credits and resets are not shown. */
const SHOWN = 12;
const ASKED = 60;

/** The value, once it has not changed for a moment. */
function useSettled(value) {
  const text = JSON.stringify(value);
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return JSON.parse(settled);
}

/** The place in the form that a reason is about: "0.1" of the filter, "" the whole of it. */
function placeOf(reason) {
  if (reason?.part === "filter") return reason.clause.join(".");
  return reason?.part === "aggregation" ? "aggregation" : null;
}

/** What the events say of each place. `of`: the meter that they were judged by, as text. */
function judgement(of, events) {
  const leftOut = {};
  for (const { reason } of events) {
    const place = placeOf(reason);
    if (place !== null) leftOut[place] = (leftOut[place] ?? 0) + 1;
  }
  return { of, shown: events.length, leftOut };
}

function placeWords(place, filter) {
  if (place === "aggregation") return "The property";
  if (place === "") return "The conditions";
  const path = place.split(".").map(Number);
  const node = path.reduce((found, at) => found?.clauses?.[at], filter);
  return `${node?.clauses ? "Group" : "Condition"} ${path.map((at) => at + 1).join(".")}`;
}

/** `onJudged` gets what events say of the form's places; `onMark` the place that is pointed at. */
export function MeterPreview({ wire, isComplete, onJudged, onMark }) {
  const zone = useZone();
  const { filter, aggregation } = wire;
  const asked = useSettled({ filter, aggregation, isComplete });
  const data = useData(
    async (signal) => {
      const range = rangeOf({ range: "30d" }, zone, now());
      const body = { filter: asked.filter, aggregation: asked.aggregation, ...rangeQuery(range, zone), limit: ASKED };
      const answer = await post("/v1/meters/preview", body, { signal });
      if (!answer.ok) return answer;
      const { filter, aggregation } = asked;
      const ofUsage = answer.value.events.filter(({ reason }) => reason?.part !== "event");
      const preview = { ...answer.value, events: ofUsage.slice(0, SHOWN) };
      onJudged(judgement(JSON.stringify({ filter, aggregation }), preview.events));
      return { ok: true, value: { preview, filter, passedOver: answer.value.events.length - ofUsage.length } };
    },
    [asked, zone],
    { keep: true, skip: !asked.isComplete },
  );
  if (!asked.isComplete) return html`<p class="muted">Fill in the conditions, and this shows what the meter would count.</p>`;
  if (data.error?.kind === "invalid") return html`<${FormErrors} messages=${errorsElsewhere(data.error, [])} />`;
  return html`<${Loaded} data=${data} tall missing="This server is older than this page and cannot preview meters. The meter can be saved all the same.">
    ${({ preview, passedOver, filter: of }) => html`<${Found} ...${{ preview, passedOver, zone, onMark, filter: of }} />`}
  <//>`;
}

function Found({ preview, passedOver, zone, filter, onMark }) {
  const { looked_at: lookedAt, matching, events, quantities } = preview;
  return html`
    <p class="figure-value" data-test="matching">${number(matching)} <small>of the newest ${number(lookedAt)} events count</small></p>
    ${quantities === null && html`<p class="muted">There are too many events to show the last 30 days before the meter is saved.</p>`}
    ${quantities && html`<${Chart} points=${quantities.quantities} interval="day" zone=${zone}
      label=${`What the meter would show for the last 30 days. Total ${number(quantities.total)}.`} />
      <p class="figure-detail">Last 30 days: <strong>${number(quantities.total)}</strong></p>`}
    ${events.length === 0 && passedOver === 0 && html`<p class="muted">There are no events to look at yet.</p>`}
    ${events.length > 0 && html`<h3>The newest events</h3>
      <${TableBox} label="The newest events and whether they count"><table class="preview">
        <thead><tr><th scope="col">Counts</th><th scope="col">Event</th><th scope="col">Value, or why not</th></tr></thead>
        <tbody>${events.map(({ event, matches, value, reason }) => html`<tr key=${event.id} class=${matches ? "" : "misses"}
          onPointerEnter=${() => onMark(placeOf(reason))} onPointerLeave=${() => onMark(null)}>
          <td>${matches ? html`<span class="yes">Yes</span>` : "No"}</td>
          <td class="text"><span dir="auto">${named(event.name)}</span>
            <p class="row-detail" dir="auto" title=${dateTime(event.timestamp, zone)}>${metadataWords(event.metadata, 4)}</p></td>
          <td class="text" dir="auto">${matches ? shownValue(value) : html`${reasonWords(reason?.text ?? "")}
            <${PlaceLink} place=${placeOf(reason)} filter=${filter} onMark=${onMark} />`}</td>
        </tr>`)}</tbody>
      </table><//>`}
    ${passedOver > 0 && html`<p class="muted">Credits and resets among them are no usage, and not shown.</p>`}`;
}

/** Leads to the condition in the form that left an event out. */
function PlaceLink({ place, filter, onMark }) {
  if (place === null) return null;
  return html`<p class="row-detail"><button type="button" class="link" onFocus=${() => onMark(place)} onBlur=${() => onMark(null)}
    onClick=${() => goToPlace(place)}>${placeWords(place, filter)}</button></p>`;
}

/** The server puts the property into backticks. */
function reasonWords(text) {
  const [, before, property, after] = /^([^`]*)`([^`]*)`(.*)$/s.exec(text) ?? [];
  return property === undefined ? text : html`${before}<code>${property}</code>${after}`;
}

function shownValue(value) {
  if (value === null || value === undefined) return "no value";
  return isNumber(value) ? number(value) : String(value);
}
