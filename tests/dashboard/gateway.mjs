// The page behind a proxy, as most see it: a server that the proxy does not reach, one that has too much to do, one that
// is slow, and a clock that is not the server's.

import { createServer, request } from "node:http";

import { fill } from "./data.mjs";
import { check, equal, inWindow, number, shows } from "./support.mjs";

/** A proxy of the server, that answers by itself what `proxy.answer` says of a path. */
async function startProxy(server) {
  const { hostname, port } = new URL(server.url);
  const proxy = { answer: () => null };
  const listener = createServer(async (asked, answer) => {
    const own = asked.url.startsWith("/v1/") || asked.url === "/healthz" ? proxy.answer(asked.url) : null;
    if (own?.wait) await new Promise((resolve) => setTimeout(resolve, own.wait));
    if (own?.status) {
      answer.writeHead(own.status, { "Content-Type": own.type });
      answer.end(own.body);
      return;
    }
    const passed = request({ hostname, port, path: asked.url, method: asked.method, headers: asked.headers }, (from) => {
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${listener.address().port}`;
  proxy.stop = () => {
    listener.close();
    listener.closeAllConnections();
  };
  return proxy;
}

const UNREACHED = { status: 502, type: "text/html", body: "<h1>502 Bad Gateway</h1>" };
const BUSY = { status: 503, type: "application/json", body: `{"error":"ServiceUnavailable","detail":"Too busy just now."}` };

export default async function run(server, browser) {
  const { api, sent } = await fill(server, "gateway");
  const proxy = await startProxy(server);
  const proxied = { ...server, url: proxy.url };
  const returned = (page) => page.evaluate(() => dispatchEvent(new Event("focus")));
  const banner = (page) => page.getByText("The server does not answer.", { exact: true });
  try {
    await inWindow(browser, proxied, "a proxy that does not reach the server", async (page, window) => {
      await window.signIn(api.token, "#/customers");
      await page.getByRole("region", { name: "Customers" }).waitFor();
      await page.waitForTimeout(1100);
      proxy.answer = () => UNREACHED;
      await returned(page);
      await banner(page).waitFor();
      check("what was loaded stays", (await page.locator("tbody .row-title").count()) === 3);
      proxy.answer = () => null;
      await banner(page).waitFor({ state: "detached", timeout: 20_000 });
      check("it goes on by itself", (await page.locator("tbody .row-title").count()) === 3);
    });

    await inWindow(browser, proxied, "a reload meanwhile", async (page) => {
      await page.goto(proxy.url);
      await page.getByLabel("Token").fill(api.token);
      await page.getByLabel("Keep me signed in until this tab is closed").check();
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      proxy.answer = () => UNREACHED;
      await page.reload();
      await banner(page).waitFor();
      equal("nobody is asked for the token again", await page.getByLabel("Token").count(), 0);
      proxy.answer = () => null;
      await page.getByRole("heading", { name: "Overview" }).waitFor({ timeout: 20_000 });
      check("the session goes on", true);
    });

    await inWindow(browser, proxied, "a server that has too much to do", async (page, window) => {
      await window.signIn(api.token, "#/customers");
      await page.getByRole("region", { name: "Customers" }).waitFor();
      await page.waitForTimeout(1100);
      proxy.answer = (path) => (path.startsWith("/v1/customers") ? BUSY : null);
      await returned(page);
      await page.getByText("Too busy just now.").waitFor();
      check("what was loaded stays, and is said to be old", (await page.getByText("This may be old.").count()) === 1 && (await page.locator("tbody .row-title").count()) === 3);
      equal("no banner: it does answer", await banner(page).count(), 0);
      proxy.answer = () => null;
      await page.getByRole("button", { name: "Try again" }).click();
      await page.getByText("Too busy just now.").waitFor({ state: "detached" });
    });

    await inWindow(browser, proxied, "answers that come late", async (page, window) => {
      await window.signIn(api.token, "#/events?source=user");
      const count = page.locator('[data-test="count"]');
      await shows("all", count, number(sent.length));
      // The answer to the question that was given up comes after that to the next.
      proxy.answer = (path) => (path.includes("name=chat") ? { wait: 1500 } : null);
      await page.getByLabel("Name", { exact: true }).fill("chat");
      await page.waitForURL(/name=chat/);
      await page.getByLabel("Name", { exact: true }).fill("image");
      const images = sent.filter(({ name }) => name === "image").length;
      await shows("the question that stands", count, number(images));
      await page.waitForTimeout(2000);
      await shows("is the one that is answered", count, number(images));
      proxy.answer = (path) => (path.startsWith("/v1/meters/") ? { wait: 1500 } : null);
      await page.getByRole("link", { name: "Meters", exact: true }).click();
      await page.getByText("Loading…").waitFor();
      await page.getByRole("region", { name: "Meters" }).waitFor();
      check("meanwhile it is said to be loading", true);
      proxy.answer = () => null;
    });
  } finally {
    proxy.stop();
  }

  await inWindow(browser, server, "a viewer's clock that is wrong", async (page, window) => {
    await page.addInitScript(() => {
      const Real = Date;
      const ahead = 5 * 3_600_000;
      globalThis.Date = class extends Real {
        constructor(...given) {
          super(...(given.length === 0 ? [Real.now() + ahead] : given));
        }
        static now() {
          return Real.now() + ahead;
        }
      };
    });
    await api.post("/v1/events/ingest", { events: [{ name: "just now", external_customer_id: "ada" }] });
    await window.signIn(api.token);
    const figure = (label) => page.locator(".figure", { hasText: label }).locator(".figure-value");
    await shows("the last minute is the server's", figure("Right now"), "1");
    const age = await figure("Newest event").innerText();
    check("and so is how long ago", /second|now/.test(age), age);
  });
}
