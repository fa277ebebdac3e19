// Calendar arithmetic in a time zone: where hours, days, weeks, months and years begin.
// Local times that do not exist, or exist twice, are read as the server reads them: one in a gap
// with the offset before the change, one that exists twice as the later.

const formats = new Map();

function formatOf(zone) {
  if (!formats.has(zone)) {
    formats.set(
      zone,
      new Intl.DateTimeFormat("en-US", {
        timeZone: zone,
        calendar: "gregory",
        numberingSystem: "latn",
        hourCycle: "h23",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      }),
    );
  }
  return formats.get(zone);
}

export function isZone(zone) {
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** The wall clock at an instant (ms): {year, month (1-12), day, hour, minute, second}. */
export function wall(instant, zone) {
  const parts = {};
  for (const { type, value } of formatOf(zone).formatToParts(instant)) parts[type] = Number(value);
  return parts;
}

const asUtc = ({ year, month, day, hour = 0, minute = 0, second = 0 }) =>
  Date.UTC(year, month - 1, day, hour, minute, second);

/** Milliseconds that the zone is ahead of UTC at an instant. */
function offset(instant, zone) {
  const seconds = Math.floor(instant / 1000) * 1000;
  return asUtc(wall(seconds, zone)) - seconds;
}

const DAY = 86_400_000;

/** The instant (ms) of a wall clock; days and months may overflow, as in Date.UTC. */
export function instantOf(clock, zone) {
  const local = asUtc(clock);
  const before = offset(local - DAY, zone);
  const after = offset(local + DAY, zone);
  const found = [local - before, local - after].filter(
    (instant) => instant + offset(instant, zone) === local,
  );
  return found.length > 0 ? Math.max(...found) : local - before;
}

/** The beginning of the hour, day, ISO week, month or year that an instant is in. */
export function floorTo(interval, instant, zone) {
  const { year, month, day } = wall(instant, zone);
  if (interval === "hour") {
    const ahead = offset(instant, zone);
    return Math.floor((instant + ahead) / 3_600_000) * 3_600_000 - ahead;
  }
  if (interval === "year") return instantOf({ year, month: 1, day: 1 }, zone);
  if (interval === "month") return instantOf({ year, month, day: 1 }, zone);
  const weekday = (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7;
  return instantOf({ year, month, day: interval === "week" ? day - weekday : day }, zone);
}

/** The beginning of the bucket `count` buckets after the one that begins at `start`. */
export function step(interval, start, count, zone) {
  if (interval === "hour") return start + count * 3_600_000;
  const { year, month, day } = wall(start, zone);
  if (interval === "year") return instantOf({ year: year + count, month, day }, zone);
  if (interval === "month") return instantOf({ year, month: month + count, day }, zone);
  return instantOf({ year, month, day: day + count * (interval === "week" ? 7 : 1) }, zone);
}

/** `2026-11-28`, as date inputs have it. */
export function dateText(instant, zone) {
  const { year, month, day } = wall(instant, zone);
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
}

const two = (number) => String(number).padStart(2, "0");

/** The beginning of a day that is written like that; NaN if it is none. */
export function dayOf(text, zone) {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? "") ?? [];
  if (year === undefined) return NaN;
  return instantOf({ year: Number(year), month: Number(month), day: Number(day) }, zone);
}
