// Where the page begins.

import { refreshAll } from "./parts/api.js";
import { html, render } from "./parts/html.js";
import { reloadOrganizations, session } from "./parts/session.js";
import { Page } from "./views/frame.js";

// What was changed in another tab is seen once this one gets the focus.
let left = 0;
const returned = () => {
  if (document.hidden || session.get() === null || Date.now() - left < 1000) return;
  left = Date.now();
  if (session.get().isRoot) reloadOrganizations();
  refreshAll();
};
document.addEventListener("visibilitychange", returned);
addEventListener("focus", returned);

render(html`<${Page} />`, document.getElementById("app"));
