// Usage at a glance.

import { get, post } from "../parts/api.js";
import { Chart } from "../parts/chart.js";
import { now } from "../parts/clock.js";
import { Choice, Segments, TableBox } from "../parts/controls.js";
import { ago, dateTime, number, useZone } from "../parts/format.js";
import { Card, Figure, Heading } from "../parts/heading.js";
import { html } from "../parts/html.js";
import { allMeters, cutOff } from "../parts/meter-list.js";
import { rangeOf, rangeQuery } from "../parts/ranges.js";
import { link, setParams, useRoute } from "../parts/router.js";
import { Share } from "../parts/sparkline.js";
import { Empty, Loaded } from "../parts/states.js";
import { CustomersOf } from "../parts/top-customers.js";
import { useData } from "../parts/use-data.js";
import { named } from "../parts/words.js";
import { FirstEvent } from "./first-event.js";

const EVERY_MS = 15_000;

/** All events that were sent in, as a meter that is not saved. */
const ALL = {
  filter: { conjunction: "and", clauses: [{ property: "source", operator: "eq", value: "user" }] },
  aggregation: { func: "count" },
};

const RANGES = { hour: "24h", day: "30d" };

/** Counting all events is work for the server, so it is not asked as often as for the newest. */
const COUNT_EVERY_MS = { hour: 60_000, day: 300_000 };

function useEventCounts(interval, zone) {
  const ask = (signal) => {
    const range = rangeOf({ range: RANGES[interval] }, zone, now());
    return post("/v1/meters/preview", { ...ALL, ...rangeQuery(range, zone), limit: 1 }, { signal });
  };
  return useData(ask, ["counts", interval, zone], { every: COUNT_EVERY_MS[interval], keep: true });
}

const TOO_MANY = "There are too many events to count them all at once. A meter counts them faster: make one.";
const OLD_SERVER = "This server is older than this page and cannot preview meters, which these counts need.";

export function Overview() {
  const newest = useData((signal) => get("/v1/events/", { limit: 1, source: "user" }, { signal }), ["newest"], {
    every: EVERY_MS,
  });
  const isEmpty = newest.value?.items.length === 0;
  return html`
    <${Heading} title="Overview" />
    <${Loaded} data=${newest} what="Looking for events">
      ${({ items }) => (isEmpty ? html`<${FirstEvent} />` : html`<${Glance} newest=${items[0]} />`)}
    <//>`;
}

function Glance({ newest }) {
  const zone = useZone();
  const { params } = useRoute();
  const interval = params.interval === "day" ? "day" : "hour";
  const hours = useEventCounts("hour", zone);
  const days = useEventCounts("day", zone);
  const minute = useData(
    (signal) => {
      const since = new Date(now() - 60_000).toISOString();
      return get("/v1/events/", { start_timestamp: since, source: "user", limit: 1 }, { signal });
    },
    ["minute"],
    { every: 5000 },
  );
  const counts = interval === "hour" ? hours : days;
  const total = (data) => (data.value?.quantities ? number(data.value.quantities.total) : "–");
  return html`
    <div class="figures">
      <${Figure} label="Last 24 hours" value=${total(hours)} detail="events" />
      <${Figure} label="Last 30 days" value=${total(days)} detail="events" />
      <${Figure} label="Right now" value=${minute.value ? number(minute.value.pagination.total_count) : "–"}
        detail="events in the last minute" />
      <${Figure} label="Newest event" value=${ago(newest.timestamp)} detail=${html`<a dir="auto" href=${link(["events"], { event: newest.id })}
        title=${dateTime(newest.timestamp, zone)}>${named(newest.name, 40)}</a>`} />
      <${Duplicates} zone=${zone} />
    </div>
    <${Card} title="Events" actions=${html`<${Segments} label="Interval" value=${interval}
      options=${[["hour", "By hour"], ["day", "By day"]]}
      onChange=${(value) => setParams({ interval: value === "hour" ? undefined : value })} />`}>
      <${Loaded} data=${counts} tall missing=${OLD_SERVER}>
        ${({ quantities }) => (quantities === null ? html`<p class="muted">${TOO_MANY}</p>` : html`<${Chart} points=${quantities.quantities} interval=${interval} zone=${zone} unit="events"
          label=${`Events by ${interval} in ${zone}; ${number(quantities.total)} in all.`} />`)}
      <//>
    <//>
    <div class="columns">
      <${Names} />
      <${TopCustomers} zone=${zone} />
    </div>`;
}

/** Counted by the server since its start. */
function Duplicates({ zone }) {
  const data = useData((signal) => get("/v1/event-totals", {}, { signal }), ["totals"], { every: EVERY_MS });
  if (data.value === undefined) return null;
  const { duplicates, duplicates_since: since, events } = data.value;
  return html`<${Figure} label="Duplicates refused" value=${number(duplicates)}
    detail=${html`since the server's start <span title=${dateTime(since, zone)}>${ago(since)}</span>; ${number(events)} stored`} />`;
}

function Names() {
  const data = useData(
    (signal) => get("/v1/events/names", { sorting: "-occurrences", limit: 8, source: "user" }, { signal }),
    ["names"],
    { every: EVERY_MS },
  );
  return html`<${Card} title="Top event names">
    <${Loaded} data=${data}>
      ${({ items }) => html`<${TableBox} label="Top event names"><table>
        <thead><tr><th scope="col">Name</th><th scope="col" class="number">Events</th><th scope="col">Last seen</th></tr></thead>
        <tbody>${items.map(
          ({ name, occurrences, last_seen: seen }) => html`<tr key=${name}>
            <td class="text"><a dir="auto" href=${link(["events"], { name })}>${named(name)}</a>
              <${Share} value=${occurrences} most=${items[0].occurrences} /></td>
            <td class="number">${number(occurrences)}</td>
            <td class="when" title=${dateTime(seen)}>${ago(seen)}</td>
          </tr>`,
        )}</tbody>
      </table><//>`}
    <//>
  <//>`;
}

function TopCustomers({ zone }) {
  const { params } = useRoute();
  const meters = useData(
    (signal) => allMeters(signal, { is_archived: false }),
    ["meters"],
  );
  const items = meters.value?.items ?? [];
  const chosen = items.find(({ id }) => id === params.meter) ??
    items.find(({ aggregation }) => aggregation.func === "sum") ??
    items[0];
  return html`<${Card} title="Top customers">
    <${Loaded} data=${meters}>
      ${() => (chosen === undefined
        ? html`<${Empty} title="There is no meter yet"><p>A meter says what is counted. Then this shows who uses most.</p>
            <p><a class="button primary" href=${link(["meters", "new"])}>Make a meter</a></p><//>`
        : html`<${Choice} label="Meter" value=${chosen.id} options=${items.map(({ id, name }) => [id, name])} hint=${cutOff(meters.value)}
              onChange=${(meter) => setParams({ meter })} />
            <${CustomersOf} key=${chosen.id} meter=${chosen} zone=${zone}
              range=${rangeOf({ range: "30d" }, zone, now())} limit=${6} />
            <p class="muted">Last 30 days · <a href=${link(["meters", chosen.id])}>Open the meter</a></p>`)}
    <//>
  <//>`;
}
