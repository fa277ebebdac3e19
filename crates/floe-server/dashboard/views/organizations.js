// Organizations, for the root token: making, renaming and opening them.

import { errorAt, errorsElsewhere, patch, post } from "../parts/api.js";
import { useCell } from "../parts/cell.js";
import { FormErrors, TableBox, TextField } from "../parts/controls.js";
import { Dialog } from "../parts/dialog.js";
import { dateTime, useZone } from "../parts/format.js";
import { Heading } from "../parts/heading.js";
import { html, useState } from "../parts/html.js";
import { link } from "../parts/router.js";
import { reloadOrganizations, session } from "../parts/session.js";
import { NotThere } from "../parts/states.js";
import { say } from "../parts/toast.js";
import { tame } from "../parts/words.js";

export function Organizations() {
  const zone = useZone();
  const { isRoot, organizations } = useCell(session);
  const [edited, setEdited] = useState(null);
  if (!isRoot) return html`<${Heading} title="Organizations" /><${NotThere}>Only the root token sees organizations.<//>`;
  return html`
    <${Heading} title="Organizations"><button type="button" class="primary" onClick=${() => setEdited({})}>New organization</button><//>
    <p class="lead">Each organization has its own events, meters, customers and tokens, and sees no other's.</p>
    ${edited && html`<${Form} organization=${edited} onClose=${() => setEdited(null)} />`}
    <div class="card flush"><${TableBox} label="Organizations"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Slug</th><th scope="col" class="extra">Made</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${organizations.map((one) => html`<tr key=${one.id}>
        <td class="text"><a class="row-title" dir="auto" href=${link([], { organization: one.slug })}>${one.name}</a></td>
        <td><code>${one.slug}</code></td>
        <td class="when extra">${dateTime(one.created_at, zone)}</td>
        <td class="actions">
          <a class="button small" aria-label=${`Tokens of ${one.name}`} href=${link(["tokens"], { organization: one.slug })}>Tokens</a>
          <button type="button" class="small" aria-label=${`Rename ${one.name}`} onClick=${() => setEdited(one)}>Rename</button>
        </td>
      </tr>`)}</tbody>
    </table><//></div>`;
}

function Form({ organization, onClose }) {
  const isNew = organization.id === undefined;
  const [name, setName] = useState(organization.name ?? "");
  const [slug, setSlug] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const options = { everywhere: true };
    const answer = isNew
      ? await post("/v1/organizations/", { name, slug }, options)
      : await patch(`/v1/organizations/${organization.id}`, { name }, options);
    setBusy(false);
    if (!answer.ok) {
      setError(answer);
      return;
    }
    await reloadOrganizations();
    say(isNew ? "The organization is made." : "The organization is renamed.");
    onClose();
  };
  return html`<${Dialog} title=${isNew ? "New organization" : `Rename ${tame(organization.name)}`} onClose=${onClose}>
    <form onSubmit=${submit} noValidate>
      <${FormErrors} messages=${errorsElsewhere(error, ["name", "slug"])} />
      <${TextField} label="Name" value=${name} required error=${errorAt(error, "name")} onInput=${setName} />
      ${isNew && html`<${TextField} label="Slug" value=${slug} required error=${errorAt(error, "slug")} onInput=${setSlug}
        hint="What machines call it: a to z, digits and hyphens. It stays." />`}
      <div class="buttons"><button type="submit" class="primary" disabled=${busy}>${isNew ? "Make the organization" : "Rename"}</button>
        <button type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}
