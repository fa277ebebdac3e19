// A filter as a tree of form fields. Its state is made of nodes with keys of their own, so that
// fields keep the focus while clauses come and go.

import { Choice, TextField } from "./controls.js";
import { number } from "./format.js";
import { html, useId } from "./html.js";
import { OPERATORS, suchAs } from "./words.js";

let keys = 0;
const nextKey = () => ++keys;

const KINDS = [
  ["text", "text"],
  ["number", "number"],
  ["boolean", "yes or no"],
];

export const newClause = (property = "", value = "", kind = "text") => ({
  key: nextKey(),
  property,
  operator: "eq",
  kind,
  text: value,
});

/** The nodes of a filter as the API has it. */
export function nodesOf(filter) {
  const clauses = filter.clauses.map((clause) =>
    "clauses" in clause
      ? nodesOf(clause)
      : {
          key: nextKey(),
          property: clause.property,
          operator: clause.operator,
          kind: { number: "number", boolean: "boolean" }[typeof clause.value] ?? "text",
          text: String(clause.value),
        },
  );
  return { key: nextKey(), conjunction: filter.conjunction, clauses };
}

function wireValue({ kind, text }) {
  if (kind === "number") return Number(text);
  return kind === "boolean" ? text === "true" : text;
}

export function wireFilter({ conjunction, clauses }) {
  return {
    conjunction,
    clauses: clauses.map((node) =>
      node.clauses
        ? wireFilter(node)
        : { property: node.property, operator: node.operator, value: wireValue(node) },
    ),
  };
}

/** What must be filled in before the server is asked: {"0.1/property": message}. */
export function gapsOf(node, path = []) {
  const gaps = {};
  node.clauses.forEach((clause, at) => {
    const here = [...path, at];
    if (clause.clauses) Object.assign(gaps, gapsOf(clause, here));
    else {
      if (clause.property === "") gaps[`${here.join(".")}/property`] = "Choose a property.";
      if (clause.kind === "number" && !/^\s*[+-]?\d+\s*$/.test(clause.text)) {
        gaps[`${here.join(".")}/value`] = "Type in a whole number.";
      }
    }
  });
  return gaps;
}

/** The server's messages by clause and field, in the same form. */
export function filterErrors(error) {
  const found = {};
  for (const { loc, msg } of error?.details ?? []) {
    const from = loc.indexOf("filter");
    if (from < 0) continue;
    const path = [];
    let field = "";
    for (let at = from + 1; at < loc.length; at++) {
      if (loc[at] === "clauses" && /^\d+$/.test(loc[at + 1] ?? "")) path.push(loc[++at]);
      else if (["property", "operator", "value"].includes(loc[at])) field ||= loc[at];
    }
    found[`${path.join(".")}/${field}`] ??= msg;
  }
  return found;
}

const replaced = (list, at, item) => list.map((old, index) => (index === at ? item : old));

/** What the newest events say of one place: how many it leaves out. */
export function LeavesOut({ judged, place }) {
  const count = judged.leftOut[place];
  if (!count) return null;
  return html`<p class="leaves-out">Leaves out ${number(count)} of the newest ${number(judged.shown)}</p>`;
}

/** Marks a place that leaves events out, and the place that is pointed at. */
export const placeClass = (judged, place) =>
  `${judged.leftOut[place] ? " leaves" : ""}${judged.marked === place ? " marked" : ""}`;

/** Brings a place into sight, with the focus. */
export function goToPlace(place) {
  const found = document.querySelector(`[data-place="${place}"]`);
  found?.scrollIntoView({ block: "center" });
  found?.focus({ preventScroll: true });
}

/**
 * `offers`: {property: {kinds, samples}} of what events really have. `errors` as above. `judged`:
 * {shown, leftOut: {"0.1": count}, marked: "0.1"} of the newest events. `onChange` gets the new node.
 */
export function FilterGroup({ node, path = [], offers, errors, judged, disabled, onChange, onRemove }) {
  const { conjunction, clauses } = node;
  const change = (patch) => onChange({ ...node, ...patch });
  const own = errors[`${path.join(".")}/`];
  const title = path.length === 0 ? "Events count if" : "if";
  const place = path.join(".");
  return html`<fieldset class=${`filter-group${placeClass(judged, place)}`} data-place=${place} tabindex="-1" disabled=${disabled}>
    <legend class="filter-legend">
      <span>${title}</span>
      <select aria-label=${path.length === 0 ? "How conditions join" : `How the conditions of group ${path.map((at) => at + 1).join(".")} join`}
        value=${conjunction} onChange=${(event) => change({ conjunction: event.currentTarget.value })}>
        <option value="and" selected=${conjunction === "and"}>all</option>
        <option value="or" selected=${conjunction === "or"}>any</option>
      </select>
      <span>of these hold</span>
      ${onRemove && html`<button type="button" class="small plain" onClick=${onRemove}>Remove group</button>`}
    </legend>
    ${clauses.length === 0 && html`<p class="muted">No conditions: all events count.</p>`}
    ${clauses.map((clause, at) => {
      const here = [...path, at];
      const props = {
        key: clause.key,
        node: clause,
        path: here,
        offers,
        errors,
        judged,
        onChange: (next) => change({ clauses: replaced(clauses, at, next) }),
        onRemove: () => change({ clauses: clauses.filter((_, index) => index !== at) }),
      };
      return clause.clauses ? html`<${FilterGroup} ...${props} />` : html`<${Clause} ...${props} />`;
    })}
    ${own && html`<p class="field-error">${own}</p>`}
    <${LeavesOut} judged=${judged} place=${place} />
    <div class="buttons">
      <button type="button" class="small" onClick=${() => change({ clauses: [...clauses, newClause()] })}>Add a condition</button>
      ${path.length < 4 && html`<button type="button" class="small" onClick=${() =>
        change({ clauses: [...clauses, { key: nextKey(), conjunction: "or", clauses: [newClause()] }] })}>Add a group</button>`}
    </div>
  </fieldset>`;
}

const KIND_OF = { integer: "number", float: "number", boolean: "boolean", string: "text" };

function Clause({ node, path, offers, errors, judged, onChange, onRemove }) {
  const lists = useId();
  const place = path.map((at) => at + 1).join(".");
  const offer = offers[node.property];
  const change = (patch) => onChange({ ...node, ...patch });
  const choose = (property) => {
    const kinds = new Set((offers[property]?.kinds ?? []).map((kind) => KIND_OF[kind]));
    // A property that only has numbers is compared with a number.
    const kind = kinds.size === 1 && node.text === "" ? [...kinds][0] : node.kind;
    change({ property, kind, text: kind === "boolean" && node.kind !== "boolean" ? "true" : node.text });
  };
  const at = path.join(".");
  return html`<div class=${`clause${placeClass(judged, at)}`} role="group" aria-label=${`Condition ${place}`} data-place=${at} tabindex="-1">
    <datalist id=${`${lists}p`}>${Object.keys(offers).map((property) => html`<option key=${property} value=${property} />`)}</datalist>
    <datalist id=${`${lists}v`}>${(offer?.samples ?? []).map((sample) => html`<option key=${String(sample)} value=${String(sample)} />`)}</datalist>
    <${TextField} label="Property" value=${node.property} list=${`${lists}p`} error=${errors[`${at}/property`]} onInput=${choose} />
    <${Choice} label="Operator" options=${Object.entries(OPERATORS)} value=${node.operator} error=${errors[`${at}/operator`]}
      onChange=${(operator) => change({ operator })} />
    ${node.kind === "boolean"
      ? html`<${Choice} label="Value" options=${[["true", "yes (true)"], ["false", "no (false)"]]} value=${node.text}
          error=${errors[`${at}/value`]} onChange=${(text) => change({ text })} />`
      : html`<${TextField} label="Value" value=${node.text} list=${`${lists}v`} error=${errors[`${at}/value`]}
          inputmode=${node.kind === "number" ? "numeric" : undefined} onInput=${(text) => change({ text })}
          hint=${offer && offer.samples.length > 0 ? suchAs(offer.samples) : undefined} />`}
    <${Choice} label="Kind" options=${KINDS} value=${node.kind}
      onChange=${(kind) => change({ kind, text: kind === "boolean" ? "true" : node.kind === "boolean" ? "" : node.text })} />
    <button type="button" class="small plain remove" aria-label=${`Remove condition ${place}`} onClick=${onRemove}>✕</button>
    <${LeavesOut} judged=${judged} place=${at} />
  </div>`;
}
