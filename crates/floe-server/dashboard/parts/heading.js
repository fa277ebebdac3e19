// The head of a view: its title, which is the tab's too, and what can be done.

import { html, useEffect, useRef } from "./html.js";

/** Whether the focus is at the title of the view that was opened, which may be drawn anew. */
let isAtTitle = false;
for (const kind of ["keydown", "pointerdown"]) addEventListener(kind, () => (isAtTitle = false), true);

/** Gives the focus to the title of the view that was opened, so that it is read out. */
export function focusTitle(main) {
  isAtTitle = true;
  (main.querySelector("h1") ?? main).focus();
}

export function Heading({ title, children, above }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${title} · Floe`;
  }, [title]);
  useEffect(() => {
    // The title of a view that was loading had the focus, and went with it.
    const { activeElement } = document;
    if (isAtTitle && (activeElement === document.body || activeElement?.id === "main")) heading.current.focus();
  }, []);
  return html`<div class="heading">
    <div class="heading-text">${above}<h1 ref=${heading} tabindex="-1" dir="auto">${title}</h1></div>
    <div class="buttons">${children}</div>
  </div>`;
}

export function Card({ title, actions, children }) {
  return html`<section class="card">
    ${title && html`<div class="card-head"><h2>${title}</h2>
      ${actions && html`<div class="buttons">${actions}</div>`}</div>`}
    ${children}
  </section>`;
}

export function Figure({ label, value, detail }) {
  return html`<div class="figure">
    <p class="figure-label">${label}</p>
    <p class="figure-value">${value}</p>
    ${detail && html`<p class="figure-detail">${detail}</p>`}
  </div>`;
}
