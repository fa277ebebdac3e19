// Making a meter from what events have; changing one; fields that are locked.

import { fill, last30Days, named, sum } from "./data.mjs";
import { check, equal, inWindow, number, shows } from "./support.mjs";

export default async function run(server, browser) {
  const { api, sent, meters } = await fill(server, "builder");

  await inWindow(browser, server, "a new meter", async (page, window) => {
    await window.signIn(api.token, "#/meters/new");
    const matching = page.locator('[data-test="matching"]');
    await matching.waitFor();
    await page.getByLabel("Name", { exact: true }).fill("ab");
    await page.getByRole("button", { name: "chat", exact: true }).click();
    const newest = sent.length;
    const chats = sent.filter(({ name }) => name === "chat");
    await shows("chats count", matching, `${number(chats.length)} of the newest ${number(newest)} events count`);
    const preview = page.getByRole("region", { name: "The newest events and whether they count" });
    const first = await api.get("/v1/events/?limit=12&source=user");
    const counted = await preview.locator("tbody tr").evaluateAll((rows) => rows.map((row) => row.cells[0].innerText.trim()));
    equal("which of the newest do", counted, first.items.map(({ name }) => (name === "chat" ? "Yes" : "No")));
    const miss = preview.locator("tr.misses").first();
    check("and why one does not", (await miss.locator("td").nth(2).innerText()).includes("name"), await miss.innerText());
    const nameClause = page.getByRole("group", { name: "Condition 1" });
    const left = first.items.filter(({ name }) => name !== "chat").length;
    await shows("its condition says how many it leaves out", nameClause.locator(".leaves-out"), `Leaves out ${left} of the newest 12`);
    await miss.hover();
    await page.locator(".clause.marked").waitFor();
    equal("the condition of an event is marked", await page.locator(".marked").getAttribute("data-place"), "0");
    await page.mouse.move(2, 2);
    await page.locator(".marked").waitFor({ state: "detached" });
    await miss.getByRole("button", { name: "Condition 1" }).click();
    equal("and led to", await page.evaluate(() => document.activeElement.dataset.place), "0");

    await page.getByRole("button", { name: "Add a condition" }).click();
    const second = page.getByRole("group", { name: "Condition 2" });
    equal(
      "properties that events have are offered",
      await second.locator("datalist").first().locator("option").evaluateAll((all) => all.map(({ value }) => value).filter((value) => !["name", "source", "timestamp"].includes(value)).sort()),
      ["cached", "model", "tokens"],
    );
    await second.getByLabel("Property").fill("cached");
    equal("a yes or no is offered as such", await second.getByLabel("Kind").inputValue(), "boolean");
    await second.getByLabel("Value").selectOption("false");
    const uncached = chats.filter(({ metadata }) => !metadata.cached);
    await shows("uncached chats count", matching, `${number(uncached.length)} of the newest ${number(newest)} events count`);

    await page.getByLabel("Function").selectOption("sum");
    await page.getByText("Fill in the conditions").waitFor();
    await page.getByRole("button", { name: "Make the meter" }).click();
    await page.getByText("Choose a property.").waitFor();
    await page.getByLabel("Of the property").fill("tokens");
    const total = sum(last30Days(sent, "chat").filter(({ metadata }) => !metadata.cached).map(({ metadata }) => metadata.tokens));
    await shows("the total it would have", page.locator(".figure-detail", { hasText: "Last 30 days" }), `Last 30 days: ${number(total)}`);

    await page.getByRole("button", { name: "Make the meter" }).click();
    await page.getByText("String should have at least 3 characters").waitFor();
    equal("the refused field is marked", await page.getByLabel("Name", { exact: true }).getAttribute("aria-invalid"), "true");
    await page.getByLabel("Name", { exact: true }).fill("Uncached tokens");
    await page.getByLabel("Unit").selectOption("token");
    await page.getByRole("button", { name: "Make the meter" }).click();
    await page.getByRole("heading", { name: "Uncached tokens" }).waitFor();
    await shows("the saved meter has it", page.locator('[data-test="total"]'), number(total));
    const { items } = await api.get("/v1/meters/?query=Uncached");
    equal("it is what was built", [items[0].filter, items[0].aggregation, items[0].unit], [
      {
        conjunction: "and",
        clauses: [
          { property: "name", operator: "eq", value: "chat" },
          { property: "cached", operator: "eq", value: false },
        ],
      },
      { func: "sum", property: "tokens" },
      "token",
    ]);
  });

  await inWindow(browser, server, "groups", async (page, window) => {
    await window.signIn(api.token, "#/meters/new");
    await page.getByLabel("Name", { exact: true }).fill("Large or vision");
    await page.getByRole("button", { name: "Add a group" }).click();
    const clause = page.getByRole("group", { name: "Condition 1.1" });
    await clause.getByLabel("Property").fill("model");
    await clause.getByLabel("Value").fill("large");
    await page.getByRole("button", { name: "Add a condition" }).first().click();
    const other = page.getByRole("group", { name: "Condition 1.2" });
    await other.getByLabel("Property").fill("seconds");
    await other.getByLabel("Kind").selectOption("number");
    await other.getByLabel("Operator").selectOption("gt");
    await other.getByLabel("Value").fill("1.5");
    await page.getByRole("button", { name: "Make the meter" }).click();
    await page.getByText("Type in a whole number.").waitFor();
    await other.getByLabel("Value").fill("4");
    await page.getByRole("button", { name: "Group 1" }).first().focus();
    equal("of alternatives the group is marked", await page.locator(".marked").getAttribute("data-place"), "0");
    const expected = sent.filter(({ metadata }) => metadata.model === "large" || metadata.seconds > 4).length;
    await shows("any of the group", page.locator('[data-test="matching"]'), `${number(expected)} of the newest ${number(sent.length)} events count`);
    await page.getByRole("button", { name: "Make the meter" }).click();
    await page.getByRole("heading", { name: "Large or vision" }).waitFor();
    const { items } = await api.get("/v1/meters/?query=Large");
    equal("it nests", items[0].filter.clauses[0].conjunction, "or");
  });

  await inWindow(browser, server, "a meter that counts is locked", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meters.chats.id}/edit`);
    await page.getByText("This meter counts").waitFor();
    const chats = sent.filter(({ name }) => name === "chat").length;
    check("it says why", (await page.getByText("This meter counts").innerText()).includes(number(chats)));
    check("the filter cannot be changed", await page.getByRole("group", { name: "Condition 1" }).getByLabel("Property").isDisabled());
    check("nor the aggregation", await page.getByLabel("Function").isDisabled());
    await page.getByLabel("Name", { exact: true }).fill("All chats");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "All chats" }).waitFor();
    equal("the name can", (await api.get(`/v1/meters/${meters.chats.id}`)).name, "All chats");
  });

  await inWindow(browser, server, "one that is locked while it is edited", async (page, window) => {
    const made = await api.post("/v1/meters/", { name: "Soon", filter: named("soon"), aggregation: { func: "count" } });
    await window.signIn(api.token, `#/meters/${made.id}/edit`);
    const value = page.getByRole("group", { name: "Condition 1" }).getByLabel("Value");
    await value.fill("image");
    await api.post("/v1/events/ingest", { events: [{ name: "soon", external_customer_id: "ada" }] });
    await page.waitForTimeout(1100);
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await page.getByText("This meter counts").waitFor();
    equal("what is shown is what is kept", await value.inputValue(), "soon");
  });

  await inWindow(browser, server, "one that counts nothing yet can be changed", async (page, window) => {
    const made = await api.post("/v1/meters/", { name: "Later", filter: named("later"), aggregation: { func: "count" } });
    await window.signIn(api.token, `#/meters/${made.id}/edit`);
    const clause = page.getByRole("group", { name: "Condition 1" });
    await clause.getByLabel("Value").fill("image");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Later", exact: true }).waitFor();
    const { filter } = await api.get(`/v1/meters/${made.id}`);
    equal("it is changed", filter, named("image"));
  });
}
