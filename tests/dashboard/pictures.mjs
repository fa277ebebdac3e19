// The pictures of docs/dashboard: a small company's usage, as its people would see it.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { named, numbers } from "./data.mjs";
import { inWindow } from "./support.mjs";

const DAY = 86_400_000;
const PEOPLE = {
  ada: "Ada Lovelace",
  grace: "Grace Hopper",
  margaret: "Margaret Hamilton",
  barbara: "Barbara Liskov",
  radia: "Radia Perlman",
  karen: "Karen Spärck Jones",
  frances: "Frances Allen",
};

function usage(now) {
  const next = numbers(7);
  const people = Object.keys(PEOPLE);
  const all = [];
  for (let day = 59; day >= 0; day--) {
    const many = 30 + Math.round(18 * Math.sin(day / 1.1) + (59 - day) / 2) + next(25);
    for (let count = 0; count < many; count++) {
      // More by day than by night, and more by some than by others.
      const who = people[Math.min(next(people.length), next(people.length))];
      const at = now - day * DAY - Math.round((DAY * (next(1000) + next(1000))) / 2100) - count;
      const kind = next(10);
      const event = (name, metadata) => ({ name, external_customer_id: who, timestamp: new Date(at).toISOString(), metadata });
      if (kind < 6) {
        all.push(event("chat.completed", { model: next(3) === 0 ? "large-3" : "small-3", tokens: 40 + next(1800), cached: next(3) === 0 }));
      } else if (kind < 8) all.push(event("image.generated", { model: "vision-1", seconds: 1 + next(90) / 10, width: 1024 }));
      else all.push(event("storage.measured", { gigabytes: next(5000) / 1000, region: next(2) === 0 ? "eu" : "us" }));
    }
  }
  return all;
}

const METERS = [
  { name: "Chat tokens", unit: "token", filter: named("chat.completed"), aggregation: { func: "sum", property: "tokens" } },
  { name: "Chats", filter: named("chat.completed"), aggregation: { func: "count" } },
  { name: "Images", filter: named("image.generated"), aggregation: { func: "count" } },
  { name: "Image seconds", unit: "custom", custom_label: "s", filter: named("image.generated"), aggregation: { func: "sum", property: "seconds" } },
  { name: "Storage", unit: "custom", custom_label: "GB", filter: named("storage.measured"), aggregation: { func: "sum", property: "gigabytes" } },
];

export default async function run(server, browser, folder) {
  const api = await server.organization("acme", "Acme");
  await api.post("/v1/events/ingest", { events: usage(Date.now() - 60_000) });
  const meters = [];
  for (const body of METERS) meters.push(await api.post("/v1/meters/", body));
  const customers = {};
  for (const [id, name] of Object.entries(PEOPLE)) {
    customers[id] = await api.post("/v1/customers/", { email: `${id}@example.com`, name, external_id: id });
    const { items } = await api.get(`/v1/customer-meters/?customer_id=${customers[id].id}&limit=100`);
    for (const { id: row, consumed_units: used } of items) {
      await api.post(`/v1/customer-meters/${row}/credits`, { units: Math.ceil((used * 1.4) / 100) * 100 });
    }
  }
  const event = await api.get("/v1/events/?name=chat.completed&external_customer_id=ada&limit=1");
  const pictures = [
    ["overview", "#/?interval=day"],
    ["meter", `#/meters/${meters[0].id}?compare=1`],
    ["builder", "#/meters/new"],
    ["event", `#/events?source=user&event=${event.items[0].id}`],
    ["customer", `#/customers/${customers.ada.id}?meter=${meters[0].id}`, { theme: "dark" }],
    ["phone", `#/meters/${meters[0].id}?chart=line`, { width: 390, height: 780 }],
  ];
  mkdirSync(folder, { recursive: true });
  for (const [name, hash, options = {}] of pictures) {
    const size = { width: 1280, height: 800, ...options };
    await inWindow(browser, server, `picture of ${name}`, async (page, window) => {
      await window.signIn(api.token, hash);
      if (name === "builder") {
        await page.getByLabel("Name", { exact: true }).fill("Uncached tokens");
        await page.getByRole("button", { name: "chat.completed" }).click();
        await page.getByRole("button", { name: "Add a condition" }).click();
        await page.getByRole("group", { name: "Condition 2" }).getByLabel("Property").fill("cached");
        await page.getByRole("group", { name: "Condition 2" }).getByLabel("Value").selectOption("false");
        await page.waitForTimeout(1000);
      }
      await page.waitForTimeout(500);
      await page.waitForFunction(() => document.querySelector("[aria-busy=true], .loading") === null);
      await page.evaluate(() => document.activeElement?.blur());
      // The condition that leaves an event out is marked.
      if (name === "builder") await page.locator("tr.misses").first().hover();
      await page.waitForTimeout(500);
      await page.screenshot({ path: join(folder, `${name}.png`) });
    }, size);
  }
}
