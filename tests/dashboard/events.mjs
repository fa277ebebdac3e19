// Events: filters, one opened, and the live tail.

import { fill } from "./data.mjs";
import { check, equal, inWindow, number, shows } from "./support.mjs";

export default async function run(server, browser) {
  const { api, sent, customers, meters } = await fill(server, "events");
  const count = (page) => page.locator('[data-test="count"]');

  await inWindow(browser, server, "filters", async (page, window) => {
    await window.signIn(api.token, "#/events?source=user");
    await shows("all", count(page), number(sent.length));
    await page.getByLabel("Name", { exact: true }).fill("image");
    await shows("by name", count(page), number(sent.filter(({ name }) => name === "image").length));
    await page.getByLabel("Customer").fill("grace");
    const graces = sent.filter((event) => event.name === "image" && event.external_customer_id === "grace");
    await shows("and customer", count(page), number(graces.length));
    await page.getByRole("button", { name: "Clear filters" }).click();
    await page.getByLabel("Customer").fill(customers.ada.id);
    const adas = await api.get(`/v1/events/?customer_id=${customers.ada.id}&limit=1`);
    await shows("a customer by its id", count(page), number(adas.pagination.total_count));
    await page.getByLabel("Customer").fill("");
    await page.getByLabel("Property").fill("model=small");
    await shows("by a property", count(page), number(sent.filter(({ metadata }) => metadata.model === "small").length));
    await page.getByLabel("Property").fill("model");
    await page.getByText("Write key=value.").waitFor();
    await page.getByLabel("Property").fill("");
    await page.getByLabel("Counted by").selectOption(meters.longest.id);
    await shows("by a meter", count(page), number(sent.filter(({ name }) => name === "image").length));
    await page.getByLabel("Counted by").selectOption("");
    // 12:00 in Berlin, which has summer time or not.
    const noon = new Date(Date.now() - 10 * 86_400_000).toISOString().slice(0, 10);
    await page.getByLabel("After (Europe/Berlin)").fill(`${noon}T12:00`);
    await page.waitForURL(/from=/);
    const from = new URLSearchParams(page.url().split("?")[1]).get("from");
    const clock = new Date(from).toLocaleString("sv-SE", { timeZone: "Europe/Berlin" });
    equal("a time is of the zone shown", clock, `${noon} 12:00:00`);
    const later = await api.get(`/v1/events/?start_timestamp=${encodeURIComponent(from)}&limit=1`);
    await shows("after a time", count(page), number(later.pagination.total_count));
  });

  await inWindow(browser, server, "an event opened", async (page, window) => {
    await window.signIn(api.token, "#/events?name=chat&customer=ada");
    const { items } = await api.get("/v1/events/?name=chat&external_customer_id=ada&limit=1");
    await page.locator("table.events tbody button").first().click();
    const dialog = page.getByRole("dialog");
    const json = await dialog.getByLabel("JSON of the event").innerText();
    equal("its JSON is the API's", JSON.parse(json), items[0]);
    const rows = dialog.getByRole("region", { name: "Meters that count the event" }).locator("tbody tr");
    await rows.first().waitFor();
    equal(
      "the meters that count it, and the value",
      await rows.evaluateAll((all) => all.map((row) => [row.cells[0].innerText, row.cells[2].innerText])),
      [["Chats", "1"], ["Tokens", String(items[0].metadata.tokens)]],
    );
    check("the link opens it again", page.url().includes(items[0].id));
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    check("the filters stay", page.url().includes("customer=ada"));
    await page.waitForFunction(() => document.activeElement.closest("tr")?.rowIndex === 1);
    check("the focus goes back", true);
  });

  await inWindow(browser, server, "numbers of many digits", async (page, window) => {
    const body = `{"events": [{"name": "big", "external_customer_id": "ada", "metadata": {"n": 123456789012345678901234567890}}]}`;
    await fetch(`${server.url}/v1/events/ingest`, {
      method: "POST",
      headers: { Authorization: `Bearer ${api.token}`, "Content-Type": "application/json" },
      body,
    });
    await window.signIn(api.token, "#/events?name=big");
    await page.getByText("n: 123456789012345678901234567890").waitFor();
    await page.locator("table.events tbody button").first().click();
    await page.getByLabel("JSON of the event").getByText("123456789012345678901234567890").waitFor();
    check("all digits are shown", true);
  });

  await inWindow(browser, server, "live", async (page, window) => {
    await window.signIn(api.token, "#/events?customer=live-customer");
    await page.getByRole("button", { name: "Live" }).click();
    await shows("it is connected", page.locator('[data-test="live"]'), "Live: events show as they come in.");
    const event = (name, who) => ({ name, external_customer_id: who });
    await api.post("/v1/events/ingest", { events: [event("one", "live-customer"), event("other", "somebody else"), event("two", "live-customer")] });
    const names = page.locator("table.events tbody td.name");
    await names.nth(1).waitFor();
    equal("as filtered, the newest first", await names.allInnerTexts(), ["two", "one"]);
    await page.getByRole("button", { name: "Pause" }).click();
    await api.post("/v1/events/ingest", { events: [event("three", "live-customer")] });
    await new Promise((resolve) => setTimeout(resolve, 600));
    equal("paused", await names.count(), 2);
    await page.getByRole("button", { name: "Go on" }).click();
    await names.nth(2).waitFor();
    equal("what came meanwhile is not lost", await names.allInnerTexts(), ["three", "two", "one"]);

    await page.getByLabel("Property").fill("n=5");
    await page.getByText("Waiting for events").waitFor();
    await shows("it is connected again", page.locator('[data-test="live"]'), "Live: events show as they come in.");
    const property = (name, n) => ({ ...event(name, "live-customer"), metadata: { n } });
    await api.post("/v1/events/ingest", { events: [property("number", 5), property("text", "5"), property("other", 6)] });
    await names.nth(1).waitFor();
    equal("by a property", await names.allInnerTexts(), ["text", "number"]);
    await page.getByLabel("Property").fill("a.b=5");
    await page.getByText("Live, events cannot be found by this property.").waitFor();
    await page.getByLabel("Property").fill("");
    await page.getByLabel("Customer").fill("");
    await page.waitForURL((url) => !/customer=|metadata=/.test(url.hash));
    await page.getByLabel("Counted by").selectOption(meters.tokens.id);
    await page.getByText("Waiting for events").waitFor();
    await shows("it is connected once more", page.locator('[data-test="live"]'), "Live: events show as they come in.");
    const chat = (metadata) => ({ name: "chat", external_customer_id: "x", metadata });
    await api.post("/v1/events/ingest", { events: [chat({ tokens: 1 }), chat({}), property("image", 1), chat({ tokens: 2 })] });
    await names.nth(1).waitFor();
    equal("by a meter", await page.locator("table.events tbody td.metadata").allInnerTexts(), ["tokens: 2", "tokens: 1"]);
  });

  await inWindow(browser, server, "a long live tail", async (page, window) => {
    await window.signIn(api.token, "#/events?customer=long-tail&live=1");
    await shows("it is connected", page.locator('[data-test="live"]'), "Live: events show as they come in.");
    const session = await window.context.newCDPSession(page);
    const used = async () => {
      await session.send("HeapProfiler.collectGarbage");
      return (await session.send("Runtime.getHeapUsage")).usedSize / 1e6;
    };
    let sent = 0;
    // Twenty at a time, so that most rows stay from one drawing to the next.
    const feed = async (most) => {
      for (const end = sent + most; sent < end; sent += 20) {
        const events = Array.from({ length: 20 }, (_, at) => ({ name: `event ${sent + at}`, external_customer_id: "long-tail", metadata: { at } }));
        await api.post("/v1/events/ingest", { events });
        await page.getByText(`event ${sent + 19}`, { exact: true }).waitFor();
      }
    };
    await feed(300);
    const before = await used();
    await feed(1500);
    const grown = (await used()) - before;
    check("keeps no more than it shows", grown < 2, `${grown.toFixed(1)} MB more`);
    equal("which is a hundred", await page.locator("table.events tbody tr").count(), 100);
  });

  await inWindow(browser, server, "the way back", async (page, window) => {
    await window.signIn(api.token, "#/customers");
    await window.open("#/events?name=chat");
    await page.locator("table.events tbody button").nth(2).click();
    await page.getByRole("dialog").waitFor();
    await page.goBack();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    check("back closes an opened event", page.url().endsWith("#/events?name=chat"), page.url());
    await page.waitForFunction(() => document.activeElement.closest("tr")?.rowIndex === 3);
    check("the focus is where it was", true);
    await page.goForward();
    await page.getByRole("dialog").waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.goBack();
    await page.getByRole("heading", { name: "Customers" }).waitFor();
    check("closing leaves nothing in the history", true);
  });
}
