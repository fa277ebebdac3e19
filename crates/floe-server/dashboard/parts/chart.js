// Quantities over time, as bars or a line. Buckets stand side by side at equal distances, each
// under its own local time, so that a day of 23 hours looks like any other.

import { useCell } from "./cell.js";
import { plainNumber } from "./exact.js";
import { bucket, compact, number } from "./format.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { theme } from "./theme.js";

const HEIGHT = 260;

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Steps of an axis whose values are all whole. */
const WHOLE_STEPS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

const FONT = "12px system-ui, sans-serif";

/** Room for a label under the chart, in pixels. */
const LABEL_WIDTH = { hour: 118, day: 76, week: 76, month: 84, year: 60 };

function options({ width, points, previous, kind, interval, zone, unit, onPoint }) {
  const { paths } = uPlot;
  const main = color("--chart");
  const grid = { stroke: color("--line"), width: 1 };
  const axis = { stroke: color("--muted"), grid, ticks: { show: false }, font: FONT };
  const few = points.length === 1;
  const isWhole = [...points, ...(previous ?? [])].every(({ quantity }) => Number.isInteger(plainNumber(quantity) ?? 0));
  const title = width < 480 ? "" : unit;
  const bars = paths.bars({ size: [0.72, 44], radius: 0.15 });
  const series = [
    {},
    {
      stroke: main,
      width: kind === "bars" ? 0 : 2,
      fill: kind === "bars" ? main : color("--chart-soft"),
      paths: kind === "bars" ? bars : paths.linear(),
      points: { show: kind !== "bars" && points.length < 60, size: 5, fill: main },
    },
  ];
  if (previous) {
    series.push({ stroke: color("--chart-before"), width: 2, dash: [5, 4], points: { show: few } });
  }
  const labels = (_, splits) =>
    splits.map((at) =>
      points[at] === undefined ? "" : bucket(points[at].timestamp, interval, zone, { brief: true }),
    );
  return {
    width,
    height: HEIGHT,
    padding: [12, 12, 0, 4],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: kind !== "bars" } },
    scales: {
      x: { time: false, range: () => [-0.5, points.length - 0.5] },
      y: { range: (_, low, high) => bounds(low, high) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 30,
        // Labels at whole buckets, and no more of them than fit.
        splits: () => {
          const every = Math.max(1, Math.ceil(points.length / Math.max(2, Math.floor((width - 70) / LABEL_WIDTH[interval]))));
          return points.map((_, at) => at).filter((at) => at % every === 0);
        },
        values: labels,
      },
      {
        ...axis,
        size: (_, values) => 18 + 7.5 * Math.max(4, ...(values ?? []).map((text) => text.length)),
        values: (_, splits) => splits.map(compact),
        ...(isWhole ? { incrs: WHOLE_STEPS } : {}),
        label: title || undefined,
        labelFont: FONT,
        labelSize: title ? 20 : 0,
      },
    ],
    series,
    hooks: { setCursor: [(plot) => onPoint(plot.cursor.idx ?? null)] },
  };
}

/** From zero to a little above the highest; below zero where quantities are. */
function bounds(low, high) {
  const least = Math.min(0, low ?? 0);
  const most = Math.max(0, high ?? 0);
  if (least === most) return [0, 1];
  const room = (most - least) * 0.06;
  return [least < 0 ? least - room : 0, most > 0 ? most + room : 0];
}

/**
 * `points` and `previous`: [{timestamp, quantity}]. `plotRef.current` is uPlot's object while it
 * is shown, for pictures.
 */
export function Chart({ points, previous, kind = "bars", interval, zone, unit, label, plotRef }) {
  const place = useRef(null);
  const [at, setAt] = useState(null);
  const { isDark } = useCell(theme);
  const data = [points.map((_, index) => index), points.map(({ quantity }) => plainNumber(quantity))];
  if (previous) data.push(points.map((_, index) => plainNumber(previous[index]?.quantity)));
  const plotted = useRef(null);
  const key = JSON.stringify([data, kind, interval, zone, unit, isDark, points[0]?.timestamp]);

  useEffect(() => {
    const element = place.current;
    const width = () => Math.max(200, element.clientWidth);
    const settings = { width: width(), points, previous, kind, interval, zone, unit, onPoint: setAt };
    const plot = new uPlot(options(settings), data, element);
    plotted.current = plot;
    setAt(null);
    if (plotRef) plotRef.current = plot;
    const observer = new ResizeObserver(() => {
      if (plot.width !== width()) plot.setSize({ width: width(), height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
      plotted.current = null;
      if (plotRef) plotRef.current = null;
    };
  }, [key]);

  /** Keys go from point to point, as the mouse does. */
  const step = (event) => {
    const last = points.length - 1;
    const from = at ?? last + 1;
    const to = { ArrowLeft: from - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last, PageUp: from - 10, PageDown: (at ?? -1) + 10 }[event.key];
    if (to === undefined && event.key !== "Escape") return;
    event.preventDefault();
    const index = to === undefined ? null : Math.max(0, Math.min(last, to));
    const plot = plotted.current;
    plot.setCursor(index === null ? { left: -10, top: -10 } : { left: plot.valToPos(index, "x"), top: 10 });
  };

  const shown = at === null ? null : points[at];
  const words = shown ? `${bucket(shown.timestamp, interval, zone)}: ${number(shown.quantity)} ${unit ?? ""}` : "Arrow keys go from point to point";
  return html`<figure class="chart">
    <div ref=${place} class="chart-place" role="slider" tabindex="0" aria-label=${label} aria-readonly="true" aria-orientation="horizontal"
      aria-valuemin="1" aria-valuemax=${points.length} aria-valuenow=${(at ?? 0) + 1} aria-valuetext=${words} onKeyDown=${step}></div>
    <figcaption aria-hidden="true">
      ${shown
        ? html`<strong>${number(shown.quantity)}</strong> ${unit} · ${bucket(shown.timestamp, interval, zone)}
          ${previous?.[at] && html` · <span class="before">before: ${number(previous[at].quantity)}
            (${bucket(previous[at].timestamp, interval, zone)})</span>`}`
        : html`<span class="muted">Times in ${zone}${previous ? "; the dashed line is the period before" : ""}</span>`}
    </figcaption>
  </figure>`;
}

/** The chart with a title, as a PNG picture. */
export function savePicture(plot, title, subtitle, name) {
  const source = plot.ctx.canvas;
  const ratio = source.width / plot.width;
  const canvas = document.createElement("canvas");
  canvas.width = source.width + 32 * ratio;
  canvas.height = source.height + 76 * ratio;
  const context = canvas.getContext("2d");
  context.fillStyle = color("--card");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(ratio, ratio);
  context.fillStyle = color("--text");
  context.font = "600 17px system-ui, sans-serif";
  context.fillText(fitting(context, title, plot.width), 16, 28);
  context.fillStyle = color("--muted");
  context.font = "13px system-ui, sans-serif";
  context.fillText(fitting(context, subtitle, plot.width), 16, 48);
  context.drawImage(source, 16, 62, plot.width, plot.height);
  canvas.toBlob((blob) => save(blob, name), "image/png");
}

/** The beginning of a text, as much as fits. */
function fitting(context, text, width) {
  const points = Array.from(text);
  let most = points.length;
  const cut = () => (most === points.length ? text : `${points.slice(0, most).join("")}…`);
  while (most > 1 && context.measureText(cut()).width > width) most = Math.min(most - 1, Math.ceil(most * 0.9));
  return cut();
}

/** Hands a file to the browser's downloads. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
