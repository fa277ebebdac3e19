// What a view shows while it loads, when there is nothing, and when something failed.

import { explain, refreshAll } from "./api.js";
import { Heading } from "./heading.js";
import { html } from "./html.js";

/** `tall`: as high as a chart, so that what is below does not jump. */
export function Loading({ what = "Loading", tall = false }) {
  return html`<p class=${`loading${tall ? " tall" : ""}`} role="status"><span class="spinner" aria-hidden="true"></span>${what}…</p>`;
}

function Failure({ error, what = "This could not be loaded." }) {
  const isRefused = error.kind === "scope";
  return html`<div class=${isRefused ? "note" : "note bad"} role="alert">
    <p><strong>${isRefused ? "Not allowed." : what}</strong> ${explain(error)}</p>
    ${!isRefused && html`<button type="button" class="small" onClick=${refreshAll}>Try again</button>`}
  </div>`;
}

/** A route that an older server does not have. */
export function NotThere({ children }) {
  return html`<div class="note"><p>${children}</p></div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/**
 * The one of these that fits the data; its value goes to `children`, a function. Where that brings
 * the view's title along, `title` stands in for it until then.
 */
export function Loaded({ data, what, children, missing, title, tall }) {
  if (data.value !== undefined) {
    // That the server does not answer at all, the frame says.
    const isOld = data.error && data.error.kind !== "network";
    return html`<div class=${`loaded${data.loading ? " stale" : ""}`} aria-busy=${data.loading}>
      ${isOld && html`<${Failure} error=${data.error} what="This may be old." />`}${children(data.value)}</div>`;
  }
  const head = title && html`<${Heading} title=${title} />`;
  if (data.error?.kind === "missing" && missing) return html`${head}<${NotThere}>${missing}<//>`;
  if (data.error) return html`${head}<${Failure} error=${data.error} />`;
  return html`${head}<${Loading} what=${what} tall=${tall} />`;
}
