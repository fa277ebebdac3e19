// The meter builder: a filter and an aggregation, made from what events have, with what the meter
// would count shown before it is saved.

import { errorAt, errorsElsewhere, get, patch, post } from "../parts/api.js";
import { Choice, FormErrors, TextField } from "../parts/controls.js";
import { FilterGroup, filterErrors, LeavesOut, placeClass, gapsOf, newClause, nodesOf, wireFilter } from "../parts/filter-tree.js";
import { number } from "../parts/format.js";
import { Card, Heading } from "../parts/heading.js";
import { html, useId, useMemo, useState } from "../parts/html.js";
import { link, open } from "../parts/router.js";
import { Loaded } from "../parts/states.js";
import { say } from "../parts/toast.js";
import { useData } from "../parts/use-data.js";
import { FUNCTION_OPTIONS, named, suchAs, tame } from "../parts/words.js";
import { MeterPreview } from "./meter-preview.js";

const UNITS = [
  ["scalar", "None: a plain number"],
  ["token", "Tokens"],
  ["custom", "One of your own"],
];

export function MeterForm({ id }) {
  const isNew = id === undefined;
  const meter = useData((signal) => get(`/v1/meters/${encodeURIComponent(id)}`, {}, { signal }), ["meter-form", id], { skip: isNew });
  const counted = useData(
    (signal) => get("/v1/events/", { meter_id: id, limit: 1 }, { signal }),
    ["counted", id],
    { skip: isNew },
  );
  if (isNew) return html`<${Form} meter=${null} counted=${0} />`;
  // Whether it counts anything says whether it can be changed; not knowing, the server decides.
  const known = counted.value?.pagination.total_count ?? (counted.error ? 0 : null);
  return html`<${Loaded} data=${meter} title="Edit a meter" missing="There is no such meter, or it belongs to another organization.">
    ${(value) => known !== null && html`<${Form} key=${value.id} meter=${value} counted=${known} />`}
  <//>`;
}

const text = (value) => (value === null || value === undefined ? "" : String(value));

function formOf(meter) {
  return {
    name: meter?.name ?? "",
    unit: meter?.unit ?? "scalar",
    custom_label: text(meter?.custom_label),
    custom_multiplier: text(meter?.custom_multiplier),
    func: meter?.aggregation.func ?? "count",
    property: meter?.aggregation.property ?? "",
    filter: meter ? nodesOf(meter.filter) : nodesOf({ conjunction: "and", clauses: [] }),
  };
}

function wireOf(form) {
  const isCustom = form.unit === "custom";
  return {
    name: form.name,
    unit: form.unit,
    custom_label: isCustom ? form.custom_label || null : null,
    // Not a number is left for the server to refuse.
    custom_multiplier: isCustom && form.custom_multiplier !== "" ? (Number(form.custom_multiplier) || form.custom_multiplier) : null,
    filter: wireFilter(form.filter),
    aggregation: form.func === "count" ? { func: "count" } : { func: form.func, property: form.property },
  };
}

/** The event names that a filter asks for, if it asks for some. */
function namesOf({ clauses }) {
  return clauses.flatMap((node) =>
    node.clauses ? namesOf(node) : node.property === "name" && node.operator === "eq" ? [node.text] : [],
  );
}

/** What events have: {property: {kinds, samples}}, the metadata's and the event's own. */
function offersOf(names, properties) {
  const offers = {};
  for (const { property, kinds, samples } of properties) {
    const offer = (offers[property] ??= { kinds: [], samples: [] });
    offer.kinds = [...new Set([...offer.kinds, ...kinds])];
    offer.samples = [...new Set([...offer.samples, ...samples])].slice(0, 8);
  }
  offers.name = { kinds: ["string"], samples: names };
  offers.source = { kinds: ["string"], samples: ["user", "system"] };
  offers.timestamp = { kinds: ["integer"], samples: [] };
  return offers;
}

function useOffers(form) {
  const wanted = [...new Set(namesOf(form.filter))].filter(Boolean);
  const names = useData((signal) => get("/v1/events/names", { limit: 100, source: "user", sorting: "-occurrences" }, { signal }), ["names"]);
  const properties = useData(
    (signal) => get("/v1/event-properties/", { name: wanted, limit: 100 }, { signal }),
    ["properties", wanted],
    { keep: true },
  );
  const known = (names.value?.items ?? []).map(({ name }) => name);
  const items = properties.value?.items ?? [];
  const offers = useMemo(() => offersOf(known, items), [JSON.stringify([known, items])]);
  return { offers, names: known, items, missing: properties.error };
}

function Form({ meter, counted }) {
  const isLocked = counted > 0;
  const [edited, setForm] = useState(() => formOf(meter));
  // An event may come, and lock the meter, while it is edited: what is shown is what is kept.
  const stored = useMemo(() => formOf(meter), [meter]);
  const form = isLocked ? { ...edited, filter: stored.filter, func: stored.func, property: stored.property } : edited;
  const [found, setFound] = useState(null);
  const [marked, setMarked] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState(false);
  const { offers, names, items, missing } = useOffers(form);
  const set = (patchOfForm) => setForm((old) => ({ ...old, ...patchOfForm }));
  const gaps = gapsOf(form.filter);
  if (form.func !== "count" && form.property === "") gaps["aggregation/property"] = "Choose a property.";
  const wire = wireOf(form);
  // Of a filter that was changed since, the places may be others.
  const isOfNow = found?.of === JSON.stringify({ filter: wire.filter, aggregation: wire.aggregation });
  const judged = isOfNow ? { ...found, marked } : { shown: 0, leftOut: {}, marked: null };

  const submit = async (event) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(gaps).length > 0) return;
    setBusy(true);
    let body = wire;
    if (meter && isLocked) {
      const { filter: _, aggregation: __, ...rest } = wire;
      body = rest;
    }
    const answer = meter ? await patch(`/v1/meters/${meter.id}`, body) : await post("/v1/meters/", body);
    setBusy(false);
    if (!answer.ok) {
      setError(answer);
      return;
    }
    say(meter ? "The meter is saved." : "The meter is made.");
    open(["meters", answer.value.id]);
  };

  const shown = { ...(tried ? gaps : {}), ...filterErrors(error) };
  const shownFields = ["name", "custom_label", "custom_multiplier", "aggregation", "filter", "unit"];
  return html`
    <${Heading} title=${meter ? `Edit ${tame(meter.name)}` : "New meter"}
      above=${html`<p class="crumbs"><a href=${link(["meters"])}>Meters</a></p>`} />
    <div class="builder">
      <form class="card" onSubmit=${submit} noValidate>
        <${FormErrors} messages=${errorsElsewhere(error, shownFields)} />
        <${TextField} label="Name" value=${form.name} required error=${errorAt(error, "name")} onInput=${(name) => set({ name })} hint="At least 3 characters" />
        <h2>Which events?</h2>
        ${isLocked && html`<p class="note">This meter counts ${number(counted)} events already. Which events it counts, and what of them, cannot be
          changed any more, since numbers that were shown would change. Make another meter instead.</p>`}
        ${!isLocked && names.length > 0 && form.filter.clauses.length === 0 && html`<p class="offers"><span>Events that you have:</span>
          ${names.slice(0, 8).map((name) => html`<button type="button" class="small" key=${name} dir="auto"
            onClick=${() => set({ filter: { ...form.filter, clauses: [newClause("name", name)] } })}>${named(name)}</button>`)}</p>`}
        <${FilterGroup} node=${form.filter} offers=${offers} errors=${shown} judged=${judged} disabled=${isLocked} onChange=${(filter) => set({ filter })} />
        <h2>What of them?</h2>
        <${Aggregation} ...${{ form, set, items, isLocked, judged }} error=${(tried && gaps["aggregation/property"]) || errorAt(error, "aggregation")} />
        ${missing?.kind === "missing" && html`<p class="hint">This server is older than this page and does not tell which properties events have. Type them in.</p>`}
        <h2>In which unit?</h2>
        <div class="row">
          <${Choice} label="Unit" options=${UNITS} value=${form.unit} error=${errorAt(error, "unit")} onChange=${(unit) => set({ unit })} />
          ${form.unit === "custom" && html`
            <${TextField} label="Its label" value=${form.custom_label} error=${errorAt(error, "custom_label")} onInput=${(value) => set({ custom_label: value })} />
            <${TextField} label="Multiplier" inputmode="numeric" value=${form.custom_multiplier} error=${errorAt(error, "custom_multiplier")}
              hint="For showing only, optional" onInput=${(value) => set({ custom_multiplier: value })} />`}
        </div>
        <div class="buttons">
          <button type="submit" class="primary" disabled=${busy}>${meter ? "Save" : "Make the meter"}</button>
          <a class="button" href=${link(meter ? ["meters", meter.id] : ["meters"])}>Cancel</a>
        </div>
      </form>
      <${Card} title="What it would count"><${MeterPreview} wire=${wire} isComplete=${Object.keys(gaps).length === 0}
        onJudged=${setFound} onMark=${setMarked} /><//>
    </div>`;
}

const NUMERIC = ["integer", "float"];

function Aggregation({ form, set, items, isLocked, judged, error }) {
  const list = useId();
  const needsNumber = ["sum", "max", "min", "avg"].includes(form.func);
  const fitting = items.filter(({ kinds }) => !needsNumber || kinds.some((kind) => NUMERIC.includes(kind)));
  const known = [...new Set(fitting.map(({ property }) => property))];
  const samples = items.filter(({ property }) => property === form.property).flatMap((item) => item.samples);
  return html`<fieldset class=${`row${placeClass(judged, "aggregation")}`} data-place="aggregation" tabindex="-1" disabled=${isLocked}>
    <legend class="visually-hidden">Aggregation</legend>
    <${Choice} label="Function" options=${FUNCTION_OPTIONS} value=${form.func} onChange=${(func) => set({ func })} />
    ${form.func !== "count" && html`
      <datalist id=${list}>${known.map((property) => html`<option key=${property} value=${property} />`)}</datalist>
      <${TextField} label="Of the property" value=${form.property} list=${list} error=${error} onInput=${(property) => set({ property })}
        hint=${samples.length > 0 ? suchAs(samples) : needsNumber ? "Only numbers count" : undefined} />`}
    <${LeavesOut} judged=${judged} place="aggregation" />
  </fieldset>`;
}
