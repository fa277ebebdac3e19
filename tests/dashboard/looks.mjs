// Every view in both themes and three widths: axe finds nothing, nothing is wider than the page, the keyboard gets
// everywhere. With FLOE_SCREENSHOTS, a picture of each.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { fill } from "./data.mjs";
import { axeSource, check, equal, inWindow } from "./support.mjs";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const WIDTHS = [360, 820, 1440];
const folder = process.env.FLOE_SCREENSHOTS;

/** As an extension would, since the page's policy lets no script in. */
async function axe(page, window) {
  if (!(await page.evaluate(() => "axe" in globalThis))) {
    const session = await window.context.newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: readFileSync(axeSource, "utf8") });
    await session.detach();
  }
  const found = await page.evaluate((rules) => globalThis.axe.run(document, { runOnly: rules }), RULES);
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`);
}

async function settled(page) {
  await page.waitForFunction(() => document.querySelector("[aria-busy=true], .loading, .toast") === null);
  // What fades in or is turned towards is not measured halfway.
  await page.waitForTimeout(350);
}

export default async function run(server, browser) {
  const { api, meters, customers } = await fill(server, "looks");
  const { items } = await api.get("/v1/events/?limit=1&name=chat");
  const views = {
    overview: "",
    meters: "meters",
    meter: `meters/${meters.tokens.id}?compare=1`,
    builder: "meters/new",
    locked: `meters/${meters.tokens.id}/edit`,
    events: "events",
    event: `events?event=${items[0].id}`,
    live: "events?live=1",
    customers: "customers",
    customer: `customers/${customers.ada.id}`,
    tokens: "tokens",
    organizations: "organizations",
    system: "system",
    nothing: "events?name=nothing",
  };
  if (folder) mkdirSync(folder, { recursive: true });

  for (const theme of ["light", "dark"]) {
    for (const width of WIDTHS) {
      // What changes with the theme changes at any width.
      if (theme === "dark" && width === 820) continue;
      await inWindow(
        browser,
        server,
        `${theme}, ${width} px`,
        async (page, window) => {
          await page.goto(server.url);
          await page.getByRole("heading", { name: "Sign in" }).waitFor();
          // Contrast and structure do not depend on the width, but for what a phone hides.
          const isLooked = width === 1440 || (width === 360 && theme === "light");
          const look = async (name) => {
            if (isLooked) equal(`axe: ${name}`, await axe(page, window), []);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            check(`${name} is not wider than the page`, wide <= 0, wide);
            const inDialog = await page.evaluate(() => Math.max(0, ...[...document.querySelectorAll("dialog")].map((one) => one.scrollWidth - one.clientWidth)));
            equal(`nor its dialog: ${name}`, inDialog, 0);
            // What can be done is not somewhere to the right.
            const hidden = await page.locator("main .actions").evaluateAll((all) =>
              all.filter((cell) => cell.getBoundingClientRect().right > cell.closest(".table-box").getBoundingClientRect().right + 1).length,
            );
            equal(`${name}: what can be done is in sight`, hidden, 0);
            if (folder) await page.screenshot({ path: join(folder, `${name}-${theme}-${width}.png`) });
          };
          await look("sign-in");
          await window.signIn(server.rootToken, "#/?organization=looks");
          for (const [name, path] of Object.entries(views)) {
            await window.open(`#/${path}${path.includes("?") ? "&" : "?"}organization=looks`);
            await settled(page);
            await look(name);
          }
          await window.open("#/tokens?organization=looks");
          await page.getByRole("button", { name: "New token" }).click();
          await look("dialog");
        },
        { theme, width, height: width === 360 ? 800 : 900 },
      );
    }
  }

  await inWindow(browser, server, "keyboard", async (page, window) => {
    await window.signIn(api.token);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.getByRole("region", { name: "Top event names" }).waitFor();
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("Tab");
    equal("the first stop skips the navigation", await page.evaluate(() => document.activeElement.innerText), "To the content");
    const outlines = [];
    for (let stops = 0; stops < 12; stops++) {
      await page.keyboard.press("Tab");
      outlines.push(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle));
    }
    check("the focus is seen everywhere", outlines.every((style) => style !== "none"), outlines.join(" "));
    await page.getByRole("link", { name: "Meters" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Meters" }).waitFor();
    await page.waitForFunction(() => document.activeElement.tagName === "H1");
    equal("a new view is read out from its head", await page.evaluate(() => document.activeElement.innerText), "Meters");
    equal("the tab is named after it", await page.title(), "Meters · Floe");
    await page.getByRole("link", { name: "Tokens", exact: true }).nth(1).focus();
    await page.keyboard.press("Enter");
    await page.locator(".chart-place").waitFor();
    equal("also once it is loaded", await page.evaluate(() => [document.activeElement.tagName, document.activeElement.innerText]), ["H1", "Tokens"]);
    const chart = page.locator(".chart-place");
    await chart.focus();
    await page.keyboard.press("End");
    const table = page.getByRole("region", { name: "Quantities" }).locator("tbody tr");
    const [day, tokens] = await table.nth(1).locator("td").allInnerTexts();
    await page.keyboard.press("ArrowLeft");
    equal("keys read a chart point by point", await chart.getAttribute("aria-valuetext"), `${day}: ${tokens} tokens`);
    check("and it is seen", (await page.locator(".chart figcaption").innerText()).startsWith(tokens));
    await page.keyboard.press("Escape");
    check("until it is left", (await page.locator(".chart figcaption").innerText()).startsWith("Times in"));
  });

  await inWindow(browser, server, "the theme is a choice", async (page, window) => {
    await window.signIn(api.token);
    const dark = () => page.evaluate(() => document.documentElement.dataset.theme);
    equal("the system's at first", await dark(), "light");
    await page.getByLabel("Theme").selectOption("dark");
    equal("dark", await dark(), "dark");
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    equal("it is kept", await dark(), "dark");
  });
}
