// Signing in: a token is typed in, checked by the server, and kept in memory.

import { explain } from "../parts/api.js";
import { useCell } from "../parts/cell.js";
import { Check, TextField } from "../parts/controls.js";
import { html, useEffect, useRef, useState } from "../parts/html.js";
import { ended, signIn } from "../parts/session.js";
import { ThemeSwitch } from "../parts/theme.js";

/** `reason`: why the token that the tab kept does not do. */
export function SignIn({ reason: refused }) {
  const [token, setToken] = useState("");
  const [keep, setKeep] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const reason = useCell(ended) || refused;
  const form = useRef(null);

  useEffect(() => {
    document.title = "Sign in · Floe";
    form.current.querySelector("input").focus();
  }, []);

  const submit = async (event) => {
    event.preventDefault();
    const typed = token.trim();
    if (typed === "") {
      setError("Type in a token.");
      return;
    }
    // What is no header's value cannot be a token.
    if (!/^[\x21-\x7e]+$/.test(typed)) {
      setError("A token has letters, digits and signs of ASCII alone, and no spaces.");
      return;
    }
    setBusy(true);
    const refused = await signIn(typed, keep);
    if (refused === null) return;
    setBusy(false);
    setError(
      refused.kind === "unauthorized"
        ? "The server does not know this token, or it has expired or been revoked."
        : explain(refused),
    );
  };

  return html`<main class="sign-in">
    <form ref=${form} class="card" onSubmit=${submit} noValidate>
      <p class="sign-in-brand"><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M5 20l5-8.5 5.2 2.7L19.8 7 27 20zM5 23.5h22M9.5 27h13" /></svg>Floe</p>
      <h1>Sign in</h1>
      ${reason && html`<div class="note" role="status"><p>${reason}</p></div>`}
      <${TextField} label="Token" type="password" name="token" value=${token} error=${error} required
        hint="An organization's token (floe_oat_…), or the root token. The first start of the server printed both."
        onInput=${(text) => {
          setToken(text);
          setError(null);
        }} />
      <${Check} label="Keep me signed in until this tab is closed" checked=${keep} onChange=${setKeep} />
      <button type="submit" class="primary" disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
      <p class="hint">The token stays in this tab's memory${keep ? " and its session storage" : ""}. It is sent to
        this server alone, and never is part of an address.</p>
    </form>
    <div class="sign-in-foot"><${ThemeSwitch} /><a href="/docs">API reference</a></div>
  </main>`;
}
