// What a meter that is not saved would count: among the newest events, and over 30 days.

import { errorsElsewhere, post } from "../parts/api.js";
import { Chart } from "../parts/chart.js";
import { FormErrors, TableBox } from "../parts/controls.js";
import { dateTime, number, useZone } from "../parts/format.js";
import { html, useEffect, useState } from "../parts/html.js";
import { rangeOf, rangeQuery } from "../parts/ranges.js";
import { Loaded } from "../parts/states.js";
import { useData } from "../parts/use-data.js";
import { metadataWords } from "../parts/words.js";

const PAUSE_MS = 400;

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

export function MeterPreview({ wire, isComplete }) {
  const zone = useZone();
  const { filter, aggregation } = wire;
  const asked = useSettled({ filter, aggregation, isComplete });
  const data = useData(
    (signal) => {
      const range = rangeOf({ range: "30d" }, zone, Date.now());
      const body = { filter: asked.filter, aggregation: asked.aggregation, ...rangeQuery(range, zone), limit: 12 };
      return post("/v1/meters/preview", body, { signal });
    },
    [asked, zone],
    { keep: true, skip: !asked.isComplete },
  );
  if (!asked.isComplete) return html`<p class="muted">Fill in the conditions, and this shows what the meter would count.</p>`;
  if (data.error?.kind === "invalid") return html`<${FormErrors} messages=${errorsElsewhere(data.error, [])} />`;
  return html`<${Loaded} data=${data} tall missing="This server is older than this page and cannot preview meters. The meter can be saved all the same.">
    ${(preview) => html`<${Found} preview=${preview} zone=${zone} />`}
  <//>`;
}

function Found({ preview, zone }) {
  const { looked_at: lookedAt, matching, events, quantities } = preview;
  return html`
    <p class="figure-value" data-test="matching">${number(matching)} <small>of the newest ${number(lookedAt)} events count</small></p>
    ${quantities === null && html`<p class="muted">There are too many events to show the last 30 days before the meter is saved.</p>`}
    ${quantities && html`<${Chart} points=${quantities.quantities} interval="day" zone=${zone}
      label=${`What the meter would show for the last 30 days. Total ${number(quantities.total)}.`} />
      <p class="figure-detail">Last 30 days: <strong>${number(quantities.total)}</strong></p>`}
    ${events.length === 0 && html`<p class="muted">There are no events to look at yet.</p>`}
    ${events.length > 0 && html`<h3>The newest events</h3>
      <${TableBox} label="The newest events and whether they count"><table class="preview">
        <thead><tr><th scope="col">Counts</th><th scope="col">Event</th><th scope="col">Value, or why not</th></tr></thead>
        <tbody>${events.map(({ event, matches, value, reason }) => html`<tr key=${event.id} class=${matches ? "" : "misses"}>
          <td>${matches ? html`<span class="yes">Yes</span>` : "No"}</td>
          <td class="text"><span dir="auto">${event.name || "(no name)"}</span>
            <p class="row-detail" dir="auto" title=${dateTime(event.timestamp, zone)}>${metadataWords(event.metadata, 4)}</p></td>
          <td class="text" dir="auto">${matches ? shownValue(value) : reasonWords(reason?.text ?? "")}</td>
        </tr>`)}</tbody>
      </table><//>`}`;
}

/** The server puts the property into backticks. */
function reasonWords(text) {
  const [, before, property, after] = /^([^`]*)`([^`]*)`(.*)$/s.exec(text) ?? [];
  return property === undefined ? text : html`${before}<code>${property}</code>${after}`;
}

function shownValue(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "number" ? number(value) : String(value);
}
