// A dialog of the browser's own: it keeps the focus inside, and Escape closes it.

import { html, useEffect, useId, useRef } from "./html.js";

/** `isKept`: a click beside it does not close it. */
export function Dialog({ title, onClose, children, side = false, isKept = false }) {
  const element = useRef(null);
  // A text that is selected from inside to outside of the dialog ends in a click beside it.
  const isPressedBeside = useRef(false);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    const dialog = element.current;
    dialog.showModal();
    return () => {
      // What is behind an open dialog takes no focus.
      dialog.close();
      if (opener?.isConnected) opener.focus();
    };
  }, []);
  return html`<dialog ref=${element} class=${side ? "side" : ""} aria-labelledby=${id}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}
    onPointerDown=${(event) => (isPressedBeside.current = event.target === element.current)}
    onClick=${(event) => !isKept && isPressedBeside.current && event.target === element.current && onClose()}>
    <div class="dialog-body">
      <header class="dialog-head">
        <h2 id=${id}>${title}</h2>
        <button type="button" class="small plain" onClick=${onClose} aria-label="Close">✕</button>
      </header>
      ${children}
    </div>
  </dialog>`;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, action, busy, error, onConfirm, onClose, children, danger = true }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}
    ${error && html`<p class="field-error" role="alert">${error}</p>`}
    <div class="buttons">
      <button type="button" class=${danger ? "danger" : "primary"} disabled=${busy} onClick=${onConfirm}>${action}</button>
      <button type="button" onClick=${onClose}>Cancel</button>
    </div>
  <//>`;
}
