// What the root token may: organizations, tokens, the server's state.

import { fill } from "./data.mjs";
import { check, equal, inWindow, number, shows } from "./support.mjs";

export default async function run(server, browser) {
  const { api, sent } = await fill(server, "root");

  await inWindow(browser, server, "organizations", async (page, window) => {
    await window.signIn(server.rootToken, "#/organizations?organization=root");
    await page.getByRole("button", { name: "New organization" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Umbrella");
    await dialog.getByLabel("Slug").fill("root");
    await dialog.getByRole("button", { name: "Make the organization" }).click();
    await dialog.getByText("An organization with this slug already exists.").waitFor();
    await dialog.getByLabel("Slug").fill("umbrella");
    await dialog.getByRole("button", { name: "Make the organization" }).click();
    await page.getByRole("link", { name: "Umbrella", exact: true }).waitFor();
    await page.getByRole("button", { name: "Rename Umbrella" }).click();
    await dialog.getByLabel("Name").fill("Umbrella Inc.");
    await dialog.getByRole("button", { name: "Rename" }).click();
    await page.getByRole("link", { name: "Umbrella Inc.", exact: true }).click();
    await page.getByRole("heading", { name: "Send the first event" }).waitFor();
    check("it is chosen", page.url().includes("organization=umbrella"));
    await page.getByLabel("Organization").selectOption("root");
    await page.getByText("Newest event").waitFor();
    await window.open("#/events?organization=root&source=user");
    await shows("each sees its own", page.locator('[data-test="count"]'), number(sent.length));
  });

  await inWindow(browser, server, "tokens", async (page, window) => {
    await window.signIn(server.rootToken, "#/tokens?organization=root");
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("What is it for?").fill("the test");
    await dialog.getByLabel("Read events events:read").check();
    await dialog.getByLabel("When does it expire?").selectOption("P30D");
    await dialog.getByRole("button", { name: "Make the token" }).click();
    const token = await dialog.locator('[data-test="token"]').innerText();
    await dialog.getByRole("button", { name: "Done" }).click();
    check("it looks like one", token.startsWith("floe_oat_"), token);
    const { pagination } = await server.call("GET", "/v1/events/?limit=1&source=user", undefined, { token });
    equal("it works", pagination.total_count, sent.length);
    const find = async () => {
      const all = await server.call("GET", `/v1/organization-access-tokens/?organization_id=${api.id}&limit=100`);
      return all.items.find(({ comment }) => comment === "the test");
    };
    equal("its scopes", (await find()).scopes.toSorted(), ["events:read", "events:write"]);
    const row = page.locator("tr", { hasText: "the test" });
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await row.getByText(/now|second/).waitFor();
    await page.getByRole("button", { name: "Revoke the test" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await row.waitFor({ state: "detached" });
    const refused = await fetch(`${server.url}/v1/events/`, { headers: { Authorization: `Bearer ${token}` } });
    equal("it is refused", refused.status, 401);
  });

  await inWindow(browser, server, "system", async (page, window) => {
    await window.signIn(server.rootToken, "#/system");
    const system = await server.call("GET", "/v1/system");
    const figure = (label) => page.locator(".figure", { hasText: label }).locator(".figure-value").first();
    await shows("version", figure("Version"), system.version);
    await shows("health", figure("Health"), "Writing and reading");
    await shows("events", figure("Events"), number(system.events));
    await shows("organizations", figure("Organizations"), number(system.organizations));
    const latency = page.getByRole("region", { name: "Latency" }).locator("tbody tr");
    equal("both kinds of requests", await latency.count(), 2);
  });
}
