// A server of the tests' own, an API client that expects answers, windows that watch what the page does, and counted
// checks.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, isDeepStrictEqual } from "node:util";

const installed = createRequire(join(process.env.FLOE_NODE_PREFIX, "package.json"));
const { chromium } = installed("playwright-core");
export const axeSource = installed.resolve("axe-core/axe.min.js");

export const LOCALE = "en-GB";
export const ZONE = "Europe/Berlin";
const WAIT_MS = 15_000;

let passed = 0;
let failed = 0;
let where = "";

export function check(what, holds, detail = "") {
  if (holds) passed++;
  else {
    failed++;
    console.log(`FAIL ${where} / ${what} ${detail}`);
  }
}

export function equal(what, actual, expected) {
  const show = (value) => inspect(value, { depth: 6, breakLength: 140 });
  check(what, isDeepStrictEqual(actual, expected), `\n     got      ${show(actual)}\n     expected ${show(expected)}`);
}

export function finish() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

async function freePort() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** A fresh server, which can be stopped and started again on the same folder and port. */
export async function startServer() {
  const folder = mkdtempSync(join(tmpdir(), "floe-dashboard-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const rootToken = `root-${crypto.randomUUID()}`;
  let child = null;
  let log = "";

  const server = {
    url,
    rootToken,
    async start() {
      child = spawn(process.env.FLOE_BIN, ["serve", "--data", join(folder, "data"), "--listen", `127.0.0.1:${port}`], {
        env: { ...process.env, FLOE_ROOT_TOKEN: rootToken },
        stdio: ["ignore", "ignore", "pipe"],
      });
      child.stderr.on("data", (text) => (log += text));
      for (let tries = 0; ; tries++) {
        const answer = await fetch(`${url}/healthz`).catch(() => null);
        if (answer?.ok) return;
        if (tries === 200 || child.exitCode !== null) throw new Error(`Floe did not start:\n${log}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill();
      await ended;
    },
    async remove() {
      await server.stop();
      check("no token is in the server's log", !log.includes(rootToken) && !/floe_oat_/.test(log));
      rmSync(folder, { recursive: true, force: true });
    },
    /** A call as the root token, or another; fails unless it succeeds. */
    async call(method, path, body, { token = rootToken, organization } = {}) {
      const answer = await fetch(url + path, {
        method,
        headers: {
          Authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(organization ? { "Polar-Organization": organization } : {}),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return text === "" ? null : JSON.parse(text);
    },
    /** A new organization, and an API client that is it. */
    async organization(slug, name = slug) {
      const { id } = await server.call("POST", "/v1/organizations/", { name, slug });
      return { id, slug, ...(await server.clientOf(id)) };
    },
    async clientOf(organization, scopes = ALL_SCOPES) {
      const body = { comment: "test", scopes, organization_id: organization };
      const { token } = await server.call("POST", "/v1/organization-access-tokens/", body);
      const call = (method) => (path, content) => server.call(method, path, content, { token });
      return { token, get: call("GET"), post: call("POST"), patch: call("PATCH") };
    },
  };
  await server.start();
  return server;
}

export const ALL_SCOPES = [
  "meters:read",
  "meters:write",
  "events:read",
  "events:write",
  "customers:read",
  "customers:write",
  "customer_meters:read",
  "customer_meters:write",
  "organizations:read",
  "organization_access_tokens:read",
  "organization_access_tokens:write",
];

export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/**
 * Runs `body(page, window)` in a window of its own. Whatever the page runs into counts as failed: an exception, a
 * refused load, a request to elsewhere, a token in an address. Refusals of the API are the views' business.
 */
export async function inWindow(browser, server, name, body, { width = 1280, height = 900, theme = "light" } = {}) {
  const outer = where;
  where = outer === "" ? name : `${outer} / ${name}`;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    locale: LOCALE,
    timezoneId: ZONE,
    acceptDownloads: true,
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const tokens = new Set([server.rootToken]);
  page.on("pageerror", (error) => check("no exception in the page", false, error.stack));
  page.on("dialog", (dialog) => {
    check("no script of an event runs", false, dialog.message());
    dialog.dismiss();
  });
  page.on("console", (message) => {
    const text = message.text();
    const isRefusal = /Failed to load resource/.test(text);
    if (message.type() === "error" && !isRefusal) check("nothing is refused by the policy", false, text);
  });
  page.on("request", (request) => {
    const url = request.url();
    check("requests go to the server alone", url.startsWith(server.url) || url.startsWith("blob:"), url);
    check("no token is in an address", ![...tokens].some((token) => url.includes(token)), url);
  });
  const window = {
    context,
    async signIn(token = server.rootToken, hash = "") {
      tokens.add(token);
      await page.goto(`${server.url}/${hash}`);
      await page.getByLabel("Token").fill(token);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("navigation", { name: "Views" }).or(page.getByRole("button", { name: "Menu" })).first().waitFor();
    },
    /** Opens a view of the page that is signed in. */
    async open(hash) {
      await page.evaluate((next) => (location.hash = next), hash);
      await page.locator("h1").first().waitFor();
    },
  };
  try {
    await body(page, window);
  } catch (error) {
    check("is done to the end", false, `\n${error.stack}\n     page: ${await page.locator("main").innerText().catch(() => "?")}`);
  } finally {
    await context.close();
    where = outer;
  }
}

const plain = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 6 });
export const number = (value) => plain.format(value);

/** Waits until a place has exactly a text. */
export async function shows(what, place, text) {
  const end = Date.now() + WAIT_MS;
  let seen = "";
  while (Date.now() < end) {
    seen = await place.first().innerText({ timeout: 1000 }).catch(() => "(not there)");
    if (seen.trim() === text) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  equal(what, seen.trim(), text);
}
