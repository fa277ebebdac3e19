// The only module that calls the server. Failures are values, which views show where they belong:
//   {ok: true, value, text, status}
//   {ok: false, kind, status, message, details: [{loc, msg}], scopes}
// kind: "network" "unauthorized" "scope" "refused" "missing" "invalid" "busy" "server" "aborted"

import { cell } from "./cell.js";
import { noteTime } from "./clock.js";
import { readJson } from "./exact.js";

/** Who calls. Kept here, in memory, and nowhere else unless the user asks (see session.js). */
let token = null;
let organization = null;
let refusedToken = () => {};

export function setCaller(newToken, onRefused) {
  token = newToken;
  refusedToken = onRefused;
}

/** The organization that the root token acts for. */
export function setOrganization(id) {
  organization = id;
}

/** Whether the server answers; while it does not, it is asked again and again. */
export const connection = cell({ lost: false, attempts: 0, next: 0 });

/** Changes when what is shown may be old: the tab got the focus, the server is back, a change. */
export const freshness = cell(0);
export const refreshAll = () => freshness.set(freshness.get() + 1);

function queryText(query = {}) {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") text.append(name, one);
    }
  }
  return text.size === 0 ? "" : `?${text}`;
}

function headers(everywhere, extra) {
  const all = { ...extra };
  if (token !== null) all.Authorization = `Bearer ${token}`;
  if (organization !== null && !everywhere) all["Polar-Organization"] = organization;
  return all;
}

/** `everywhere`: as the root token for all organizations, not for the chosen one. */
async function call(method, path, { query, body, signal, everywhere = false } = {}) {
  const asked = token;
  const askedAt = Date.now();
  let response;
  let text;
  try {
    response = await fetch(path + queryText(query), {
      method,
      signal,
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      headers: headers(everywhere, body === undefined ? {} : { "Content-Type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    noteTime(response.headers.get("Date"), askedAt, Date.now());
    text = await response.text();
  } catch {
    if (signal?.aborted) return failure("aborted", 0, "Stopped.");
    lose();
    return failure("network", 0, "The server does not answer.");
  }
  const value = readJson(text);
  if (isOfProxy(response, value)) {
    lose();
    return failure("network", response.status, "The server does not answer.");
  }
  if (connection.get().lost) found();
  if (response.ok) return { ok: true, value, text, status: response.status };
  const error = refusal(response, value);
  if (error.kind === "unauthorized" && asked !== null && asked === token) refusedToken(error);
  return error;
}

export const get = (path, query, options) => call("GET", path, { query, ...options });
export const post = (path, body, options) => call("POST", path, { body, ...options });
export const patch = (path, body, options) => call("PATCH", path, { body, ...options });
export const remove = (path, options) => call("DELETE", path, options);

/** Whether a proxy says that it cannot reach the server, which itself says what is wrong as JSON. */
function isOfProxy({ status }, value) {
  return [502, 503, 504].includes(status) && typeof value?.error !== "string";
}

function failure(kind, status, message, details = [], scopes = []) {
  return { ok: false, kind, status, message, details, scopes };
}

function refusal(response, value) {
  const { status } = response;
  const words = typeof value?.detail === "string" ? value.detail : value?.error_description;
  if (status === 401) return failure("unauthorized", status, words ?? "The token is not valid.");
  if (status === 403 && value?.error === "NotPermitted") return failure("refused", status, words);
  if (status === 403) {
    const scopes = /scope="([^"]*)"/.exec(response.headers.get("WWW-Authenticate") ?? "")?.[1];
    return failure("scope", status, words, [], scopes ? scopes.split(" ") : []);
  }
  // An older server takes a path that it does not know for another, with other methods.
  if (status === 404 || status === 405) return failure("missing", status, words ?? "There is no such thing.");
  if (status === 422 && Array.isArray(value?.detail)) {
    const details = value.detail.map(({ loc, msg }) => ({
      loc: Array.isArray(loc) ? loc.map(String) : [],
      msg: String(msg).replace(/^Value error, /, ""),
    }));
    return failure("invalid", status, details.map(({ msg }) => msg).join(" "), details);
  }
  if (status === 429 || status === 503) {
    return failure("busy", status, words ?? "The server has too much to do. Try again shortly.");
  }
  const message = words ?? `The server answered ${status}.`;
  return failure(status >= 500 ? "server" : "invalid", status, message);
}

/** What the server says about one field; fields of unions have the member's name in between. */
export function errorAt(error, field) {
  return error?.details.find(({ loc }) => loc.includes(field))?.msg;
}

/** What it says that belongs to none of the fields shown. */
export function errorsElsewhere(error, fields) {
  if (!error) return [];
  if (error.details.length === 0) return [explain(error)];
  const others = error.details.filter(({ loc }) => !fields.some((field) => loc.includes(field)));
  return others.map(({ msg }) => msg);
}

/** A failure as a sentence. */
export function explain(error) {
  if (error.kind === "scope" && error.scopes.length > 0) {
    return `This token may not see or do this. It needs the scope ${error.scopes.join(" or ")}.`;
  }
  if (error.kind === "scope") return "This needs the root token.";
  return error.message;
}

const WAIT_MAX_MS = 15_000;

function lose() {
  if (connection.get().lost) return;
  connection.set({ lost: true, attempts: 0, next: Date.now() });
  retryLater();
}

function retryLater() {
  const attempts = connection.get().attempts + 1;
  // Up to a fifth less, so that many tabs do not come back at once.
  const wait = Math.min(500 * 2 ** attempts, WAIT_MAX_MS) * (1 - Math.random() / 5);
  connection.set({ lost: true, attempts, next: Date.now() + wait });
  setTimeout(retryNow, wait);
}

export async function retryNow() {
  if (!connection.get().lost) return;
  try {
    const response = await fetch("/healthz", { cache: "no-store", credentials: "omit" });
    if (response.ok) return found();
  } catch {
    // Still away.
  }
  if (connection.get().lost && Date.now() >= connection.get().next) retryLater();
}

function found() {
  if (!connection.get().lost) return;
  connection.set({ lost: false, attempts: 0, next: 0 });
  refreshAll();
}

/** Something is sent every 15 seconds: if nothing comes for this long, the connection is broken. */
const SILENCE_MAX_MS = 40_000;

/**
 * Reads server-sent events until `signal` stops it. `onId` gets the id to go on after, with
 * `lastId`. Answers the failure that ended it, if any.
 */
export async function stream(path, query, { signal, lastId, onOpen, onEvent, onId }) {
  const asked = token;
  let response;
  try {
    const extra = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
    response = await fetch(path + queryText(query), {
      signal,
      cache: "no-store",
      credentials: "omit",
      headers: headers(false, extra),
    });
  } catch {
    return signal.aborted ? null : failure("network", 0, "The server does not answer.");
  }
  if (!response.ok) {
    const value = readJson(await response.text().catch(() => ""));
    if (isOfProxy(response, value)) return failure("network", response.status, "The server does not answer.");
    const error = refusal(response, value);
    if (error.kind === "unauthorized" && asked === token) refusedToken(error);
    return error;
  }
  onOpen();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let silence = 0;
  try {
    for (;;) {
      silence = setTimeout(() => reader.cancel(), SILENCE_MAX_MS);
      const { done, value } = await reader.read();
      clearTimeout(silence);
      if (done) return failure("network", 0, "The server ended the stream.");
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) deliver(block, onEvent, onId);
    }
  } catch {
    return signal.aborted ? null : failure("network", 0, "The stream broke off.");
  } finally {
    clearTimeout(silence);
  }
}

function deliver(block, onEvent, onId) {
  const fields = { data: [] };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]+): ?(.*)$/.exec(line) ?? [];
    if (name === "data") fields.data.push(value);
    else if (name !== undefined) fields[name] = value;
  }
  if (fields.data.length > 0) onEvent(readJson(fields.data.join("\n")));
  if (fields.id !== undefined) onId(fields.id);
}
