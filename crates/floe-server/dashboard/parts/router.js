// The state of a view is in the URL's hash, so that a link opens the same view again:
// #/meters/<id>?interval=day&… A token is never there.

import { cell, useCell } from "./cell.js";

/** Parameters that stay when another view is opened. */
const CARRIED = ["organization", "timezone"];

function parse(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(decode);
  return { parts, params: Object.fromEntries(new URLSearchParams(query)) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = cell(parse(location.hash));
addEventListener("hashchange", () => route.set(parse(location.hash)));

export const useRoute = () => useCell(route);

function format(parts, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const path = `#/${parts.map(encodeURIComponent).join("/")}`;
  return query.size === 0 ? path : `${path}?${query}`;
}

/** The link to a view: `link(["meters", id], {interval: "day"})`. */
export function link(parts, params = {}) {
  const now = route.get().params;
  const carried = Object.fromEntries(CARRIED.map((name) => [name, now[name]]));
  return format(parts, { ...carried, ...params });
}

export function open(parts, params = {}) {
  location.hash = link(parts, params);
}

/** Changes parameters of this view. Only with `remember` is there a way back to what was before. */
export function setParams(patch, { remember = false } = {}) {
  const { parts, params } = route.get();
  const hash = format(parts, { ...params, ...patch });
  if (hash === location.hash) return;
  if (remember) location.hash = hash;
  else {
    history.replaceState(history.state, "", hash);
    route.set(parse(hash));
  }
}

/** The page of a list that the address asks for. */
export const pageOf = ({ page }) => (/^[1-9]\d{0,8}$/.test(page ?? "") ? Number(page) : 1);

/** Opens something over this view by parameters; the way back closes it. */
export function openOver(patch) {
  const { parts, params } = route.get();
  const hash = format(parts, { ...params, ...patch });
  history.pushState({ isOver: true }, "", hash);
  route.set(parse(hash));
}

/** Closes it: back, or where a link led to it, by parameters. */
export function closeOver(patch) {
  if (history.state?.isOver) history.back();
  else setParams(patch);
}
