// Filters and aggregations in words; metadata and JSON as text.

import { isNumber } from "./exact.js";

export const OPERATORS = {
  eq: "is",
  ne: "is not",
  gt: "is more than",
  gte: "is at least",
  lt: "is less than",
  lte: "is at most",
  like: "contains",
  not_like: "does not contain",
};

export const FUNCTIONS = {
  count: "Count of events",
  sum: "Sum",
  max: "Maximum",
  min: "Minimum",
  avg: "Average",
  unique: "Number of distinct values",
};

export const FUNCTION_OPTIONS = Object.entries(FUNCTIONS);

const WORDS = { sum: "sum of", max: "maximum of", min: "minimum of", avg: "average of", unique: "distinct values of" };

export function aggregationWords({ func, property }) {
  return func === "count" ? "count of events" : tame(`${WORDS[func] ?? func} ${property}`);
}

const hex = (sign) => `\\u${sign.charCodeAt(0).toString(16)}`;

/** A text among others: signs that turn the direction of what follows are shown, and turn nothing. */
export const tame = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, hex);

function clauseWords({ property, operator, value }) {
  return tame(`${property} ${OPERATORS[operator] ?? operator} ${JSON.stringify(value)}`);
}

function filterWords({ conjunction, clauses }, nested = false) {
  if (clauses.length === 0) return nested ? "(all)" : "all events";
  const parts = clauses.map((clause) => ("clauses" in clause ? filterWords(clause, true) : clauseWords(clause)));
  const text = parts.join(conjunction === "or" ? " or " : " and ");
  return nested && parts.length > 1 ? `(${text})` : text;
}

export function unitOf(meter) {
  if (meter.unit === "token") return "tokens";
  return meter.unit === "custom" ? (meter.custom_label ?? "") : "";
}

/** What a meter makes of a whole range, in words. */
export const totalWords = ({ aggregation: { func } }) =>
  ({ max: "Maximum", min: "Minimum", avg: "Average", unique: "Distinct values" })[func] ?? "Total";

/** The beginning of a text that is too long for a list. */
export function clipped(text, most = 60) {
  const points = Array.from(text);
  return points.length <= most ? text : `${points.slice(0, most - 1).join("")}…`;
}

/** A name that can be seen, also one of spaces alone. */
export function named(name, most = 60) {
  if (name === "") return "(no name)";
  return name.trim() === "" ? JSON.stringify(clipped(name, most)) : clipped(name, most);
}

/** Some values as examples. */
export const suchAs = (samples) =>
  `such as ${samples.slice(0, 3).map((one) => clipped(JSON.stringify(one), 40)).join(", ")}`;

/** A meter's definition in a line: `Sum of tokens, where name is "chat"` */
export function meterWords({ aggregation, filter }) {
  const what = aggregationWords(aggregation);
  const where = filter.clauses.length === 0 ? "all events" : `where ${filterWords(filter)}`;
  return `${what[0].toUpperCase()}${what.slice(1)}, ${where}`;
}

/** Metadata in a line: `tokens: 30 · model: "x"` */
export function metadataWords(metadata, most = 6) {
  const entries = Object.entries(metadata);
  const words = entries.slice(0, most).map(([key, value]) => tame(`${key.trim() === "" ? JSON.stringify(key) : clipped(key)}: ${clipped(inWords(value), 90)}`));
  return entries.length > most ? `${words.join(" · ")} · …` : words.join(" · ");
}

function inWords(value) {
  return value === null || typeof value !== "object" || isNumber(value) ? String(value) : JSON.stringify(value);
}

/** JSON text, indented, with every number as the server wrote it. */
export function indented(json) {
  let out = "";
  let depth = 0;
  let inString = false;
  for (let at = 0; at < json.length; at++) {
    const c = json[at];
    if (inString) {
      out += c;
      if (c === "\\") out += json[++at];
      else if (c === '"') inString = false;
    } else if (c === '"') {
      inString = true;
      out += c;
    } else if (c === "{" || c === "[") {
      const isEmpty = json[at + 1] === "}" || json[at + 1] === "]";
      if (isEmpty) out += c + json[++at];
      else out += `${c}\n${"  ".repeat(++depth)}`;
    } else if (c === "}" || c === "]") out += `\n${"  ".repeat(--depth)}${c}`;
    else if (c === ",") out += `,\n${"  ".repeat(depth)}`;
    else if (c === ":") out += ": ";
    else if (c.trim() !== "") out += c;
  }
  // The same JSON: such signs only stand in texts.
  return tame(out);
}

/** A field of a CSV file; a text that a spreadsheet would take for a formula gets a quote in front. */
function csvField(value) {
  if (isNumber(value)) return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(rows) {
  return rows.map((row) => `${row.map(csvField).join(",")}\r\n`).join("");
}

export function fileName(name, extension) {
  const safe = name.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  return `${safe || "floe"}.${extension}`;
}
