// @polar-sh/sdk 0.x (the Speakeasy generation) against Floe: every metering call.
//
// Needs FLOE_URL, FLOE_ROOT_TOKEN, FLOE_TOKEN (a token of an organization that owns nothing made here) and
// FLOE_NODE_PREFIX (where the client is installed). This client checks every answer with zod, so a wrong shape throws here.
// The expected numbers were worked out by hand from USAGE.

import { Checks, NOBODY, collect, server } from "./support.mjs";

const checks = new Checks();
const { Polar } = await import("@polar-sh/sdk");
const { ResourceNotFound } = await import("@polar-sh/sdk/models/errors/resourcenotfound.js");
const { HTTPValidationError } = await import("@polar-sh/sdk/models/errors/httpvalidationerror.js");
const { SDKError } = await import("@polar-sh/sdk/models/errors/sdkerror.js");

const organizationId = await server.newOrganization("js-0x");
const accessToken = await server.newToken(organizationId);
const polar = new Polar({ accessToken, serverURL: server.url });
const { customers, customerMeters, events, eventTypes, meters } = polar;

const clause = (property, operator, value) => ({ property, operator, value });
const all = (...clauses) => ({ conjunction: "and", clauses });
const AI_CALLS = all(clause("name", "eq", "ai.call"));
const count = { func: "count" };

// Per UTC day, sum of tokens: 1 January 10 + 20 + 6 = 36, 2 January 30.5, 3 January 0.1 + 0.2 = 0.3; together 66.8.
// In Los Angeles (8 hours behind): 20 + 6 = 26, 30.5 + 0.1 = 30.6, 0.2; together 56.8. The text "40" is never summed.
const USAGE = [
  ["2024-01-01T00:00:00Z", "ada by id", "ai.call", { tokens: 10, model: "small", cached: false }],
  ["2024-01-01T13:00:00Z", "ada by external id", "ai.call", { tokens: 20, model: "large", cached: true }],
  ["2024-01-01T20:00:00Z", "walk-in", "ai.call", { tokens: 6, model: "tiny" }],
  ["2024-01-02T23:59:59.999Z", "grace by id", "ai.call", { tokens: 30.5, model: "small" }],
  ["2024-01-03T05:00:00Z", "walk-in", "ai.call", { tokens: 0.1, model: "large" }],
  ["2024-01-03T23:00:00Z", "walk-in", "ai.call", { tokens: 0.2, model: "large" }],
  ["2024-03-10T10:00:00Z", "grace by id", "ai.call", { tokens: "40", model: "large" }],
  ["2024-01-02T08:00:00Z", "ada by external id", "page.view", { tokens: 1000, model: "none" }],
];
const at = (text) => new Date(text);
const THREE_DAYS = { startTimestamp: at("2024-01-01T00:00:00Z"), endTimestamp: at("2024-01-03T23:59:59Z"), interval: "day" };

/** The items of all pages. */
const every = async (pages) => (await collect(await pages)).flatMap((page) => page.result.items);
const ingest = (...batch) => events.ingest({ events: batch });

/** Quantities over three days as [[quantity of each point], total]. */
async function ask(id, options = {}) {
  const answer = await meters.quantities({ id, ...THREE_DAYS, ...options });
  return [answer.quantities.map((point) => point.quantity), answer.total];
}

/** Timestamps of the events a list selects, oldest first, without year and seconds. */
async function times(query) {
  const answer = await events.list({ limit: 100, sorting: ["timestamp"], ...query });
  checks.equal("total count", answer.pagination.totalCount, answer.items.length);
  return answer.items.map((event) => event.timestamp.toISOString().slice(5, 16));
}

/** A typed 422 whose detail has an item of this type at this place. */
async function invalid(what, promise, type, loc) {
  const error = await checks.rejects(what, promise, HTTPValidationError, 422);
  const items = (error?.detail ?? []).map((item) => `${item.type} ${item.loc.join(".")}`);
  checks.true(`${what}: detail`, items.includes(`${type} ${loc}`), `got ${items}, expected ${type} ${loc}`);
}

let ada, grace, team, tokens, calls;

await checks.section("customers", async () => {
  const metadata = { plan: "pro", seats: 3, ratio: 0.5, trial: false };
  const billingAddress = { country: "GB", city: "London" };
  ada = await customers.create({ email: "ada@example.com", externalId: "ada-1", name: "Ada Lovelace", billingAddress, metadata });
  grace = await customers.create({ email: "grace@example.com", metadata: { plan: "free" } });
  team = await customers.create({ type: "team", email: "team@example.com", name: "Navy", externalId: "navy" });
  checks.equal("metadata", ada.metadata, metadata);
  checks.equal("name and address", [ada.name, ada.billingAddress.city], ["Ada Lovelace", "London"]);
  checks.equal("kinds", [ada.type, team.type], ["individual", "team"]);
  checks.true("createdAt", ada.createdAt instanceof Date);
  checks.equal("get", await customers.get({ id: ada.id }), ada);
  checks.equal("get by external id", await customers.getExternal({ externalId: "ada-1" }), ada);
  const odd = await customers.create({ email: "odd@example.com", externalId: "x/y ü" });
  checks.equal("external id that must be encoded", (await customers.getExternal({ externalId: "x/y ü" })).id, odd.id);
  await customers.deleteExternal({ externalId: "x/y ü" });
  const ids = async (query) => (await customers.list(query)).result.items.map((customer) => customer.id);
  checks.equal("list", await ids({}), [team.id, grace.id, ada.id]);
  checks.equal("list by e-mail", await ids({ email: "ADA@example.com" }), [ada.id]);
  checks.equal("list by query", await ids({ query: "lovel" }), [ada.id]);
  checks.equal("list by metadata", await ids({ metadata: { plan: ["free", "pro"], seats: 3 } }), [ada.id]);
  checks.equal("list sorted", await ids({ sorting: ["email"] }), [ada.id, grace.id, team.id]);
  checks.equal("list of another organization", await ids({ organizationId: [NOBODY] }), []);
});

await checks.section("ingestion", async () => {
  const who = {
    "ada by id": { customerId: ada.id },
    "ada by external id": { externalCustomerId: "ada-1" },
    "grace by id": { customerId: grace.id },
    "walk-in": { externalCustomerId: "walk-in" },
  };
  const batch = USAGE.map(([timestamp, customer, name, metadata], i) => ({
    name, timestamp: at(timestamp), externalId: `usage-${i}`, metadata, ...who[customer],
  }));
  checks.equal("first five", await ingest(...batch.slice(0, 5)), { inserted: 5, duplicates: 0 });
  checks.equal("the rest, two again", await ingest(...batch.slice(3)), { inserted: 3, duplicates: 2 });
  checks.equal("all again", await ingest(...batch), { inserted: 0, duplicates: 8 });
  checks.equal("an empty batch", await ingest(), { inserted: 0, duplicates: 0 });
  const plain = { name: "twin", externalCustomerId: "twins" };
  checks.equal("without external id", await ingest(plain, plain), { inserted: 2, duplicates: 0 });
});

await checks.section("meters", async () => {
  const aggregation = { func: "sum", property: "metadata.tokens" };
  tokens = await meters.create({ name: "Tokens", filter: AI_CALLS, aggregation, metadata: { team: "ai", tier: 1 } });
  checks.equal("filter", tokens.filter, AI_CALLS);
  checks.equal("aggregation", tokens.aggregation, { func: "sum", property: "tokens" });
  checks.equal("unset", [tokens.modifiedAt, tokens.archivedAt], [null, null]);
  checks.equal("get", await meters.get({ id: tokens.id }), tokens);
  const nested = { conjunction: "or", clauses: [clause("tokens", "gte", 20), all(clause("cached", "eq", false))] };
  const made = await meters.create({ name: "nested", filter: nested, aggregation: count });
  checks.equal("nested filter", made.filter, nested);
  calls = made.id;
  checks.equal("an empty update", (await meters.update({ id: calls, meterUpdate: {} })).modifiedAt, null);
  const renamed = await meters.update({ id: calls, meterUpdate: { name: "Calls", metadata: { team: "web" } } });
  checks.equal("updated", [renamed.name, renamed.metadata], ["Calls", { team: "web" }]);
  const names = async (query) => (await meters.list(query)).result.items.map((meter) => meter.name);
  checks.equal("list", await names({ sorting: ["name"] }), ["Calls", "Tokens"]);
  checks.equal("list in the default order", await names({}), ["Calls", "Tokens"]);
  checks.equal("list by query", await names({ query: "OKE" }), ["Tokens"]);
  checks.equal("list by metadata", await names({ metadata: { team: ["ai", "x"], tier: 1 } }), ["Tokens"]);
  checks.equal("list of another organization", await names({ organizationId: NOBODY }), []);
});

await checks.section("quantities", async () => {
  const answer = await meters.quantities({ id: tokens.id, ...THREE_DAYS });
  const days = ["2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z", "2024-01-03T00:00:00.000Z"];
  checks.equal("days", answer.quantities.map((point) => point.timestamp.toISOString()), days);
  checks.equal("by day", await ask(tokens.id), [[36, 30.5, 0.3], 66.8]);
  const losAngeles = {
    startTimestamp: at("2024-01-01T00:00:00-08:00"),
    endTimestamp: at("2024-01-03T23:59:59-08:00"),
    timezone: "America/Los_Angeles",
  };
  checks.equal("by day in Los Angeles", await ask(tokens.id, losAngeles), [[26, 30.6, 0.2], 56.8]);
  const hours = { startTimestamp: at("2024-01-03T04:00:00Z"), endTimestamp: at("2024-01-03T06:00:00Z"), interval: "hour" };
  checks.equal("by hour", await ask(tokens.id, hours), [[0, 0.1, 0], 0.1]);
  checks.equal("by week", await ask(tokens.id, { endTimestamp: at("2024-01-07T23:59:59Z"), interval: "week" }), [[66.8], 66.8]);
  const months = { endTimestamp: at("2024-03-31T23:59:59Z"), interval: "month" };
  checks.equal("by month", await ask(tokens.id, months), [[66.8, 0, 0], 66.8]);
  checks.equal("by year", await ask(tokens.id, { endTimestamp: at("2025-12-31T00:00:00Z"), interval: "year" }), [[66.8, 0], 66.8]);
  checks.equal("one customer", await ask(tokens.id, { customerId: ada.id }), [[30, 0, 0], 30]);
  checks.equal("two customers", await ask(tokens.id, { customerId: [ada.id, grace.id] }), [[30, 30.5, 0], 60.5]);
  const either = { customerId: grace.id, externalCustomerId: ["walk-in"] };
  checks.equal("both kinds of id", await ask(tokens.id, either), [[6, 30.5, 0.3], 36.8]);
  checks.equal("metadata", await ask(tokens.id, { metadata: { model: "large", cached: true } }), [[20, 0, 0], 20]);
  checks.equal("two values", await ask(tokens.id, { metadata: { model: ["small", "large"] } }), [[30, 30.5, 0.3], 60.8]);
  // Day 1 has two customers (Ada 30, walk-in 6), the other days one each.
  const perCustomer = {
    count: [[2, 1, 1], 4],
    sum: [[36, 30.5, 0.3], 66.8],
    max: [[30, 30.5, 0.3], 60.8],
    min: [[6, 30.5, 0.3], 36.8],
    avg: [[18, 30.5, 0.3], 48.8],
    unique: [[2, 1, 1], 4],
  };
  for (const [name, expected] of Object.entries(perCustomer)) {
    checks.equal(`per customer: ${name}`, await ask(tokens.id, { customerAggregationFunction: name }), expected);
  }
  const others = {
    count: [[3, 1, 2], 6],
    max: [[20, 30.5, 0.2], 30.5],
    min: [[6, 30.5, 0.1], 0.1],
    avg: [[12, 30.5, 0.15], 11.133333333333333], // 66.8 / 6
    unique: [[3, 1, 1], 3], // models: small, large, tiny; small; large
  };
  for (const [func, expected] of Object.entries(others)) {
    const property = func === "count" ? {} : { property: func === "unique" ? "model" : "tokens" };
    const meter = await meters.create({ name: `by ${func}`, filter: AI_CALLS, aggregation: { func, ...property } });
    checks.equal(func, await ask(meter.id), expected);
  }
  await ingest({ name: "ai.call", customerId: grace.id, timestamp: at("2024-02-01T12:00:00Z"), metadata: { tokens: 0.7 } });
  checks.equal("read your writes", await ask(tokens.id, months), [[66.8, 0.7, 0], 67.5]);
});

await checks.section("events", async () => {
  const seen = [
    "01-01T00:00", "01-01T13:00", "01-01T20:00", "01-02T23:59", "01-03T05:00", "01-03T23:00", "02-01T12:00", "03-10T10:00",
  ];
  checks.equal("by name", await times({ name: "ai.call" }), seen);
  checks.equal("by names and source", (await times({ name: ["ai.call", "page.view"], source: "user" })).length, 9);
  checks.equal("by customer", await times({ customerId: ada.id }), ["01-01T00:00", "01-01T13:00", "01-02T08:00"]);
  checks.equal("by external customer", await times({ externalCustomerId: ["walk-in"] }), ["01-01T20:00", "01-03T05:00", "01-03T23:00"]);
  checks.equal("those a meter counts", await times({ meterId: tokens.id }), seen.slice(0, 7));
  const within = { startTimestamp: at("2024-01-01T13:00:00Z"), endTimestamp: at("2024-01-03T05:00:00Z") };
  checks.equal("strictly between", await times({ name: "ai.call", ...within }), ["01-01T20:00", "01-02T23:59"]);
  // Greater than 25: 30.5, 1000, and the text "40" compared with the text "25".
  const filter = JSON.stringify(all(clause("tokens", "gt", 25)));
  checks.equal("by filter", await times({ filter }), ["01-02T08:00", "01-02T23:59", "03-10T10:00"]);
  checks.equal("by metadata", await times({ metadata: { model: ["large", "small"], cached: true } }), ["01-01T13:00"]);
  checks.equal("by text", await times({ query: "PAGE.v", organizationId }), ["01-02T08:00"]);
  const [event] = (await events.list({ customerId: grace.id, metadata: { model: "small" } })).items;
  checks.equal("timestamp", event.timestamp.toISOString(), "2024-01-02T23:59:59.999Z");
  checks.equal("customer", [event.customerId, event.customer.email], [grace.id, "grace@example.com"]);
  checks.equal("get", await events.get({ id: event.id }), event);
  const tree = { name: "tree", externalCustomerId: "tree" };
  await ingest({ ...tree, externalId: "root" }, { ...tree, name: "leaf", parentId: "root" }, { ...tree, name: "orphan", parentId: "never" });
  const [root] = (await events.list({ name: "tree" })).items;
  const below = (await events.list({ parentId: root.id, depth: 1 })).items;
  checks.equal("tree", [root.childCount, below.map((e) => [e.name, e.parentId])], [1, [["leaf", root.id]]]);
  checks.equal("orphan", (await events.list({ name: "orphan" })).items.map((e) => e.parentId), [null]);
});

await checks.section("event names and types", async () => {
  const [ai] = (await events.listNames({ query: "AI." })).result.items;
  checks.equal("name", [ai.name, ai.source, ai.occurrences], ["ai.call", "user", 8]);
  checks.equal("seen", [ai.firstSeen, ai.lastSeen], [at("2024-01-01T00:00:00Z"), at("2024-03-10T10:00:00Z")]);
  const expected = ["ai.call", "leaf", "orphan", "page.view", "tree", "twin"];
  const query = { limit: 2, sorting: ["name"], source: "user" };
  checks.equal("iterated names", (await every(events.listNames(query))).map((name) => name.name), expected);
  const types = await every(eventTypes.list(query));
  checks.equal("iterated types", types.map((type) => type.name), expected);
  const eventTypeUpdate = { label: "Page viewed", labelPropertySelector: "model" };
  const labelled = await eventTypes.update({ id: types[3].id, eventTypeUpdate });
  checks.equal("label", [labelled.id, labelled.label, labelled.labelPropertySelector], [types[3].id, "Page viewed", "model"]);
  checks.equal("found by label", (await eventTypes.list({ query: "viewed" })).result.items.map((type) => type.name), ["page.view"]);
  const roots = (await eventTypes.list({ rootEvents: true, externalCustomerId: "tree", sorting: ["name"] })).result.items;
  checks.equal("types of roots", roots.map((type) => type.name), ["orphan", "tree"]);
  const unknown = eventTypes.update({ id: NOBODY, eventTypeUpdate: { label: "x" } });
  await checks.rejects("unknown type", unknown, SDKError, 404);
});

await checks.section("metadata", async () => {
  const llm = { vendor: "acme", model: "m1", inputTokens: 7, outputTokens: 5, totalTokens: 12 };
  const plain = { text: 'ünïcode ✓ " \\', int: 7, float: 7.25, yes: true, no: false };
  const base = { name: "kinds", externalCustomerId: "kinds" };
  const first = { ...plain, _cost: { amount: "1.25", currency: "usd" }, _llm: { ...llm, prompt: "hi" } };
  await ingest(
    { ...base, timestamp: at("2024-06-01T00:00:00Z"), metadata: first },
    { ...base, timestamp: at("2024-06-01T00:00:01Z"), metadata: { _cost: { amount: 0.1, currency: "usd" }, _llm: llm } },
  );
  const [one, two] = (await events.list({ name: "kinds", sorting: ["timestamp"] })).items;
  const { _cost, _llm, ...rest } = one.metadata;
  checks.equal("plain values", rest, plain);
  checks.equal("cost", [_cost, two.metadata._cost.amount], [{ amount: "1.25", currency: "usd" }, "0.1"]);
  checks.equal("llm", [_llm.vendor, _llm.inputTokens, _llm.totalTokens, _llm.prompt], ["acme", 7, 12, "hi"]);
  const june = { startTimestamp: at("2024-06-01T00:00:00Z"), endTimestamp: at("2024-06-01T00:00:00Z") };
  for (const [property, total] of Object.entries({ "_cost.amount": 1.35, "_llm.total_tokens": 24 })) {
    const meter = await meters.create({ name: property, filter: all(clause("name", "eq", "kinds")), aggregation: { func: "sum", property } });
    checks.equal(`sum of ${property}`, await ask(meter.id, june), [[total], total]);
  }
});

await checks.section("customer meters", async () => {
  const [mine] = (await customerMeters.list({ customerId: ada.id, meterId: tokens.id })).result.items;
  checks.equal("units", [mine.consumedUnits, mine.creditedUnits, mine.balance], [30, 0, -30]);
  checks.equal("customer and meter", [mine.customer.email, mine.meter.name], ["ada@example.com", "Tokens"]);
  checks.equal("get", await customerMeters.get({ id: mine.id }), mine);
  const external = await customerMeters.list({ externalCustomerId: ["ada-1"], meterId: [tokens.id] });
  checks.equal("by external customer", external.result.items, [mine]);
  const sorted = await customerMeters.list({ meterId: tokens.id, sorting: ["-consumed_units"] });
  // Grace: 30.5 and 0.7; her text "40" is no number.
  checks.equal("sorted", sorted.result.items.map((m) => m.consumedUnits), [31.2, 30, 0]);
  const total = (await meters.list({})).result.pagination.totalCount;
  const found = await every(customerMeters.list({ limit: 7 }));
  checks.equal("one for every customer and meter", new Set(found.map((m) => m.id)).size, 3 * total);
  const state = await customers.getState({ id: ada.id });
  const lists = [state.email, state.activeSubscriptions, state.grantedBenefits, state.activeMeters.length];
  checks.equal("state", lists, ["ada@example.com", [], [], total]);
  const inState = state.activeMeters.find((m) => m.meterId === tokens.id);
  checks.equal("meter in the state", [inState.id, inState.consumedUnits, inState.balance], [mine.id, 30, -30]);
  checks.equal("state by external id", await customers.getStateExternal({ externalId: "ada-1" }), state);
  await ingest({ name: "ai.call", externalCustomerId: "ada-1", timestamp: at("2024-07-01T00:00:00Z"), metadata: { tokens: 0.5 } });
  const after = await customerMeters.get({ id: mine.id });
  checks.equal("read your writes", [after.consumedUnits, after.balance], [30.5, -30.5]);
});

await checks.section("archived meters", async () => {
  const archived = await meters.update({ id: calls, meterUpdate: { isArchived: true } });
  checks.true("archivedAt", archived.archivedAt instanceof Date);
  checks.equal("archived ones", (await meters.list({ isArchived: true })).result.items.map((m) => m.id), [calls]);
  const live = (await every(meters.list({ isArchived: false }))).map((m) => m.id);
  checks.true("live ones", !live.includes(calls) && live.includes(tokens.id));
  checks.equal("still answers", (await ask(calls))[1], 4); // tokens >= 20: 20, 30.5, 1000; cached false: 10
  checks.equal("back", (await meters.update({ id: calls, meterUpdate: { isArchived: false } })).archivedAt, null);
});

await checks.section("pages", async () => {
  const names = Array.from({ length: 23 }, (_, i) => `page ${String(i).padStart(2, "0")}`);
  for (const name of names.toReversed()) {
    await meters.create({ name, filter: all(), aggregation: count, metadata: { kind: "paged" } });
  }
  const paged = await every(meters.list({ metadata: { kind: "paged" }, sorting: ["name"] }));
  checks.equal("iterated meters", paged.map((meter) => meter.name), names);
  const start = Date.UTC(2024, 7, 1);
  const batch = Array.from({ length: 120 }, (_, i) => ({
    name: "paged",
    externalCustomerId: "p",
    timestamp: new Date(start + Math.floor(i / 2) * 1000),
    metadata: { i },
  }));
  checks.equal("many events", await ingest(...batch), { inserted: 120, duplicates: 0 });
  const seen = [];
  for (const page of [1, 2, 3]) {
    const answer = await events.list({ name: "paged", page, limit: 50 });
    checks.equal("pagination", answer.pagination, { totalCount: 120, maxPage: 3 });
    seen.push(...answer.items.map((event) => event.metadata.i));
  }
  checks.equal("events of all pages", seen, batch.map((_, i) => 119 - i));
  const emails = (await every(customers.list({ limit: 1, sorting: ["email"] }))).map((customer) => customer.email);
  checks.equal("iterated customers", emails, ["ada@example.com", "grace@example.com", "team@example.com"]);
});

await checks.section("customer changes", async () => {
  const eve = await customers.create({ email: "eve@example.com", name: "Eve", externalId: "eve" });
  const customerUpdate = { name: null, email: "eve2@example.com", metadata: { b: true } };
  const changed = await customers.update({ id: eve.id, customerUpdate });
  checks.equal("updated", [changed.name, changed.email, changed.metadata], [null, "eve2@example.com", { b: true }]);
  const again = await customers.updateExternal({ externalId: "eve", customerUpdateExternalID: { name: "Eve Again" } });
  checks.equal("updated by external id", [again.id, again.name], [eve.id, "Eve Again"]);
  checks.equal("delete", await customers.delete({ id: eve.id }), undefined);
  await checks.rejects("gone", customers.get({ id: eve.id }), ResourceNotFound, 404);
  await customers.create({ email: "eve2@example.com", externalId: "eve" });
  checks.equal("delete by external id", await customers.deleteExternal({ externalId: "eve", anonymize: true }), undefined);
  await checks.rejects("gone by external id", customers.getExternal({ externalId: "eve" }), ResourceNotFound, 404);
});

await checks.section("not found", async () => {
  const id = NOBODY;
  const externalId = "nobody";
  const missing = {
    "meters.get": () => meters.get({ id }),
    "meters.update": () => meters.update({ id, meterUpdate: { name: "abc" } }),
    "meters.quantities": () => meters.quantities({ id, ...THREE_DAYS }),
    "events.get": () => events.get({ id }),
    "customers.update": () => customers.update({ id, customerUpdate: { name: "x" } }),
    "customers.delete": () => customers.delete({ id }),
    "customers.getState": () => customers.getState({ id }),
    "customers.updateExternal": () => customers.updateExternal({ externalId, customerUpdateExternalID: { name: "x" } }),
    "customers.deleteExternal": () => customers.deleteExternal({ externalId }),
    "customers.getStateExternal": () => customers.getStateExternal({ externalId }),
    "customerMeters.get": () => customerMeters.get({ id }),
  };
  for (const [what, call] of Object.entries(missing)) {
    const error = await checks.rejects(what, call(), ResourceNotFound, 404);
    checks.equal(`${what}: body`, error?.error, "ResourceNotFound");
  }
});

await checks.section("refused", async () => {
  const meter = { name: "abc", filter: all(), aggregation: count };
  await invalid("short name", meters.create({ ...meter, name: "ab" }), "string_too_short", "body.name");
  await invalid("organization", meters.create({ ...meter, organizationId }), "organization_token", "body.organization_id");
  const locked = meters.update({ id: tokens.id, meterUpdate: { filter: all() } });
  await invalid("filter of a used meter", locked, "forbidden", "body.filter");
  const ask = (what, options, type, loc) => invalid(what, meters.quantities({ id: tokens.id, ...THREE_DAYS, ...options }), type, loc);
  await ask("early start", { startTimestamp: at("2022-12-31T00:00:00Z") }, "greater_than_equal", "query.start_timestamp");
  await ask("time zone", { timezone: "Mars/Phobos" }, "TimeZoneName", "query.timezone");
  await ask("end before start", { endTimestamp: at("2023-06-01T00:00:00Z") }, "value_error", "query");
  const future = ingest({ name: "a", externalCustomerId: "x", timestamp: at("2999-01-01T00:00:00Z") });
  await invalid("future", future, "value_error", "body.events.0.EventCreateExternalCustomer.timestamp");
  await invalid("unknown customer", ingest({ name: "a", customerId: NOBODY }), "customer_id", "body.events.0.customer_id");
  await invalid("taken e-mail", customers.create({ email: "ADA@example.com" }), "value_error", "body.email");
  const as = (token) => new Polar({ accessToken: token, serverURL: server.url }).meters;
  const unknown = await checks.rejects("unknown token", as("floe_oat_wrong").list({}), SDKError, 401);
  checks.true("unknown token: body", unknown?.body.includes("invalid_token"), unknown?.body);
  const weak = await checks.rejects("missing scope", as(await server.newToken(organizationId, ["events:read"])).list({}), SDKError, 403);
  checks.true("missing scope: body", weak?.body.includes("insufficient_scope"), weak?.body);
  await checks.rejects("another organization's meter", as(server.strangerToken).get({ id: tokens.id }), ResourceNotFound, 404);
});

checks.finish();
