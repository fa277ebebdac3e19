// Buckets that the page reckons with, beside the points of the server: around changes of clocks, in zones with half hours,
// with a change at midnight, and with a day that never was.

import { fill } from "./data.mjs";
import { equal, inWindow } from "./support.mjs";

const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Africa/Cairo",
  "Asia/Kolkata",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "America/Havana",
  "Asia/Beirut",
  "Pacific/Chatham",
];
const RANGES = [
  { from: "2024-03-08", to: "2024-03-12", interval: "hour" },
  { from: "2024-10-24", to: "2024-10-29", interval: "hour" },
  { from: "2024-11-01", to: "2024-11-05", interval: "hour" },
  { from: "2024-02-20", to: "2024-12-10", interval: "day" },
  { from: "2024-02-20", to: "2024-12-10", interval: "week" },
  { from: "2023-02-10", to: "2025-12-10", interval: "month" },
  { from: "2024-02-10", to: "2026-12-10", interval: "year" },
];

async function floors({ points, zone, interval }) {
  const main = document.querySelector("script[type=module]").src;
  const { floorTo } = await import(new URL("parts/zone.js", main));
  return points.map((point) => floorTo(interval, point, zone));
}

export default async function run(server, browser) {
  const { api, meters } = await fill(server, "zones");
  await inWindow(browser, server, "buckets", async (page, window) => {
    await window.signIn(api.token);
    const cases = ZONES.flatMap((zone) => RANGES.map((range) => ({ zone, params: { range: "custom", ...range } })));
    const found = await page.evaluate(async (all) => {
      const main = document.querySelector("script[type=module]").src;
      const { bucketsOf, rangeOf, rangeQuery } = await import(new URL("parts/ranges.js", main));
      return all.map(({ zone, params }) => {
        const range = rangeOf(params, zone, Date.now());
        return { query: rangeQuery(range, zone), buckets: bucketsOf(range, zone), end: range.end };
      });
    }, cases);
    for (const [at, { query, buckets, end }] of found.entries()) {
      const { zone, params } = cases[at];
      const { quantities } = await api.get(`/v1/meters/${meters.chats.id}/quantities?${new URLSearchParams(query)}`);
      const name = `${zone}, ${params.interval}s from ${params.from} to ${params.to}`;
      const points = quantities.map(({ timestamp }) => Date.parse(timestamp));
      // Where midnight was skipped, the server's points go on at one o'clock: in the same days.
      const begins = await page.evaluate(floors, { points, zone, interval: params.interval });
      equal(name, buckets, begins);
      equal(`${name}: ends with the last`, Date.parse(query.end_timestamp) + 1, end);
    }
  });
}
