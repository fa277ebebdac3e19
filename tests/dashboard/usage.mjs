// The overview, and a meter's chart, table, files and links, compared with the API and with sums of our own.

import { readFileSync } from "node:fs";

import { dayInBerlin, fill, last30Days, sum } from "./data.mjs";
import { check, equal, inWindow, number, shows, ZONE } from "./support.mjs";

const DAY = 86_400_000;

export default async function run(server, browser) {
  const empty = await server.organization("usage-empty");
  const { api, sent, meters, customers } = await fill(server, "usage");

  await inWindow(browser, server, "the first event", async (page, window) => {
    await window.signIn(empty.token);
    await page.getByRole("heading", { name: "Send the first event" }).waitFor();
    for (const language of ["curl", "Python", "JavaScript", "Rust"]) {
      await page.getByRole("button", { name: language, exact: true }).click();
      const lines = await page.locator("pre.code").innerText();
      check(`${language} has the address`, lines.includes(server.url), lines);
    }
    await page.getByRole("button", { name: "Copy the lines" }).click();
    await page.getByText("The lines copied.").waitFor({ timeout: 3000 }).catch(() => {});
    equal("they are copied", await page.evaluate(() => navigator.clipboard.readText()), await page.locator("pre.code").innerText());
    await empty.post("/v1/events/ingest", { events: [{ name: "hello", external_customer_id: "ada" }] });
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await page.getByText("Newest event").waitFor();
    check("it shows once the tab gets the focus", true);
  });

  await inWindow(browser, server, "overview", async (page, window) => {
    await window.signIn(api.token);
    const since = dayInBerlin(Date.now(), 29);
    const expected = sent.filter(({ timestamp }) => Date.parse(timestamp) >= since).length;
    await shows("events of 30 days", page.locator(".figure", { hasText: "Last 30 days" }).locator(".figure-value"), number(expected));
    const hour = 3_600_000;
    const first = Math.floor(Date.now() / hour) * hour - 23 * hour;
    const ofDay = sent.filter(({ timestamp }) => Date.parse(timestamp) >= first).length;
    await shows("events of 24 hours", page.locator(".figure", { hasText: "Last 24 hours" }).locator(".figure-value"), number(ofDay));
    const twice = sent.slice(0, 3);
    await api.post("/v1/events/ingest", { events: twice });
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await shows("events sent twice", page.locator(".figure", { hasText: "Duplicates refused" }).locator(".figure-value"), "3");
    const names = await api.get("/v1/events/names?sorting=-occurrences&limit=8&source=user");
    const rows = page.getByRole("region", { name: "Top event names" }).locator("tbody tr");
    equal(
      "top names",
      await rows.evaluateAll((all) => all.map((row) => [row.cells[0].innerText.trim(), row.cells[1].innerText])),
      names.items.map(({ name, occurrences }) => [name, number(occurrences)]),
    );
    const top = page.getByRole("region", { name: "Top customers of Tokens" });
    const usage = {};
    for (const { external_customer_id: who, metadata } of last30Days(sent, "chat")) usage[who] = (usage[who] ?? 0) + metadata.tokens;
    const order = Object.entries(usage).sort(([, a], [, b]) => b - a);
    await top.waitFor();
    equal(
      "top customers",
      await top.locator("tbody tr").evaluateAll((all) => all.map((row) => [row.cells[0].innerText.trim(), row.cells[1].innerText])),
      order.map(([who, tokens]) => [customers[who]?.name ?? who, number(tokens)]),
    );
  });

  await inWindow(browser, server, "a meter", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meters.tokens.id}`);
    const chats = last30Days(sent, "chat");
    const total = page.locator('[data-test="total"]');
    await shows("total", total, number(sum(chats.map(({ metadata }) => metadata.tokens))));
    const table = page.getByRole("region", { name: "Quantities" });
    await page.getByRole("button", { name: "Show all 30" }).click();
    const shown = await table.locator("tbody tr").evaluateAll((all) => all.map((row) => row.cells[1].innerText));
    const expected = [];
    for (let back = 0; back < 30; back++) {
      const [start, end] = [dayInBerlin(Date.now(), back), back === 0 ? Infinity : dayInBerlin(Date.now(), back - 1)];
      const ofDay = chats.filter(({ timestamp }) => Date.parse(timestamp) >= start && Date.parse(timestamp) < end);
      expected.push(number(sum(ofDay.map(({ metadata }) => metadata.tokens))));
    }
    equal("each day, the newest first", shown, expected);
    equal("there is a chart", await page.locator(".chart canvas").count(), 1);

    const at = expected.findIndex((text) => text !== "0");
    await table.locator("tbody tr").nth(at).getByRole("link").click();
    await page.getByRole("heading", { name: "Events" }).waitFor();
    const start = dayInBerlin(Date.now(), at);
    const ofDay = chats.filter(({ timestamp }) => {
      const back = Date.parse(timestamp) - start;
      return back >= 0 && (at === 0 || Date.parse(timestamp) < dayInBerlin(Date.now(), at - 1));
    });
    await shows("a number leads to its events", page.locator('[data-test="count"]'), number(ofDay.length));
    await page.goBack();
    await page.getByRole("heading", { name: "Tokens", exact: true }).waitFor();
  });

  await inWindow(browser, server, "files, comparison, filters, links", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meters.tokens.id}`);
    const total = page.locator('[data-test="total"]');
    const query = (start, end, rest = "") =>
      api.get(
        `/v1/meters/${meters.tokens.id}/quantities?interval=day&timezone=${ZONE}&start_timestamp=${new Date(start).toISOString()}&end_timestamp=${new Date(end - 1).toISOString()}${rest}`,
      );
    const end = dayInBerlin(Date.now(), -1);
    const now = await query(dayInBerlin(Date.now(), 29), end);

    await page.getByLabel("Compare with the period before").check();
    const before = await query(dayInBerlin(Date.now(), 59), dayInBerlin(Date.now(), 29));
    await page.getByText(`Period before: ${number(before.total)}`).waitFor();

    const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
    equal("its name", csv.suggestedFilename(), "Tokens-by-day.csv");
    const lines = now.quantities.map(({ timestamp, quantity }, index) => {
      const old = before.quantities[index];
      return `${timestamp},${quantity},${old.timestamp},${old.quantity}\r\n`;
    });
    equal("CSV", readFileSync(await csv.path(), "utf8"), `start,quantity,start_before,quantity_before\r\n${lines.join("")}`);
    const [png] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "PNG" }).click()]);
    const picture = readFileSync(await png.path());
    equal("PNG", [png.suggestedFilename(), picture.subarray(1, 4).toString()], ["Tokens-by-day.png", "PNG"]);
    check("it is a picture of the chart's size", picture.readUInt32BE(16) > 600 && picture.length > 4000, picture.length);

    await page.getByText("Customers and metadata").click();
    await page.getByLabel("Customer", { exact: true }).fill("ada");
    const ada = await query(dayInBerlin(Date.now(), 29), end, "&external_customer_id=ada");
    await shows("of one customer", total, number(ada.total));
    await page.getByLabel("Metadata").fill("model=small");
    const small = await query(dayInBerlin(Date.now(), 29), end, "&external_customer_id=ada&metadata[model]=small");
    await shows("and one model", total, number(small.total));
    await page.getByLabel("Customer", { exact: true }).fill("");
    await page.getByLabel("Metadata").fill("");
    await page.getByLabel("By customer first").selectOption("max");
    const most = await query(dayInBerlin(Date.now(), 29), end, "&customer_aggregation_function=max");
    await shows("the greatest customer of each day", total, number(most.total));
    await page.getByLabel("By customer first").selectOption("");

    await page.getByLabel("Range").selectOption("7d");
    await page.getByLabel("Interval").selectOption("hour");
    await page.getByRole("button", { name: "Line" }).click();
    await page.getByText("Show all 168").waitFor();
    const link = page.url();
    const seen = await total.innerText();
    const other = await window.context.newPage();
    await other.goto(link);
    await other.getByLabel("Token").fill(api.token);
    await other.getByRole("button", { name: "Sign in" }).click();
    await other.getByText("Show all 168").waitFor();
    equal("a link opens the same view", [await other.locator('[data-test="total"]').innerText(), await other.getByLabel("Interval").inputValue()], [seen, "hour"]);
    equal("its chart too", await other.getByRole("button", { name: "Line" }).getAttribute("aria-pressed"), "true");

    const from = new Date(Date.now() - 20 * DAY).toISOString().slice(0, 10);
    await page.getByLabel("Range").selectOption("custom");
    await page.getByLabel("First day").fill(from);
    await page.getByLabel("Last day").fill("2023-01-01");
    await page.getByText("The last day is before the first.").waitFor();
    await page.getByLabel("First day").fill("2022-12-01");
    await page.getByLabel("Last day").fill("2022-12-05");
    await page.getByText("Input should be greater than or equal to 2023-01-01").first().waitFor();
    check("the server's word on a range is shown", true);

    await page.getByLabel("Time zone").selectOption("UTC");
    await page.getByLabel("Range").selectOption("30d");
    await page.getByRole("columnheader", { name: "Day (UTC)" }).waitFor();
    check("the zone stands in the address", page.url().includes("timezone=UTC"));
  });

  await inWindow(browser, server, "top customers of a meter", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meters.chats.id}`);
    const counts = {};
    for (const { external_customer_id: who } of last30Days(sent, "chat")) counts[who] = (counts[who] ?? 0) + 1;
    const region = page.getByRole("region", { name: "Top customers of Chats" });
    await region.waitFor();
    const shown = await region.locator("tbody tr").evaluateAll((all) => all.map((row) => [row.cells[0].innerText.trim(), row.cells[1].innerText]));
    const byName = (rows) => [...rows].sort(([a], [b]) => a.localeCompare(b));
    equal("each with its count", byName(shown), byName(Object.entries(counts).map(([who, count]) => [customers[who]?.name ?? who, number(count)])));
    await region.getByRole("link", { name: "Ada" }).click();
    await page.getByRole("heading", { name: "Ada", exact: true }).waitFor();
  });
}
