// The server, for the root token: version, health, what is stored, how fast it answers.

import { get } from "../parts/api.js";
import { useCell } from "../parts/cell.js";
import { TableBox } from "../parts/controls.js";
import { bytes, dateTime, duration, number, useZone } from "../parts/format.js";
import { Card, Figure, Heading } from "../parts/heading.js";
import { html } from "../parts/html.js";
import { session } from "../parts/session.js";
import { Loaded, NotThere } from "../parts/states.js";
import { useData } from "../parts/use-data.js";

const PARTS = {
  data: "The whole data folder",
  segments: "Sealed events (segments)",
  journal: "New events (journal)",
  cache: "Derived, may be deleted (cache)",
  catalog: "Meters, customers, tokens (catalog)",
};

export function System() {
  const { isRoot } = useCell(session);
  const data = useData((signal) => get("/v1/system", {}, { signal, everywhere: true }), ["system"], { every: 5000, skip: !isRoot });
  if (!isRoot) return html`<${Heading} title="System" /><${NotThere}>Only the root token sees the server's state.<//>`;
  return html`<${Heading} title="System" />
    <${Loaded} data=${data} missing="This server is older than this page and does not tell its state here. Its metrics are at /metrics.">
      ${(system) => html`<${State} system=${system} />`}
    <//>`;
}

function State({ system }) {
  const zone = useZone();
  const { latency = {} } = system;
  const isOk = system.writing === "ok";
  return html`
    ${!isOk && html`<div class="note bad" role="alert"><p><strong>Writing has stopped.</strong> The disk refused a write or a sync.
      Reads go on; events are refused until the server is started again. Its log says why.</p></div>`}
    <div class="figures">
      <${Figure} label="Health" value=${isOk ? "Writing and reading" : "Reading only"} />
      <${Figure} label="Version" value=${system.version} />
      <${Figure} label="Running for" value=${duration(system.uptime_seconds)} detail=${`since ${dateTime(system.started_at, zone)}`} />
      <${Figure} label="Events" value=${number(system.events)} />
      <${Figure} label="Organizations" value=${number(system.organizations)} />
    </div>
    <div class="columns">
      <${Card} title="On disk">
        <${TableBox} label="Bytes on disk"><table>
          <thead><tr><th scope="col">What</th><th scope="col" class="number">Size</th></tr></thead>
          <tbody>${Object.entries(PARTS).filter(([key]) => system.bytes?.[key] !== undefined).map(([key, label]) => html`<tr key=${key}>
            <td>${label}</td><td class="number" title=${`${number(system.bytes[key])} bytes`}>${bytes(system.bytes[key])}</td></tr>`)}</tbody>
        </table><//>
      <//>
      <${Card} title="How fast it answers">
        <${TableBox} label="Latency"><table>
          <thead><tr><th scope="col">Requests</th><th scope="col" class="number">Count</th><th scope="col" class="number">Half within</th><th scope="col" class="number">99 % within</th></tr></thead>
          <tbody>${[["ingest", "Ingestion"], ["query", "Queries"]].filter(([key]) => latency[key]).map(([key, label]) => html`<tr key=${key}>
            <td>${label}</td><td class="number">${number(latency[key].count)}</td>
            <td class="number">${milliseconds(latency[key].p50_ms)}</td><td class="number">${milliseconds(latency[key].p99_ms)}</td></tr>`)}</tbody>
        </table><//>
      <//>
    </div>`;
}

function milliseconds(value) {
  return value === null || value === undefined ? "–" : `${Number(value).toLocaleString(undefined, { maximumFractionDigits: 2 })} ms`;
}
