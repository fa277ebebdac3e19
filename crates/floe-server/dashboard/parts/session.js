// Who is signed in. The token is in memory; in session storage only if the user asked for it.

import { get, setCaller, setOrganization } from "./api.js";
import { cell } from "./cell.js";
import { route, setParams } from "./router.js";
import { ofTab } from "./storage.js";

const STORED = "floe.token";

/** null, or {isRoot, organizations: [{id, name, slug}]} (known to the root token alone). */
export const session = cell(null);
/** Why the last session ended, for the sign-in form. */
export const ended = cell("");

/**
 * The organization whose data is shown: the one that the address names, or the first; null if the
 * address names one that is not there. For an organization's token there is no choice.
 */
export function chosenOrganization() {
  const { organizations = [] } = session.get() ?? {};
  const slug = route.get().params.organization;
  return (slug ? organizations.find((one) => one.slug === slug) : organizations[0]) ?? null;
}

function heedRoute() {
  if (!session.get()?.isRoot) return;
  const chosen = chosenOrganization();
  setOrganization(chosen?.id ?? null);
  // A link that is copied says whose view it is.
  if (chosen !== null && !route.get().params.organization) setParams({ organization: chosen.slug });
}
route.watch(heedRoute);

async function allOrganizations() {
  const all = [];
  for (let page = 1; ; page++) {
    const answer = await get("/v1/organizations/", { page, limit: 100 }, { everywhere: true });
    if (!answer.ok) return answer;
    all.push(...answer.value.items);
    if (page >= answer.value.pagination.max_page) return { ok: true, value: all };
  }
}

/** Answers null, or the failure. */
export async function signIn(token, keep) {
  setOrganization(null);
  setCaller(token, () => {});
  const answer = await allOrganizations();
  // Organizations are listed for the root token; another valid token lacks the right to.
  if (!answer.ok && answer.kind !== "scope") {
    setCaller(null, () => {});
    return answer;
  }
  setCaller(token, () => signOut("The server no longer accepts this token. Sign in again."));
  if (keep) ofTab.set(STORED, token);
  else ofTab.remove(STORED);
  ended.set("");
  const next = { isRoot: answer.ok, organizations: answer.ok ? answer.value : [] };
  setOrganization(null);
  session.set(next);
  heedRoute();
  return null;
}

export async function reloadOrganizations() {
  const before = session.get();
  const answer = await allOrganizations();
  // Whoever signed out meanwhile stays so.
  if (answer.ok && session.get() === before) session.set({ ...before, organizations: answer.value });
  heedRoute();
}

export function signOut(reason = "") {
  ofTab.remove(STORED);
  setCaller(null, () => {});
  setOrganization(null);
  ended.set(reason);
  session.set(null);
}

/** Signs in with the token of this tab's storage, if there is one. */
export async function resume() {
  const token = ofTab.get(STORED);
  if (token === null) return null;
  const error = await signIn(token, true);
  if (error && error.kind !== "network") ofTab.remove(STORED);
  return error;
}
