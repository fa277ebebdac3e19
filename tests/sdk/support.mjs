// What the JavaScript client tests share: finding the installed client, counting checks, and an organization of their own.

import * as nodeModule from "node:module";
import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual, inspect } from "node:util";

export const NOBODY = "00000000-0000-4000-8000-000000000000";

// The clients are installed outside this folder; packages are looked up from FLOE_NODE_PREFIX instead.
if (nodeModule.registerHooks === undefined) throw new Error(`Node 22.15 or newer is needed, this is ${process.version}`);
const installed = pathToFileURL(resolve(process.env.FLOE_NODE_PREFIX, "package.json")).href;
const here = new URL(".", import.meta.url).href;
nodeModule.registerHooks({
  resolve(specifier, context, next) {
    const fromTests = context.parentURL?.startsWith(here) && !/^(\.|\/|file:|node:)/.test(specifier);
    return next(specifier, fromTests ? { ...context, parentURL: installed } : context);
  },
});

/** Counts what holds and what does not; a failed check is printed and the rest goes on. */
export class Checks {
  passed = 0;
  failed = 0;
  where = [];

  true(what, condition, detail = "") {
    if (condition) {
      this.passed++;
    } else {
      this.failed++;
      console.log(`FAIL ${[...this.where, what].join(" / ")} ${detail}`);
    }
  }

  equal(what, actual, expected) {
    const show = (value) => inspect(value, { depth: 8, breakLength: 160 });
    this.true(what, isDeepStrictEqual(actual, expected), `\n     got      ${show(actual)}\n     expected ${show(expected)}`);
  }

  /** The promise is rejected with this class and status; answers the error. */
  async rejects(what, promise, errorClass, status) {
    try {
      await promise;
    } catch (error) {
      this.true(`${what}: error class`, error.constructor === errorClass, `got ${error.constructor.name}: ${error.message}`);
      this.equal(`${what}: status`, error.statusCode, status);
      return error;
    }
    this.true(`${what}: is refused`, false);
  }

  /** A group of checks that stops at its first exception, without stopping the others. */
  async section(name, body) {
    this.where.push(name);
    try {
      await body();
    } catch (error) {
      this.true("stopped by an exception", false, error.stack);
    }
    this.where.pop();
  }

  finish() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exitCode = this.failed > 0 || this.passed === 0 ? 1 : 0;
  }
}

const ALL_SCOPES = [
  "meters:read",
  "meters:write",
  "events:read",
  "events:write",
  "customers:read",
  "customers:write",
  "customer_meters:read",
];

/** The server under test, as its operator sees it. */
export const server = {
  url: process.env.FLOE_URL.replace(/\/$/, ""),
  // A token of an organization that owns nothing the tests make.
  strangerToken: process.env.FLOE_TOKEN,

  async post(path, body) {
    const headers = { Authorization: `Bearer ${process.env.FLOE_ROOT_TOKEN}`, "Content-Type": "application/json" };
    const response = await fetch(this.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  },

  /** An empty organization, named after the client; answers its id. */
  async newOrganization(client) {
    const slug = `${client}-${randomUUID().slice(0, 13)}`;
    return (await this.post("/v1/organizations/", { name: slug, slug })).id;
  },

  async newToken(organizationId, scopes = ALL_SCOPES) {
    const body = { organization_id: organizationId, comment: "client test", scopes };
    return (await this.post("/v1/organization-access-tokens/", body)).token;
  },
};

/** Every item of an asynchronous iterator. */
export async function collect(iterator) {
  const items = [];
  for await (const item of iterator) items.push(item);
  return items;
}
