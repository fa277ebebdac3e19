// Choosing a range of time and an interval; the choice is in the URL.

import { Choice, Field } from "./controls.js";
import { html } from "./html.js";
import { INTERVALS, PRESETS } from "./ranges.js";
import { setParams } from "./router.js";
import { dateText } from "./zone.js";

const LABELS = { hour: "Hour", day: "Day", week: "Week", month: "Month", year: "Year" };

export function RangeControls({ params, range, zone, fallback = "30d" }) {
  const preset = params.range === "custom" || PRESETS[params.range] ? params.range : fallback;
  const options = [...Object.entries(PRESETS).map(([key, { label }]) => [key, label]), ["custom", "Days of your choice"]];
  const choose = (value) => {
    if (value !== "custom") {
      setParams({ range: value === fallback ? undefined : value, interval: undefined, from: undefined, to: undefined, page: undefined });
      return;
    }
    setParams({ range: value, from: dateText(range.start, zone), to: dateText(range.end - 1, zone), page: undefined });
  };
  return html`
    <${Choice} label="Range" options=${options} value=${preset} onChange=${choose} />
    ${preset === "custom" && html`
      <${Day} label="First day" value=${params.from} error=${range.error} onChange=${(from) => setParams({ from })} />
      <${Day} label="Last day" value=${params.to} onChange=${(to) => setParams({ to })} />`}
    <${Choice} label="Interval" value=${range.interval} onChange=${(interval) => setParams({ interval })}
      options=${INTERVALS.map((one) => [one, LABELS[one], !(range.allowed ?? INTERVALS).includes(one)])} />`;
}

function Day({ label, value, error, onChange }) {
  return html`<${Field} label=${label} error=${error}>
    ${(wiring) => html`<input type="date" min="2023-01-01" required ...${wiring} value=${value}
      onChange=${(event) => onChange(event.currentTarget.value)} />`}
  <//>`;
}
