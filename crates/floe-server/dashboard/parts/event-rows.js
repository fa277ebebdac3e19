// Events as rows; each opens by its time.

import { TableBox } from "./controls.js";
import { dateTime, useZone } from "./format.js";
import { html, steady } from "./html.js";
import { openOver } from "./router.js";
import { CustomerLink } from "./top-customers.js";
import { clipped, metadataWords, named, tame } from "./words.js";

export function EventRows({ items }) {
  const zone = useZone();
  return html`<div class="card flush"><${TableBox} label="Events"><table class="events">
    <thead><tr><th scope="col">Time (${zone})</th><th scope="col">Name</th><th scope="col">Customer</th><th scope="col">Metadata</th></tr></thead>
    <tbody>${items.map((event) => html`<${Row} key=${event.id} event=${event} zone=${zone} />`)}</tbody>
  </table><//></div>`;
}

/** Drawn once: those of the live tail are not drawn anew with each event that comes. */
const Row = steady(({ event, zone }) => {
  const words = metadataWords(event.metadata);
  return html`<tr>
    <td class="when"><button type="button" class="link" onClick=${() => openOver({ event: event.id })}
      title="Open the event">${dateTime(event.timestamp, zone)}</button></td>
    <td class="text name" dir="auto">${nameWords(event)}
      ${event.source === "system" && html` <span class="badge">system</span>`}</td>
    <td class="text"><${CustomerLink} customer=${event.customer} id=${event.customer_id} externalId=${event.external_customer_id} /></td>
    <td class="metadata" dir="auto" title=${words}>${words}</td>
  </tr>`;
});

function nameWords({ label, name }) {
  if (label === name) return named(name);
  return `${tame(clipped(label))} (${tame(clipped(name))})`;
}
