// Tokens of an organization: making them with scopes, revoking them, when each was last used.

import { errorAt, errorsElsewhere, explain, get, post, refreshAll, remove } from "../parts/api.js";
import { useCell } from "../parts/cell.js";
import { BeyondLast, Check, Choice, Copy, FormErrors, Pager, TableBox, TextField } from "../parts/controls.js";
import { Confirm, Dialog } from "../parts/dialog.js";
import { ago, dateTime, useZone } from "../parts/format.js";
import { Heading } from "../parts/heading.js";
import { html, useId, useState } from "../parts/html.js";
import { pageOf, setParams, useRoute } from "../parts/router.js";
import { chosenOrganization, session } from "../parts/session.js";
import { Empty, Loaded } from "../parts/states.js";
import { say } from "../parts/toast.js";
import { useData } from "../parts/use-data.js";

const SCOPES = {
  "events:write": "Send events",
  "events:read": "Read events",
  "meters:read": "Read meters and quantities",
  "meters:write": "Make and change meters",
  "customers:read": "Read customers",
  "customers:write": "Make and change customers",
  "customer_meters:read": "Read customers' balances",
  "customer_meters:write": "Credit and reset customers' meters",
  "organizations:read": "Read the organization's name",
  "organization_access_tokens:read": "List tokens",
  "organization_access_tokens:write": "Make and revoke tokens",
};
const LIFETIMES = [
  ["", "Never"],
  ["P30D", "In 30 days"],
  ["P90D", "In 90 days"],
  ["P365D", "In a year"],
];

export function Tokens() {
  const zone = useZone();
  useCell(session);
  const { params } = useRoute();
  const page = pageOf(params);
  const query = { limit: 50, page, sorting: "-created_at" };
  const data = useData((signal) => get("/v1/organization-access-tokens/", query, { signal }), query, { keep: true });
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState(null);
  const organization = chosenOrganization();
  return html`
    <${Heading} title="Tokens"><button type="button" class="primary" onClick=${() => setMaking(true)}>New token</button><//>
    <p class="lead">Programs, and people on this page, use tokens to speak for ${organization ? html`<strong dir="auto">${organization.name}</strong>` : "this organization"}.</p>
    ${making && html`<${NewToken} onClose=${() => setMaking(false)} />`}
    ${revoking && html`<${Revoke} token=${revoking} onClose=${() => setRevoking(null)} />`}
    <${Loaded} data=${data}>
      ${({ items, pagination }) => (items.length === 0
        ? page > 1 ? html`<${BeyondLast} what="tokens" />` : html`<${Empty} title="There is no token yet" />`
        : html`<div class="card flush"><${TableBox} label="Tokens"><table>
          <thead><tr><th scope="col">For</th><th scope="col">Scopes</th><th scope="col">Last used</th><th scope="col" class="extra">Expires</th><th scope="col" class="extra">Made</th>
            <th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
          <tbody>${items.map((token) => html`<tr key=${token.id}>
            <td class="text" dir="auto">${token.comment || "(nothing said)"}</td>
            <td class="text scopes">${token.scopes.length === Object.keys(SCOPES).length ? "all" : token.scopes.join(", ")}</td>
            <td class="when" title=${dateTime(token.last_used_at, zone)}>${ago(token.last_used_at)}
              ${token.expires_at && html`<span class="row-detail instead">expires ${ago(token.expires_at)}</span>`}</td>
            <td class="extra">${token.expires_at ? dateTime(token.expires_at, zone) : "never"}</td>
            <td class="when extra">${dateTime(token.created_at, zone)}</td>
            <td class="actions"><button type="button" class="small" aria-label=${`Revoke ${token.comment}`} onClick=${() => setRevoking(token)}>Revoke</button></td>
          </tr>`)}</tbody></table><//></div>
          <${Pager} page=${page} pagination=${pagination} what="tokens" onPage=${(next) => setParams({ page: next }, { remember: true })} />`)}
    <//>`;
}

function NewToken({ onClose }) {
  const [comment, setComment] = useState("");
  const [scopes, setScopes] = useState(["events:write"]);
  const [lifetime, setLifetime] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [made, setMade] = useState(null);
  const legend = useId();
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const answer = await post("/v1/organization-access-tokens/", { comment, scopes, expires_in: lifetime || null });
    setBusy(false);
    if (!answer.ok) {
      setError(answer);
      return;
    }
    setMade(answer.value.token);
    refreshAll();
  };
  if (made !== null) {
    return html`<${Dialog} title="The new token" onClose=${onClose} isKept>
      <p>Copy it now: it is shown this once, and the server keeps only a hash of it.</p>
      <pre class="code secret" tabindex="0" data-test="token">${made}</pre>
      <div class="buttons"><${Copy} text=${made} what="the token" label="Copy the token" /><button type="button" onClick=${onClose}>Done</button></div>
    <//>`;
  }
  const toggle = (scope) => (on) => setScopes((old) => (on ? [...old, scope] : old.filter((one) => one !== scope)));
  const all = Object.keys(SCOPES);
  return html`<${Dialog} title="New token" onClose=${onClose}>
    <form onSubmit=${submit} noValidate>
      <${FormErrors} messages=${errorsElsewhere(error, ["comment", "scopes", "expires_in"])} />
      <${TextField} label="What is it for?" value=${comment} error=${errorAt(error, "comment")} onInput=${setComment} />
      <fieldset aria-describedby=${legend}>
        <legend>What may it do?</legend>
        <div class="scope-list">${Object.entries(SCOPES).map(([scope, words]) => html`<${Check} key=${scope} checked=${scopes.includes(scope)} onChange=${toggle(scope)}
          label=${html`${words} <code>${scope}</code>`} />`)}</div>
        <button type="button" class="small" onClick=${() => setScopes(scopes.length === all.length ? [] : all)}>${scopes.length === all.length ? "None" : "All"}</button>
        <p class="field-error" id=${legend}>${errorAt(error, "scopes")}</p>
      </fieldset>
      <${Choice} label="When does it expire?" options=${LIFETIMES} value=${lifetime} error=${errorAt(error, "expires_in")} onChange=${setLifetime} />
      <div class="buttons"><button type="submit" class="primary" disabled=${busy}>Make the token</button>
        <button type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}

function Revoke({ token, onClose }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    const answer = await remove(`/v1/organization-access-tokens/${token.id}`);
    setBusy(false);
    if (!answer.ok) {
      setError(explain(answer));
      return;
    }
    say("The token is revoked.");
    onClose();
    refreshAll();
  };
  return html`<${Confirm} title="Revoke this token?" action="Revoke" busy=${busy} error=${error} onConfirm=${confirm} onClose=${onClose}>
    <p>Whatever uses <strong dir="auto">${token.comment || "it"}</strong> is refused from now on. It was last used ${ago(token.last_used_at)}.
      This cannot be taken back.</p>
  <//>`;
}
