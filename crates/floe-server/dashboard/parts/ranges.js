// Ranges of time that views ask for: presets and days of one's own, as whole buckets.

import { dayOf, floorTo, step } from "./zone.js";

export const INTERVALS = ["hour", "day", "week", "month", "year"];

/** Buckets that end with the current one, and the interval that suits them. */
export const PRESETS = {
  "24h": { label: "Last 24 hours", interval: "hour", unit: "hour", count: 24 },
  "7d": { label: "Last 7 days", interval: "day", unit: "day", count: 7 },
  "30d": { label: "Last 30 days", interval: "day", unit: "day", count: 30 },
  "90d": { label: "Last 90 days", interval: "day", unit: "day", count: 90 },
  month: { label: "This month", interval: "day", unit: "month", count: 1 },
  "last-month": { label: "Last month", interval: "day", unit: "month", count: 1, back: 1 },
  "12m": { label: "Last 12 months", interval: "month", unit: "month", count: 12 },
};

const DAY = 86_400_000;

/** The longest range of an interval, in days, as the server allows it. */
const DAYS_MAX = { hour: 7, day: 366, week: 371, month: 1460, year: 3650 };

/**
 * Whole buckets: {start, end, interval, error}. `end` is the beginning of the bucket after the
 * last. Parameters of the URL: range (a preset or "custom"), from and to (days), interval.
 */
export function rangeOf(params, zone, now, fallback = "30d") {
  const preset = PRESETS[params.range] ?? (params.range === "custom" ? null : PRESETS[fallback]);
  let start;
  let end;
  if (preset === null) {
    start = dayOf(params.from, zone);
    end = step("day", dayOf(params.to, zone), 1, zone);
    if (Number.isNaN(start) || Number.isNaN(end)) {
      return { start: NaN, end: NaN, interval: "day", error: "Choose a first and a last day." };
    }
    if (end <= start) {
      return { start, end, interval: "day", error: "The last day is before the first." };
    }
  } else {
    const current = step(preset.unit, floorTo(preset.unit, now, zone), -(preset.back ?? 0), zone);
    start = step(preset.unit, current, 1 - preset.count, zone);
    end = step(preset.unit, current, 1, zone);
  }
  const days = (end - start) / DAY;
  const wanted = INTERVALS.includes(params.interval) ? params.interval : preset?.interval;
  const allowed = INTERVALS.filter((one) => days <= DAYS_MAX[one] + (one === "hour" ? 0.1 : 0));
  const interval =
    (allowed.includes(wanted) && wanted) ||
    (days <= 2 && "hour") ||
    (days <= 366 && "day") ||
    (allowed.includes("month") && "month") ||
    "year";
  const first = floorTo(interval, start, zone);
  const last = floorTo(interval, end - 1, zone);
  return { start: first, end: step(interval, last, 1, zone), interval, allowed, error: null };
}

/** The same number of buckets, right before. */
export function previousRange({ start, end, interval }, zone) {
  const count = bucketsOf({ start, end, interval }, zone).length;
  return { start: step(interval, start, -count, zone), end: start, interval };
}

export function bucketsOf({ start, end, interval }, zone) {
  const buckets = [];
  for (let count = 0; buckets.length < 500; count++) {
    const bucket = step(interval, start, count, zone);
    if (bucket >= end) break;
    buckets.push(bucket);
  }
  return buckets;
}

/** What the API is asked for: its end is the last instant of the last bucket. */
export function rangeQuery({ start, end, interval }, zone) {
  return {
    start_timestamp: new Date(start).toISOString(),
    end_timestamp: new Date(end - 1).toISOString(),
    interval,
    timezone: zone,
  };
}

/** Bounds for lists of events, which leave out both: from `start` on, and before `end`. */
export function eventBounds(start, end) {
  // One microsecond before, which a Date cannot say.
  const before = new Date(start - 1).toISOString().replace(/Z$/, "999Z");
  return { start_timestamp: before, end_timestamp: new Date(end).toISOString() };
}
