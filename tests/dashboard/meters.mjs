// The list of meters, archiving, and what another tab changed.

import { fill, last30Days, named, sum } from "./data.mjs";
import { check, equal, inWindow, number } from "./support.mjs";

export default async function run(server, browser) {
  const { api, sent, meters } = await fill(server, "meters");
  const titles = (page) => page.locator("tbody .row-title").allInnerTexts();

  await inWindow(browser, server, "the list", async (page, window) => {
    await window.signIn(api.token, "#/meters");
    await page.getByRole("region", { name: "Meters" }).waitFor();
    equal("by name", await titles(page), ["Chats", "Longest image", "Tokens"]);
    const chats = last30Days(sent, "chat");
    const longest = Math.max(...last30Days(sent, "image").map(({ metadata }) => metadata.seconds));
    const expected = [number(chats.length), `${number(longest)} s`, `${number(sum(chats.map(({ metadata }) => metadata.tokens)))} tokens`];
    await page.waitForFunction(() => [...document.querySelectorAll("tbody td.number")].every((cell) => cell.innerText !== "…"));
    equal("totals of 30 days", (await page.locator("tbody td.number").allInnerTexts()).map((text) => text.trim()), expected);
    equal("each with a line", await page.locator(".sparkline").count(), 3);

    await page.getByLabel("Order").selectOption("-name");
    await page.waitForFunction(() => document.querySelector("tbody .row-title")?.innerText === "Tokens");
    equal("backwards", await titles(page), ["Tokens", "Longest image", "Chats"]);
    await page.getByLabel("Search").fill("long");
    await page.waitForFunction(() => document.querySelectorAll("tbody .row-title").length === 1);
    equal("searched", await titles(page), ["Longest image"]);
    check("the search stands in the address", page.url().includes("query=long"));
    await page.getByLabel("Search").fill("nothing like this");
    await page.getByText("No meter is like that").waitFor();
  });

  await inWindow(browser, server, "archived and used again", async (page, window) => {
    await window.signIn(api.token, `#/meters/${meters.longest.id}`);
    await page.getByRole("button", { name: "Archive" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    equal("only once it is confirmed", (await api.get(`/v1/meters/${meters.longest.id}`)).archived_at, null);
    await page.getByRole("button", { name: "Archive" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Archive" }).click();
    await page.getByRole("button", { name: "Use again" }).waitFor();
    check("it is archived", (await api.get(`/v1/meters/${meters.longest.id}`)).archived_at !== null);
    await window.open("#/meters");
    await page.getByRole("region", { name: "Meters" }).waitFor();
    equal("it is not listed", await titles(page), ["Chats", "Tokens"]);
    await page.getByLabel("Show").selectOption("archived");
    await page.waitForFunction(() => document.querySelectorAll("tbody .row-title").length === 1);
    equal("but among the archived", await titles(page), ["Longest image"]);
    await page.getByRole("link", { name: "Longest image" }).click();
    await page.getByRole("button", { name: "Use again" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Use again" }).click();
    await page.getByRole("button", { name: "Archive" }).waitFor();
    equal("it is in use", (await api.get(`/v1/meters/${meters.longest.id}`)).archived_at, null);
  });

  await inWindow(browser, server, "a change elsewhere shows when the tab gets the focus", async (page, window) => {
    await window.signIn(api.token, "#/meters");
    await page.getByRole("region", { name: "Meters" }).waitFor();
    const made = await api.post("/v1/meters/", { name: "Another one", filter: named("chat"), aggregation: { func: "count" } });
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await page.getByRole("link", { name: "Another one" }).waitFor();
    check("it shows", true);
    await api.patch(`/v1/meters/${made.id}`, { is_archived: true });
  });

  await inWindow(browser, server, "pages of a long list", async (page, window) => {
    const many = await server.organization("meters-many");
    for (let count = 10; count < 35; count++) {
      await many.post("/v1/meters/", { name: `Meter ${count}`, filter: named("x"), aggregation: { func: "count" } });
    }
    await window.signIn(many.token, "#/meters");
    await page.getByText("Page 1 of 2").waitFor();
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("Page 2 of 2").waitFor();
    await page.getByRole("link", { name: "Meter 34" }).waitFor();
    equal("the last page", await titles(page), ["Meter 30", "Meter 31", "Meter 32", "Meter 33", "Meter 34"]);
    await page.goBack();
    await page.getByText("Page 1 of 2").waitFor();
  });
}
