// Numbers and times as the viewer writes them; each time says in which zone.

import { now } from "./clock.js";
import { route, useRoute } from "./router.js";
import { isZone } from "./zone.js";

export const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** The zone that times are shown in: the URL's, or else the viewer's own. */
function currentZone() {
  const asked = route.get().params.timezone;
  return asked && isZone(asked) ? asked : ownZone;
}

export function useZone() {
  useRoute();
  return currentZone();
}

export function zones() {
  const all = new Set(["UTC", ownZone, currentZone()]);
  for (const zone of Intl.supportedValuesOf?.("timeZone") ?? []) all.add(zone);
  return [...all];
}

const plain = new Intl.NumberFormat(undefined, { maximumFractionDigits: 6 });
const small = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const scientific = new Intl.NumberFormat(undefined, { notation: "scientific", maximumFractionDigits: 6 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, {
  style: "percent",
  maximumFractionDigits: 1,
  signDisplay: "exceptZero",
});

/** All digits, but of what has so many that they cannot be read; what is small is not made 0. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e21 || (size > 0 && size < 1e-9)) return scientific.format(Number(value));
  return (size > 0 && size < 0.01 ? small : plain).format(value);
}

/** For an axis. */
export function compact(value) {
  const size = Math.abs(value);
  if (size >= 1e15) return scientific.format(Number(value.toPrecision(3)));
  return size < 10_000 ? number(value) : short.format(value);
}

export const change = (now, before) => (before === 0 ? "" : percent.format((now - before) / Math.abs(before)));

export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let index = 0;
  let rest = value;
  while (rest >= 1000 && index < units.length - 1) {
    rest /= 1000;
    index++;
  }
  const options = { style: "unit", unit: units[index], unitDisplay: "short", maximumFractionDigits: 1 };
  // It is one word: a table does not break it.
  return new Intl.NumberFormat(undefined, options).format(rest).replaceAll(" ", "\u00a0");
}

const cache = new Map();

function formatter(options) {
  const key = JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl.DateTimeFormat(undefined, options));
  return cache.get(key);
}

/** `28 Nov 2026, 10:30:12 GMT+1` */
export function dateTime(value, zone = currentZone()) {
  if (!value) return "–";
  const options = {
    timeZone: zone,
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  };
  return formatter(options).format(new Date(value));
}

/** A bucket's beginning, as precise as its interval. */
export function bucket(value, interval, zone, { brief = false } = {}) {
  const options = { timeZone: zone };
  if (interval === "year") options.year = "numeric";
  else if (interval === "month") Object.assign(options, { year: "numeric", month: "short" });
  else Object.assign(options, { month: "short", day: "numeric" });
  if (!brief && interval !== "year") options.year = "numeric";
  if (!brief && (interval === "day" || interval === "week")) options.weekday = "short";
  if (interval === "hour") Object.assign(options, { hour: "2-digit", minute: "2-digit" });
  if (interval === "hour" && !brief) options.timeZoneName = "short";
  return formatter(options).format(new Date(value));
}

const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const STEPS = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30.44],
  ["month", 12],
  ["year", Infinity],
];

export function ago(value) {
  if (!value) return "never";
  let amount = (new Date(value).getTime() - now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) return relativeFormat.format(Math.round(amount), unit);
    amount /= size;
  }
  return "";
}

export function duration(seconds) {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** What a customer is called, from what is known of it. */
export function customerName(customer, externalId, id) {
  return customer?.name || customer?.email || externalId || customer?.external_id || id || "nobody";
}
