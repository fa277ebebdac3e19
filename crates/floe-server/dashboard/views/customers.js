// All customers: search, and making one.

import { errorAt, errorsElsewhere, get, post } from "../parts/api.js";
import { BeyondLast, Choice, FormErrors, Pager, SearchField, TableBox, TextField } from "../parts/controls.js";
import { Dialog } from "../parts/dialog.js";
import { ago, customerName, dateTime, useZone } from "../parts/format.js";
import { Heading } from "../parts/heading.js";
import { html, useState } from "../parts/html.js";
import { link, open, pageOf, setParams, useRoute } from "../parts/router.js";
import { Empty, Loaded } from "../parts/states.js";
import { say } from "../parts/toast.js";
import { useData } from "../parts/use-data.js";

const SORTINGS = [
  ["-created_at", "Newest first"],
  ["created_at", "Oldest first"],
  ["name", "Name"],
  ["email", "E-mail"],
];

export function Customers() {
  const { params } = useRoute();
  const zone = useZone();
  const page = pageOf(params);
  const query = { query: params.query, sorting: params.sorting ?? "-created_at", page, limit: 50 };
  const data = useData((signal) => get("/v1/customers/", query, { signal }), query, { keep: true });
  const [making, setMaking] = useState(false);
  return html`
    <${Heading} title="Customers"><button type="button" class="primary" onClick=${() => setMaking(true)}>New customer</button><//>
    ${making && html`<${NewCustomer} onClose=${() => setMaking(false)} />`}
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${SearchField} label="Search" type="search" placeholder="Name, e-mail, or external id" value=${params.query}
        onChange=${(text) => setParams({ query: text, page: undefined })} />
      <${Choice} label="Order" options=${SORTINGS} value=${query.sorting} onChange=${(sorting) => setParams({ sorting, page: undefined })} />
    </form>
    <${Loaded} data=${data}>
      ${({ items, pagination }) => (items.length === 0
        ? page > 1 ? html`<${BeyondLast} what="customers" />` : html`<${Empty} title=${params.query ? "No customer is like that" : "There is no customer yet"}>
            <p>Usage can be sent for external ids that nobody has yet. It counts once a customer with that id is made.</p><//>`
        : html`<div class="card flush"><${TableBox} label="Customers"><table>
            <thead><tr><th scope="col">Customer</th><th scope="col">E-mail</th><th scope="col">External id</th><th scope="col">First usage</th><th scope="col" class="extra">Made</th></tr></thead>
            <tbody>${items.map((customer) => html`<tr key=${customer.id}>
              <td class="text"><a class="row-title" dir="auto" href=${link(["customers", customer.id])}>${customerName(customer)}</a></td>
              <td class="text" dir="auto">${customer.email ?? "–"}</td>
              <td class="text" dir="auto">${customer.external_id ?? "–"}</td>
              <td title=${dateTime(customer.first_user_event_at, zone)}>${ago(customer.first_user_event_at)}</td>
              <td class="when extra">${dateTime(customer.created_at, zone)}</td>
            </tr>`)}</tbody>
          </table><//></div>
          <${Pager} page=${page} pagination=${pagination} what="customers" onPage=${(next) => setParams({ page: next }, { remember: true })} />`)}
    <//>`;
}

function NewCustomer({ onClose }) {
  const [form, setForm] = useState({ name: "", email: "", external_id: "" });
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (field) => (text) => setForm((old) => ({ ...old, [field]: text }));
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const { name, email, external_id } = form;
    const answer = await post("/v1/customers/", { email, name: name || null, external_id: external_id || null });
    setBusy(false);
    if (!answer.ok) {
      setError(answer);
      return;
    }
    say("The customer is made.");
    onClose();
    open(["customers", answer.value.id]);
  };
  return html`<${Dialog} title="New customer" onClose=${onClose}>
    <form onSubmit=${submit} noValidate>
      <${FormErrors} messages=${errorsElsewhere(error, ["email", "name", "external_id"])} />
      <${TextField} label="E-mail" type="email" value=${form.email} required error=${errorAt(error, "email")} onInput=${set("email")} />
      <${TextField} label="Name" value=${form.name} error=${errorAt(error, "name")} onInput=${set("name")} />
      <${TextField} label="External id" value=${form.external_id} error=${errorAt(error, "external_id")} onInput=${set("external_id")}
        hint="What your own system calls this customer. It cannot be changed later. Events already sent for it count at once." />
      <div class="buttons"><button type="submit" class="primary" disabled=${busy}>Make the customer</button>
        <button type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}
