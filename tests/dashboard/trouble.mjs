// A server that stops and comes back; names that try to be more than names.

import { named } from "./data.mjs";
import { check, equal, inWindow, shows } from "./support.mjs";

const HOSTILE = [
  `<img src=x onerror="alert(1)">`,
  `"><script>alert(2)</script>`,
  "\u202eمرحبا بالعالم",
  "🧊🚀👩‍👩‍👧‍👦 ünïcode",
  "javascript:alert(3)",
  "${alert(4)} {{alert(5)}}",
];

export default async function run(server, browser) {
  const api = await server.organization("trouble", HOSTILE[0]);
  const long = "w".repeat(500);
  const hostile = [...HOSTILE, "w".repeat(128)];
  await api.post("/v1/events/ingest", {
    events: hostile.map((name) => ({ name, external_customer_id: `${name}-id`, metadata: { [name]: name, long, tokens: 3 } })),
  });
  for (const [at, name] of hostile.entries()) {
    await api.post("/v1/meters/", { name: `${name} meter`, unit: "custom", custom_label: name, filter: named(name), aggregation: { func: "sum", property: "tokens" } });
    await api.post("/v1/customers/", { email: `hostile-${at}@example.com`, name, external_id: `${name}-id` });
  }
  await api.post("/v1/customers/", { email: "long@example.com", name: "w".repeat(256), external_id: long });

  await inWindow(browser, server, "hostile names", async (page, window) => {
    await window.signIn(server.rootToken, "#/?organization=trouble");
    const { items: meters } = await api.get("/v1/meters/?limit=100");
    const { items: customers } = await api.get("/v1/customers/?limit=100");
    const { items: events } = await api.get("/v1/events/?limit=100&source=user");
    const views = {
      "": "Top event names",
      meters: "In all",
      events: "Metadata",
      customers: "First usage",
      organizations: "Slug",
      tokens: "Scopes",
      "meters/new": "What it would count",
    };
    const views2 = Object.entries(views).map(([path, text]) => [path, text]);
    for (const { id } of meters) views2.push([`meters/${id}`, "Total"]);
    for (const { id } of customers.slice(0, 3)) views2.push([`customers/${id}`, "Newest events"]);
    for (const [path, text] of views2) {
      await window.open(`#/${path}?organization=trouble`);
      await page.getByText(text).first().waitFor();
      await page.waitForFunction(() => document.querySelector("[aria-busy=true], .loading") === null);
      const foreign = await page.evaluate(() => document.querySelectorAll("main img, main script, main iframe, main b, [onerror], [style*=url]").length);
      equal(`/${path}: no markup comes of it`, foreign, 0);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(`/${path}: it stays in the page`, wide <= 0, wide);
    }
    await window.open("#/events?organization=trouble&source=user");
    const names = page.locator("td.name");
    await names.nth(hostile.length - 1).waitFor();
    const shown = (await names.allInnerTexts()).map((text) => text.trim());
    for (const name of HOSTILE) check(`${name} is shown as it is`, shown.includes(name), shown.join(" | "));
    for (const event of events.slice(0, 2)) {
      await window.open(`#/events?organization=trouble&event=${event.id}`);
      const json = page.getByLabel("JSON of the event");
      await json.waitFor();
      equal("500 characters are all in the JSON", JSON.parse(await json.innerText()).metadata.long, long);
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
  });

  await inWindow(browser, server, "a server that stops", async (page, window) => {
    await window.signIn(server.rootToken, "#/meters?organization=trouble");
    await page.getByRole("region", { name: "Meters" }).waitFor();
    await server.stop();
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    const banner = page.getByText("The server does not answer.", { exact: true });
    await banner.waitFor();
    check("what was loaded stays", (await page.locator("tbody .row-title").count()) > 0);
    await page.getByRole("link", { name: "Customers" }).click();
    await page.getByText("This could not be loaded.").waitFor();
    await server.start();
    await banner.waitFor({ state: "detached", timeout: 20_000 });
    await page.getByRole("region", { name: "Customers" }).waitFor();
    check("it goes on by itself", true);
  });

  await inWindow(browser, server, "the live tail of a server that stops", async (page, window) => {
    await window.signIn(api.token, "#/events?customer=tail&live=1");
    const live = page.locator('[data-test="live"]');
    const send = (name) => api.post("/v1/events/ingest", { events: [{ name, external_customer_id: "tail" }] });
    const names = page.locator("table.events tbody td.name");
    await shows("it is connected", live, "Live: events show as they come in.");
    await send("before");
    await names.first().waitFor();
    await server.stop();
    await shows("it says so", live, "The stream broke off. Trying again…");
    await server.start();
    await send("meanwhile");
    await shows("it goes on", live, "Live: events show as they come in.");
    await names.nth(1).waitFor();
    equal("nothing is missing", await names.allInnerTexts(), ["meanwhile", "before"]);
  });

  await inWindow(browser, server, "signing in while the server is away", async (page) => {
    await page.goto(server.url);
    await server.stop();
    await page.getByLabel("Token").fill(api.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await shows("it says so", page.locator(".field-error"), "The server does not answer.");
    await server.start();
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  });
}
