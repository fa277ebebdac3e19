// What is rare and must not mislead: numbers that are huge, tiny or long, ids that look like other ids, a thousand meters,
// texts that turn the direction of writing, links to what is not there.

import { readFileSync } from "node:fs";

import { named } from "./data.mjs";
import { check, equal, inWindow, shows } from "./support.mjs";

const all = { conjunction: "and", clauses: [] };
const RLO = "\u202e";

export default async function run(server, browser) {
  await numbers(server, browser);
  await selections(server, browser);
  await manyMeters(server, browser);
  await directions(server, browser);
  await links(server, browser);
}

async function numbers(server, browser) {
  const api = await server.organization("numbers");
  const events = [
    { name: "tiny", metadata: { n: 0.00000015 } },
    { name: "huge", metadata: { n: 1e300 } },
    { name: "negative", metadata: { n: -1e20 } },
  ];
  await api.post("/v1/events/ingest", { events: events.map((event) => ({ ...event, external_customer_id: "ada" })) });
  const meters = {};
  for (const { name } of events) {
    meters[name] = await api.post("/v1/meters/", { name: `${name} sum`, filter: named(name), aggregation: { func: "sum", property: "n" } });
  }
  const most = await api.post("/v1/meters/", { name: "Most", filter: all, aggregation: { func: "max", property: "n" } });

  await inWindow(browser, server, "numbers", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meters.tiny.id}`);
    const total = page.locator('[data-test="total"]');
    await shows("what is tiny is not nothing", total, "0.00000015");
    await window.open(`#/meters/${meters.huge.id}`);
    await shows("what is huge is short", total, "1E300");
    equal("there is a chart", await page.locator(".chart canvas").count(), 1);
    await window.open(`#/meters/${meters.negative.id}`);
    await shows("negative", total, "-100,000,000,000,000,000,000");
    const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
    const lines = readFileSync(await csv.path(), "utf8").trimEnd().split("\r\n");
    equal("a negative number is one in the file too", Number(lines.at(-1).split(",")[1]), -1e20);
    await window.open(`#/meters/${most.id}`);
    await page.getByRole("heading", { name: "Maximum", exact: true }).waitFor();
    check("a maximum is not called a total", (await page.getByRole("heading", { name: "Total", exact: true }).count()) === 0);
  });
}

async function selections(server, browser) {
  const api = await server.organization("selections");
  const people = ["5f0c0a3e-0d3c-4a54-8a3f-1f4b7f0a9d11", "0190163d-8694-739b-aea5-966c26f8ad91", "plain"];
  const event = (who, metadata) => ({ name: "use", external_customer_id: who, metadata });
  await api.post("/v1/events/ingest", {
    events: [...people.map((who) => event(who, { mail: "a+b@x.com", "100%": "50%" })), event("plain", { mail: "a b@x.com" })],
  });
  const meter = await api.post("/v1/meters/", { name: "Uses", filter: all, aggregation: { func: "count" } });

  await inWindow(browser, server, "selections", async (page, window) => {
    const count = page.locator('[data-test="count"]');
    await window.signIn(api.token, "#/events");
    await shows("all", count, "4");
    for (const who of people.slice(0, 2)) {
      await page.getByLabel("Customer").fill(who);
      await shows(`an external id that looks like an id: ${who}`, count, "1");
      await window.open(`#/meters/${meter.id}?customer=${who}`);
      await shows("on a meter too", page.locator('[data-test="total"]'), "1");
      await window.open("#/events");
      await shows("all again", count, "4");
    }
    await page.getByLabel("Property").fill("mail=a+b@x.com");
    await shows("a plus is a plus", count, "3");
    await page.getByLabel("Property").fill("100%=50%");
    await shows("a percent sign too", count, "3");
    await page.getByLabel("Property").fill("a]=5");
    await page.getByText("Keys with ] in them cannot be asked for.").waitFor();
  });
}

async function manyMeters(server, browser) {
  const api = await server.organization("many-meters");
  await api.post("/v1/events/ingest", { events: [{ name: "use", external_customer_id: "ada", metadata: { n: 7 } }] });
  const made = [];
  for (let at = 0; at < 130; at++) {
    const body = { name: `Meter ${String(at).padStart(3, "0")}`, filter: named("use"), aggregation: { func: "sum", property: "n" } };
    made.push(await api.post("/v1/meters/", body));
  }
  const { items } = await api.get("/v1/events/?limit=1");

  await inWindow(browser, server, "more than a hundred meters", async (page, window) => {
    await window.signIn(api.token, `#/events?event=${items[0].id}`);
    const dialog = page.getByRole("dialog");
    const rows = dialog.getByRole("region", { name: "Meters that count the event" }).locator("tbody tr");
    await rows.nth(19).waitFor();
    await shows("all of them count it", dialog.locator('[data-test="count"]'), "130");
    for (let next = 2; next <= 7; next++) {
      await dialog.getByRole("button", { name: "Next" }).click();
      await dialog.getByText(`Page ${next} of 7`).waitFor();
    }
    await rows.getByText("Meter 129").waitFor();
    equal("the last with its value", await rows.last().evaluate((row) => [row.cells[0].innerText.trim(), row.cells[2].innerText]), ["Meter 129", "7"]);
    await page.keyboard.press("Escape");
    await page.getByLabel("Counted by").selectOption(made[129].id);
    await shows("the last can be chosen", page.locator('[data-test="count"]'), "1");
    await window.open("#/");
    await page.getByLabel("Meter", { exact: true }).selectOption(made[129].id);
    await page.getByRole("region", { name: "Top customers of Meter 129" }).getByText("ada").waitFor();
  });
}

async function directions(server, browser) {
  const api = await server.organization("directions");
  await api.post("/v1/events/ingest", { events: [{ name: `${RLO}use`, external_customer_id: "ada", metadata: { [`k${RLO}`]: `${RLO}v`, rest: 1 } }] });
  const filter = { conjunction: "and", clauses: [{ property: "name", operator: "eq", value: `${RLO}use` }] };
  const meter = await api.post("/v1/meters/", { name: `${RLO}turned`, filter, aggregation: { func: "count" } });
  await inWindow(browser, server, "texts that turn the direction", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meter.id}`);
    await shows("a filter is read in one direction", page.locator(".lead"), String.raw`Count of events, where name is "\u202euse"`);
    await window.open("#/events");
    await shows("so is metadata", page.locator("td.metadata"), String.raw`k\u202e: \u202ev · rest: 1`);
    await page.locator("table.events tbody button").click();
    const json = await page.getByLabel("JSON of the event").innerText();
    check("JSON too", !json.includes(RLO) && JSON.parse(json).name === `${RLO}use`, json);
    await page.keyboard.press("Escape");
    await api.post("/v1/events/ingest", { events: [{ name: " ", external_customer_id: "  " }] });
    await window.open("#/events?name=%20");
    await shows("a name of spaces can be seen", page.locator("td.name"), '" "');
    await window.open(`#/meters/${meter.id}/edit`);
    await page.getByRole("heading", { name: String.raw`Edit \u202eturned` }).waitFor();
    check("and a title", true);
  });
}

async function links(server, browser) {
  const api = await server.organization("links");
  await api.post("/v1/events/ingest", { events: [{ name: "use", external_customer_id: "ada" }] });
  await inWindow(browser, server, "links to what is not there", async (page, window) => {
    await window.signIn(server.rootToken, "#/events?organization=no-such-one");
    await page.getByRole("heading", { name: "There is no such organization" }).waitFor();
    equal("no other's events are shown instead", await page.locator("table").count(), 0);
    await page.getByLabel("Organization").selectOption("links");
    await page.getByRole("region", { name: "Events" }).waitFor();
    await window.open("#/events?organization=links&page=7");
    await page.getByText("There are no events on this page").waitFor();
    await page.getByRole("button", { name: "To the first page" }).click();
    await page.getByRole("region", { name: "Events" }).waitFor();
    await window.open("#/events?organization=links&page=-1");
    await page.getByRole("region", { name: "Events" }).waitFor();
    await window.open("#/no/such/page?organization=links");
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    equal("the tab says so", await page.title(), "There is no such page · Floe");
  });
  await inWindow(browser, server, "a link of the root token", async (page, window) => {
    await window.signIn(server.rootToken);
    await page.waitForURL(/organization=/);
    check("says whose view it is", true);
  });
}
