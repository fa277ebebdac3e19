// What surrounds every view: navigation, organization, time zone, theme, the state of the server.

import { connection, explain, retryNow } from "../parts/api.js";
import { useCell } from "../parts/cell.js";
import { ownZone, useZone, zones } from "../parts/format.js";
import { focusTitle, Heading } from "../parts/heading.js";
import { html, useEffect, useErrorBoundary, useRef, useState } from "../parts/html.js";
import { link, open, setParams, useRoute } from "../parts/router.js";
import { chosenOrganization, resume, session, signOut } from "../parts/session.js";
import { Empty, Loading, NotThere } from "../parts/states.js";
import { ThemeSwitch } from "../parts/theme.js";
import { Toast } from "../parts/toast.js";
import { Customer } from "./customer.js";
import { Customers } from "./customers.js";
import { Events } from "./events.js";
import { Meter } from "./meter.js";
import { MeterForm } from "./meter-form.js";
import { Meters } from "./meters.js";
import { Organizations } from "./organizations.js";
import { Overview } from "./overview.js";
import { SignIn } from "./sign-in.js";
import { System } from "./system.js";
import { Tokens } from "./tokens.js";

const NAVIGATION = [
  ["", "Overview", "M4 13h6V4H4zm10 7h6V4h-6zM4 20h6v-4H4z"],
  ["meters", "Meters", "M5 20V10m7 10V4m7 16v-7"],
  ["events", "Events", "M4 6h16M4 12h16M4 18h10"],
  ["customers", "Customers", "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zm-7 9a7 7 0 0 1 14 0"],
  ["tokens", "Tokens", "M14 10l6-6m-3 3l2 2M9 20a5 5 0 1 1 0-10 5 5 0 0 1 0 10z"],
];
const ROOT_NAVIGATION = [
  ["organizations", "Organizations", "M4 20V6l8-3 8 3v14M9 20v-5h6v5M8 9h2m4 0h2"],
  ["system", "System", "M4 5h16v6H4zm0 8h16v6H4zm3-5h.01M7 16h.01"],
];

function viewOf([view, id, more]) {
  if (view === undefined) return html`<${Overview} />`;
  if (view === "meters" && id === "new") return html`<${MeterForm} key="new" />`;
  if (view === "meters" && more === "edit") return html`<${MeterForm} key=${id} id=${id} />`;
  if (view === "meters" && id) return html`<${Meter} key=${id} id=${id} />`;
  if (view === "meters") return html`<${Meters} />`;
  if (view === "events") return html`<${Events} />`;
  if (view === "customers" && id) return html`<${Customer} key=${id} id=${id} />`;
  if (view === "customers") return html`<${Customers} />`;
  if (view === "tokens") return html`<${Tokens} />`;
  if (view === "organizations") return html`<${Organizations} />`;
  if (view === "system") return html`<${System} />`;
  return html`<${Heading} title="There is no such page" /><p><a href=${link([])}>To the overview</a></p>`;
}

/** What the root token sees of everything, without an organization. */
const OF_SERVER = ["organizations", "system"];

/** For the root token: that there is no organization to show, or not the one of the address. */
function NoOrganization() {
  const { params } = useRoute();
  const { organizations } = session.get();
  if (organizations.length === 0) {
    return html`<${Heading} title="Welcome" /><${Empty} title="There is no organization yet">
      <p>An organization has events, meters, customers and tokens of its own.</p>
      <p><a class="button primary" href=${link(["organizations"], { organization: undefined })}>Make the first one</a></p><//>`;
  }
  return html`<${Heading} title="There is no such organization" />
    <${NotThere}>This server has no organization <strong dir="auto">${params.organization}</strong>. Choose one of those that it has,
      or see <a href=${link(["organizations"], { organization: undefined })}>all organizations</a>.<//>`;
}

function Banner() {
  const { lost, next } = useCell(connection);
  const [, tick] = useState(0);
  useEffect(() => {
    if (!lost) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), 500);
    return () => clearInterval(timer);
  }, [lost]);
  if (!lost) return null;
  const seconds = Math.max(0, Math.ceil((next - Date.now()) / 1000));
  return html`<div class="banner" role="alert">
    <span><strong>The server does not answer.</strong> What you see may be old.</span>
    <span class="banner-wait" aria-hidden="true">${seconds > 0 ? `Trying again in ${seconds} s` : "Trying again…"}</span>
    <button type="button" class="small" onClick=${retryNow}>Try now</button>
  </div>`;
}

function Links({ items, current, onOpen }) {
  return html`<ul>
    ${items.map(
      ([path, label, icon]) => html`<li key=${path}>
        <a href=${link(path ? [path] : [])} aria-current=${current === path ? "page" : undefined} onClick=${onOpen}>
          <svg viewBox="0 0 24 24" aria-hidden="true"><path d=${icon} /></svg>${label}
        </a>
      </li>`,
    )}
  </ul>`;
}

function OrganizationChoice() {
  const { organizations } = session.get();
  const chosen = chosenOrganization();
  if (organizations.length === 0) return null;
  return html`<label class="organization-choice"><span>Organization</span>
    <select value=${chosen?.slug ?? ""} onChange=${(event) => {
      const slug = event.currentTarget.value;
      const { parts } = routeNow();
      // Ids in the path belong to the organization that is left.
      open(parts.slice(0, 1), { organization: slug });
    }}>
      ${chosen === null && html`<option value="" selected>Choose one</option>`}
      ${organizations.map(
        ({ slug, name }) => html`<option key=${slug} value=${slug} selected=${slug === chosen?.slug}>${name}</option>`,
      )}
    </select>
  </label>`;
}

let routeNow = () => ({ parts: [] });

function ZoneChoice() {
  const zone = useZone();
  return html`<label class="top-choice"><span>Time zone</span>
    <select value=${zone} onChange=${(event) => {
      const chosen = event.currentTarget.value;
      setParams({ timezone: chosen === ownZone ? undefined : chosen });
    }}>
      ${zones().map((one) => html`<option key=${one} value=${one} selected=${one === zone}>${one}</option>`)}
    </select>
  </label>`;
}

function Crashed({ error, again }) {
  return html`<div class="note bad" role="alert">
    <p><strong>This view stopped because of an error in the page.</strong> ${String(error)}</p>
    <button type="button" class="small" onClick=${again}>Show it again</button>
  </div>`;
}

function View({ parts, organization }) {
  const [error, again] = useErrorBoundary();
  // Without one the root token would see those of all organizations as if of one.
  const isLost = session.get().isRoot && organization === undefined && !OF_SERVER.includes(parts[0]);
  return error
    ? html`<${Crashed} error=${error} again=${again} />`
    : html`<div key=${organization}>${isLost ? html`<${NoOrganization} />` : viewOf(parts)}</div>`;
}

function Frame() {
  const current = useRoute();
  const { isRoot } = useCell(session);
  const [menu, setMenu] = useState(false);
  const main = useRef(null);
  const first = useRef(true);
  routeNow = () => current;
  const view = current.parts.join("/");
  useEffect(() => {
    setMenu(false);
    if (first.current) first.current = false;
    else {
      scrollTo(0, 0);
      focusTitle(main.current);
    }
  }, [view]);
  const organization = chosenOrganization()?.slug;
  return html`<div class="frame">
    <a class="skip" href="#main" onClick=${(event) => {
      event.preventDefault();
      main.current.focus();
    }}>To the content</a>
    <header class=${`side-bar${menu ? " open" : ""}`}>
      <div class="brand">
        <a href=${link([])}><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M5 20l5-8.5 5.2 2.7L19.8 7 27 20zM5 23.5h22M9.5 27h13" /></svg>Floe</a>
        <button type="button" class="menu small" aria-expanded=${menu} aria-controls="navigation" onClick=${() => setMenu(!menu)}>Menu</button>
      </div>
      <div class="side-content" id="navigation">
        ${isRoot && html`<${OrganizationChoice} />`}
        <nav aria-label="Views">
          <${Links} items=${NAVIGATION} current=${current.parts[0] ?? ""} onOpen=${() => setMenu(false)} />
          ${isRoot && html`<p class="nav-title">Server</p>
            <${Links} items=${ROOT_NAVIGATION} current=${current.parts[0] ?? ""} onOpen=${() => setMenu(false)} />`}
        </nav>
        <div class="side-foot">
          <${ZoneChoice} />
          <${ThemeSwitch} />
          <p class="foot-links"><a href="/docs" target="_blank" rel="noopener">API reference</a>
            <button type="button" class="link" onClick=${() => signOut()}>Sign out</button></p>
        </div>
      </div>
    </header>
    <main id="main" ref=${main} tabindex="-1">
      <${Banner} />
      <${View} parts=${current.parts} organization=${organization} />
    </main>
    <${Toast} />
  </div>`;
}

export function Page() {
  const current = useCell(session);
  const { lost } = useCell(connection);
  const [resuming, setResuming] = useState(true);
  const [error, setError] = useState(null);
  useEffect(() => {
    // With a token of this tab's storage it is tried again once the server is back.
    if (!resuming || lost) return;
    resume().then((refused) => {
      if (refused?.kind === "network") return;
      setError(refused);
      setResuming(false);
    });
  }, [resuming, lost]);
  if (current !== null) return html`<${Frame} />`;
  if (resuming) return html`<main class="sign-in"><${Banner} />${lost ? null : html`<${Loading} what="Opening" />`}</main>`;
  return html`<${SignIn} reason=${error && explain(error)} /><${Toast} />`;
}
