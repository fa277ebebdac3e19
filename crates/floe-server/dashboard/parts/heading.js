// The head of a view: its title, which is the tab's too, and what can be done.

import { html, useEffect } from "./html.js";

/** The title gets the focus when the view is opened (see the frame), so that it is read out. */
export function Heading({ title, children, above }) {
  useEffect(() => {
    document.title = `${title} · Floe`;
  }, [title]);
  return html`<div class="heading">
    <div class="heading-text">${above}<h1 tabindex="-1" dir="auto">${title}</h1></div>
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
