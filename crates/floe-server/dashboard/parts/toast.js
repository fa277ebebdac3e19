// Short notices of what was done, said to screen readers too.

import { cell, useCell } from "./cell.js";
import { html } from "./html.js";

const notice = cell(null);
let timer = 0;

export function say(text) {
  clearTimeout(timer);
  notice.set({ text });
  timer = setTimeout(() => notice.set(null), 5000);
}

export function Toast() {
  const current = useCell(notice);
  return html`<div class="toast-place" role="status" aria-live="polite">
    ${current && html`<p class="toast">${current.text}</p>`}
  </div>`;
}
