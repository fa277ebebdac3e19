// A series as a small line without axes. The number beside it says what matters.

import { html } from "./html.js";

const WIDTH = 120;
const HEIGHT = 28;

export function Sparkline({ values }) {
  if (values.length < 2) return null;
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const scale = high === low ? 0 : (HEIGHT - 4) / (high - low);
  const spots = values.map((value, at) => {
    const x = (at / (values.length - 1)) * WIDTH;
    return `${x.toFixed(1)},${(HEIGHT - 2 - (value - low) * scale).toFixed(1)}`;
  });
  return html`<svg class="sparkline" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} width=${WIDTH} height=${HEIGHT} aria-hidden="true">
    <polygon points=${`0,${HEIGHT} ${spots.join(" ")} ${WIDTH},${HEIGHT}`} />
    <polyline points=${spots.join(" ")} />
  </svg>`;
}

/** A share of the greatest, as a bar behind a number. An SVG: styles in markup are not allowed. */
export function Share({ value, most }) {
  const width = most > 0 ? Math.max(0, Math.min(100, (value / most) * 100)) : 0;
  return html`<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
    <rect class="share-all" width="100" height="6" rx="3" /><rect width=${width.toFixed(1)} height="6" rx="3" />
  </svg>`;
}
