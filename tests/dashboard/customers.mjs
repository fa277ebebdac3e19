// Customers: search, making one, balances, credits, resets, usage.

import { fill, last30Days, named, sum } from "./data.mjs";
import { check, equal, inWindow, number, shows } from "./support.mjs";

export default async function run(server, browser) {
  const { api, sent, customers, meters } = await fill(server, "customers");

  await inWindow(browser, server, "search and make", async (page, window) => {
    await window.signIn(api.token, "#/customers");
    await page.getByLabel("Search").fill("gra");
    await page.waitForFunction(() => document.querySelectorAll("tbody .row-title").length === 1);
    equal("found", await page.locator("tbody .row-title").innerText(), "Grace");

    await page.getByRole("button", { name: "New customer" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("E-mail").fill("ada@example.com");
    await dialog.getByLabel("External id").fill("grace");
    await dialog.getByRole("button", { name: "Make the customer" }).click();
    await dialog.getByText("A customer with this email address already exists.").waitFor();
    await dialog.getByText("A customer with this external ID already exists.").waitFor();
    equal("each at its field", [await dialog.getByLabel("E-mail").getAttribute("aria-invalid"), await dialog.getByLabel("Name").getAttribute("aria-invalid")], ["true", null]);
    await dialog.getByLabel("E-mail").fill("radia@example.com");
    await dialog.getByLabel("Name").fill("Radia");
    await dialog.getByLabel("External id").fill("radia");
    await dialog.getByRole("button", { name: "Make the customer" }).click();
    await page.getByRole("heading", { name: "Radia", exact: true }).waitFor();
    const tokens = sum(sent.filter((event) => event.name === "chat" && event.external_customer_id === "radia").map(({ metadata }) => metadata.tokens));
    const row = page.getByRole("region", { name: "Meters of the customer" }).locator("tr", { hasText: "Tokens" });
    await row.waitFor();
    equal("what was sent before counts", await row.locator("td").nth(1).innerText(), number(tokens));
  });

  await inWindow(browser, server, "a form is not lost", async (page, window) => {
    await window.signIn(api.token, "#/customers");
    await page.getByRole("button", { name: "New customer" }).click();
    const dialog = page.getByRole("dialog");
    const name = dialog.getByLabel("Name");
    await name.fill("Somebody");
    const { x, y } = await name.boundingBox();
    await page.mouse.move(x + 60, y + 10);
    await page.mouse.down();
    await page.mouse.move(10, y + 10, { steps: 4 });
    await page.mouse.up();
    equal("a text selected beyond the dialog leaves it open", await name.inputValue(), "Somebody");
    await page.mouse.click(10, 10);
    await dialog.waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement.innerText === "New customer");
    check("the focus goes back", true);
  });

  await inWindow(browser, server, "credit and reset", async (page, window) => {
    const { ada } = customers;
    await window.signIn(api.token, `#/customers/${ada.id}`);
    const row = page.getByRole("region", { name: "Meters of the customer" }).locator("tr", { hasText: "Tokens" });
    const cells = async () => (await row.locator("td").allInnerTexts()).slice(1, 4);
    const expected = async () => {
      const { items } = await api.get(`/v1/customer-meters/?customer_id=${ada.id}&meter_id=${meters.tokens.id}`);
      return [items[0].consumed_units, items[0].credited_units, items[0].balance];
    };
    await row.waitFor();
    equal("as the API says", await cells(), (await expected()).map(number));
    await page.getByRole("button", { name: "Credit Tokens" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Units").fill("12.5");
    await dialog.getByRole("button", { name: "Credit", exact: true }).click();
    await dialog.getByText("Type in a whole number.").waitFor();
    await dialog.getByLabel("Units").fill("50000");
    await dialog.getByRole("button", { name: "Credit", exact: true }).click();
    await shows("credited", row.locator("td").nth(2), "50,000");
    const [consumed, credited, balance] = await expected();
    equal("once", [credited, balance], [50000, 50000 - consumed]);
    equal("the balance too", await cells(), [consumed, credited, balance].map(number));

    await page.getByRole("button", { name: "Reset Tokens" }).click();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    equal("a reset asks first", await expected(), [consumed, credited, balance]);
    await page.getByRole("button", { name: "Reset Tokens" }).click();
    await dialog.getByRole("button", { name: "Begin a new period" }).click();
    await shows("reset", row.locator("td").nth(2), "0");
    equal("in the API too", await expected(), [0, 0, 0]);
  });

  await inWindow(browser, server, "usage and events", async (page, window) => {
    const { grace } = customers;
    await window.signIn(api.token, `#/customers/${grace.id}?meter=${meters.tokens.id}`);
    const tokens = sum(last30Days(sent, "chat").filter((event) => event.external_customer_id === "grace").map(({ metadata }) => metadata.tokens));
    await shows("usage of 30 days", page.locator('[data-test="usage"]'), number(tokens));
    const newest = await api.get(`/v1/events/?customer_id=${grace.id}&limit=10`);
    const names = page.getByRole("region", { name: "Newest events of the customer" }).locator("td.name");
    await names.first().waitFor();
    equal("newest events", await names.allInnerTexts(), newest.items.map(({ label }) => label));
    const uses = await api.post("/v1/meters/", { name: "A first one without usage", filter: named("nothing"), aggregation: { func: "count" } });
    await window.open("#/customers");
    await window.open(`#/customers/${grace.id}`);
    await page.locator('[data-test="usage"]').waitFor();
    check("at first a meter is shown that is used", (await page.getByLabel("Meter", { exact: true }).inputValue()) !== uses.id);
    await page.getByRole("link", { name: "All events" }).click();
    const all = await api.get(`/v1/events/?customer_id=${grace.id}&limit=1`);
    await shows("all events", page.locator('[data-test="count"]'), number(all.pagination.total_count));
    await window.open("#/customers/00000000-0000-4000-8000-000000000000");
    await page.getByText("There is no such customer").waitFor();
    check("an unknown one is said to be", true);
  });
}
