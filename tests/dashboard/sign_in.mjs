// Signing in and out, and where the token is kept.

import { check, equal, inWindow } from "./support.mjs";

const stored = (page) =>
  page.evaluate(() => ({ session: Object.values({ ...sessionStorage }), local: Object.values({ ...localStorage }) }));

export default async function run(server, browser) {
  const { token, id } = await server.organization("sign-in");

  await inWindow(browser, server, "wrong tokens", async (page) => {
    await page.goto(server.url);
    await page.getByLabel("Token").waitFor();
    equal("the field has the focus", await page.evaluate(() => document.activeElement.name), "token");
    for (const wrong of ["floe_oat_nobody", "with space", "ünïcode", ""]) {
      await page.getByLabel("Token").fill(wrong);
      await page.keyboard.press("Enter");
      await page.locator(".field-error").waitFor();
      check(`"${wrong}" is refused`, (await page.locator(".field-error").innerText()).length > 10);
      equal("the field says so", await page.getByLabel("Token").getAttribute("aria-invalid"), "true");
      await page.getByLabel("Token").fill("x");
      await page.locator(".field-error").waitFor({ state: "detached" });
    }
    equal("nothing is kept", await stored(page), { session: [], local: [] });
  });

  await inWindow(browser, server, "in memory", async (page, window) => {
    await window.signIn(token, "#/meters?sorting=-name");
    equal("the link leads where it says", await page.locator("h1").innerText(), "Meters");
    equal("an organization's token has no choice of organizations", await page.getByLabel("Organization").count(), 0);
    equal("nothing is kept", await stored(page), { session: [], local: [] });
    check("no token is in the address", !page.url().includes(token));
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    check("a reload forgets it", true);
  });

  await inWindow(browser, server, "kept until the tab is closed", async (page, window) => {
    await page.goto(server.url);
    await page.getByLabel("Token").fill(token);
    await page.getByLabel("Keep me signed in until this tab is closed").check();
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    equal("it is in session storage alone", await stored(page), { session: [token], local: [] });
    await page.reload();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    equal("signing out forgets it", await stored(page), { session: [], local: [] });
    const other = await window.context.newPage();
    await other.goto(server.url);
    await other.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  await inWindow(browser, server, "revoked while signed in", async (page, window) => {
    const short = await server.clientOf(id);
    await window.signIn(short.token);
    const { items } = await server.call("GET", `/v1/organization-access-tokens/?organization_id=${id}&limit=100&sorting=-created_at`);
    await server.call("DELETE", `/v1/organization-access-tokens/${items[0].id}`);
    await page.evaluate(() => (location.hash = "#/meters"));
    await page.getByText("The server no longer accepts this token. Sign in again.").waitFor();
    check("the page says why", true);
  });

  await inWindow(browser, server, "missing scopes", async (page, window) => {
    const narrow = await server.clientOf(id, ["events:write"]);
    await window.signIn(narrow.token);
    const scopes = { meters: "meters:read", customers: "customers:read", tokens: "organization_access_tokens:read" };
    for (const [view, scope] of Object.entries(scopes)) {
      await window.open(`#/${view}`);
      const note = page.locator(".note").first();
      await note.waitFor();
      check(`${view} names the scope`, (await note.innerText()).includes(scope), await note.innerText());
    }
    await window.open("#/events");
    await page.getByText("No event is like that").waitFor();
    for (const view of ["system", "organizations"]) {
      await window.open(`#/${view}`);
      await page.getByText("Only the root token").waitFor();
    }
  });
}
