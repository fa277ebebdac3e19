// Small parts of forms: fields with a label and the server's message, choices, copying.

import { html, useEffect, useId, useRef, useState } from "./html.js";
import { setParams } from "./router.js";
import { say } from "./toast.js";

/** A labelled control. `children` is called with what the control needs: id and descriptions. */
export function Field({ label, hint, error, children }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const wiring = {
    id,
    "aria-describedby": described || undefined,
    "aria-invalid": error ? "true" : undefined,
  };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children(wiring)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
  </div>`;
}

export function TextField({ label, hint, error, onInput, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>
    ${(wiring) => html`<input type="text" autocomplete="off" spellcheck=${false} ...${rest} ...${wiring}
      onInput=${(event) => onInput(event.currentTarget.value)} />`}
  <//>`;
}

/** Text that counts once its writer pauses. */
export function SearchField({ value, onChange, delay = 300, ...rest }) {
  const [text, setText] = useState(value ?? "");
  const timer = useRef(0);
  const sent = useRef(value ?? "");
  useEffect(() => {
    if ((value ?? "") === sent.current) return;
    sent.current = value ?? "";
    setText(value ?? "");
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const settle = (next) => {
    clearTimeout(timer.current);
    sent.current = next;
    onChange(next);
  };
  return html`<${TextField} ...${rest} value=${text}
    onInput=${(next) => {
      setText(next);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => settle(next), delay);
    }}
    onBlur=${() => text !== sent.current && settle(text)} />`;
}

/** `options`: [[value, label, disabled?]] */
export function Choice({ label, options, value, onChange, error, hint, ...rest }) {
  return html`<${Field} label=${label} error=${error} hint=${hint}>
    ${(wiring) => html`<select ...${rest} ...${wiring} value=${value}
      onChange=${(event) => onChange(event.currentTarget.value)}>
      ${options.map(
        ([one, text, disabled]) =>
          html`<option key=${one} value=${one} selected=${one === value} disabled=${disabled}>${text}</option>`,
      )}
    </select>`}
  <//>`;
}

/** One of a few, as buttons in a row. */
export function Segments({ label, options, value, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map(
      ([one, text]) => html`<button type="button" key=${one} aria-pressed=${one === value}
        onClick=${() => onChange(one)}>${text}</button>`,
    )}
  </div>`;
}

export function Check({ label, checked, onChange, ...rest }) {
  return html`<label class="check"><input type="checkbox" ...${rest} checked=${checked}
    onChange=${(event) => onChange(event.currentTarget.checked)} /> <span>${label}</span></label>`;
}

/** Copies, and answers whether the browser let it. */
export async function copyText(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${what}.`);
    return true;
  } catch {
    say("The browser does not let this page copy. Select the text and copy it yourself.");
    return false;
  }
}

/** Says that it copied at its own place too: a dialog covers notices. */
export function Copy({ text, what, label = "Copy" }) {
  const [copied, setCopied] = useState(null);
  useEffect(() => {
    if (copied === null) return undefined;
    const timer = setTimeout(() => setCopied(null), 3000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => setCopied({ text, done: await copyText(text, what) });
  const words = copied?.text !== text ? label : copied.done ? "Copied" : "Not allowed";
  return html`<button type="button" class="small" aria-label=${words === label ? `Copy ${what}` : words} onClick=${copy}>${words}</button>`;
}

/** What the server refused that belongs to no field that is shown. */
export function FormErrors({ messages }) {
  if (messages.length === 0) return null;
  return html`<div class="note bad" role="alert">${messages.map((message) => html`<p>${message}</p>`)}</div>`;
}

/** Pages of a list. */
export function Pager({ page, pagination, onPage, what }) {
  const { total_count: total, max_page: last } = pagination;
  if (last <= 1 && page <= 1) return null;
  return html`<nav class="pager" aria-label=${`Pages of ${what}`}>
    <button type="button" class="small" disabled=${page <= 1} onClick=${() => onPage(page - 1)}>Previous</button>
    <span>Page ${page} of ${Math.max(last, 1)} <span class="muted">(<span data-test="count">${total.toLocaleString()}</span> ${what})</span></span>
    <button type="button" class="small" disabled=${page >= last} onClick=${() => onPage(page + 1)}>Next</button>
  </nav>`;
}

/** A page that is no longer there, since the list got shorter, or never was. */
export function BeyondLast({ what }) {
  return html`<div class="empty"><p class="empty-title">There are no ${what} on this page</p>
    <p><button type="button" onClick=${() => setParams({ page: undefined })}>To the first page</button></p></div>`;
}

/** A table that scrolls by itself where it is too wide, also with the keyboard. */
export function TableBox({ label, children }) {
  return html`<div class="table-box" role="region" aria-label=${label} tabindex="0">${children}</div>`;
}
