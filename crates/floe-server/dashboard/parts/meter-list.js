// All meters of an organization, to choose one of them.

import { get } from "./api.js";
import { number } from "./format.js";
import { together } from "./use-data.js";

/** Pages of 100 meters that are asked for. */
const PAGES_MAX = 10;

/** Answers {items, total}: by name, at most 1,000. */
export async function allMeters(signal, query = {}) {
  const page = (at) => get("/v1/meters/", { limit: 100, sorting: "name", ...query, page: at }, { signal });
  const first = await page(1);
  if (!first.ok) return first;
  const { total_count: total, max_page: last } = first.value.pagination;
  const more = Array.from({ length: Math.min(last, PAGES_MAX) - 1 }, (_, at) => page(at + 2));
  const rest = await together(more);
  if (!rest.ok) return rest;
  return { ok: true, value: { items: [first.value, ...rest.value].flatMap(({ items }) => items), total } };
}

/** What to say beside a choice of them, if it has not all. */
export const cutOff = ({ items, total }) =>
  items.length < total ? `The first ${number(items.length)} of ${number(total)} by name` : undefined;
