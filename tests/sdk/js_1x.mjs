// @polar-sh/sdk 1.x against Floe: every metering call, through the import path of every API version.
//
// Needs FLOE_URL, FLOE_ROOT_TOKEN, FLOE_TOKEN (a token of an organization that owns nothing made here) and
// FLOE_NODE_PREFIX (where the client is installed). This client returns JSON as it came, so whole objects are compared.
// The expected numbers were worked out by hand from USAGE.

import { Checks, NOBODY, collect, server } from "./support.mjs";

const checks = new Checks();
const { PolarClientError } = await import("@polar-sh/sdk");

const clause = (property, operator, value) => ({ property, operator, value });
const all = (...clauses) => ({ conjunction: "and", clauses });
const AI_CALLS = all(clause("name", "eq", "ai.call"));

// Per UTC day, sum of tokens: 1 January 10 + 20 + 6 = 36, 2 January 30.5, 3 January 0.1 + 0.2 = 0.3; together 66.8.
// In Los Angeles (8 hours behind): 20 + 6 = 26, 30.5 + 0.1 = 30.6, 0.2; together 56.8. The text "40" is never summed.
const USAGE = [
  ["2024-01-01T00:00:00Z", "ada by id", "ai.call", { tokens: 10, model: "small", cached: false }],
  ["2024-01-01T13:00:00Z", "ada by external id", "ai.call", { tokens: 20, model: "large", cached: true }],
  ["2024-01-01T20:00:00Z", "walk-in", "ai.call", { tokens: 6, model: "tiny" }],
  ["2024-01-02T23:59:59.999999Z", "grace by id", "ai.call", { tokens: 30.5, model: "small" }],
  ["2024-01-03T05:00:00Z", "walk-in", "ai.call", { tokens: 0.1, model: "large" }],
  ["2024-01-03T23:00:00Z", "walk-in", "ai.call", { tokens: 0.2, model: "large" }],
  ["2024-03-10T10:00:00Z", "grace by id", "ai.call", { tokens: "40", model: "large" }],
  ["2024-01-02T08:00:00Z", "ada by external id", "page.view", { tokens: 1000, model: "none" }],
];
const THREE_DAYS = { start_timestamp: "2024-01-01T00:00:00Z", end_timestamp: "2024-01-03T23:59:59Z", interval: "day" };

/** One organization, used through one client from its first customer to its last error. */
class Scenario {
  constructor(version, module, organizationId, token) {
    this.version = version;
    this.errors = module.errors;
    this.createPolar = module.createPolar;
    this.organizationId = organizationId;
    this.token = token;
    this.polar = module.createPolar({ accessToken: token, baseUrl: server.url });
  }

  async run() {
    const sections = [
      "customers", "ingestion", "meters", "quantities", "eventLists", "eventTrees", "namesAndTypes", "metadataKinds",
      "customerMeters", "archivedMeters", "pages", "customerChanges", "notFound", "refused", "accessTokens",
    ];
    for (const section of sections) await checks.section(`${this.version} ${section}`, () => this[section]());
  }

  /** A typed 422 whose detail has an item of this type at this place. */
  async invalid(what, promise, type, loc) {
    const error = await checks.rejects(what, promise, this.errors.HTTPValidationError, 422);
    const items = (error?.error.detail ?? []).map((item) => `${item.type} ${item.loc.join(".")}`);
    checks.true(`${what}: detail`, items.includes(`${type} ${loc.join(".")}`), `got ${items}, expected ${type} ${loc.join(".")}`);
  }

  async customers() {
    const { customers } = this.polar;
    this.ada = await customers.create({
      email: "Ada@Example.COM",
      external_id: "ada-1",
      name: "  Ada Lovelace ",
      locale: "en-gb",
      billing_address: { country: "GB", city: "London" },
      metadata: { plan: "pro", seats: 3, ratio: 0.5, trial: false },
    });
    this.grace = await customers.create({ email: "grace@example.com", metadata: { plan: "free" } });
    this.team = await customers.create({ type: "team", email: "team@example.com", name: "Navy", external_id: "navy" });
    const { id, created_at, avatar_url, ...rest } = this.ada;
    checks.equal("customer", rest, {
      modified_at: null,
      metadata: { plan: "pro", seats: 3, ratio: 0.5, trial: false },
      external_id: "ada-1",
      email: "Ada@example.com",
      email_verified: false,
      type: "individual",
      name: "Ada Lovelace",
      billing_name: "Ada Lovelace",
      billing_address: { line1: null, line2: null, postal_code: null, city: "London", state: null, country: "GB" },
      tax_id: null,
      locale: "en-GB",
      organization_id: this.organizationId,
      default_payment_method_id: null,
      deleted_at: null,
      first_user_event_at: null,
    });
    checks.true("created_at ends in Z", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$/.test(created_at), created_at);
    checks.true("avatar_url is text, which the 0.x client needs", typeof avatar_url === "string", avatar_url);
    checks.equal("get", await customers.get(id), this.ada);
    checks.equal("get by external id", await customers.getExternal("ada-1"), this.ada);
    const odd = await customers.create({ email: "odd@example.com", external_id: "x/y ü?&" });
    checks.equal("external id that must be encoded", (await customers.getExternal("x/y ü?&")).id, odd.id);
    checks.equal("and its state", (await customers.getStateExternal("x/y ü?&")).id, odd.id);
    checks.equal("and its deletion", await customers.deleteExternal("x/y ü?&"), undefined);

    const ids = async (query) => (await customers.list(query)).items.map((customer) => customer.id);
    const newestFirst = [this.team.id, this.grace.id, id];
    checks.equal("list", await ids(), newestFirst);
    checks.equal("list by e-mail", await ids({ email: "ADA@example.com" }), [id]);
    checks.equal("list by part of the name", await ids({ query: "lovel" }), [id]);
    checks.equal("list by metadata", await ids({ metadata: { plan: ["free", "pro"], seats: 3 } }), [id]);
    checks.equal("list sorted", await ids({ sorting: ["email"] }), [id, this.grace.id, this.team.id]);
    checks.equal("list of another organization", await ids({ organization_id: [NOBODY] }), []);
    const page = await customers.list({ limit: 2, page: 2 });
    checks.equal("second page", [page.items.length, page.pagination], [1, { total_count: 3, max_page: 2 }]);
  }

  async ingestion() {
    const { events } = this.polar;
    const who = {
      "ada by id": { customer_id: this.ada.id },
      "ada by external id": { external_customer_id: "ada-1" },
      "grace by id": { customer_id: this.grace.id },
      "walk-in": { external_customer_id: "walk-in" },
    };
    const batch = USAGE.map(([timestamp, customer, name, metadata], i) => ({
      name, timestamp, external_id: `usage-${i}`, metadata, ...who[customer],
    }));
    checks.equal("first five", await events.ingest({ events: batch.slice(0, 5) }), { inserted: 5, duplicates: 0 });
    checks.equal("the rest, two again", await events.ingest({ events: batch.slice(3) }), { inserted: 3, duplicates: 2 });
    checks.equal("all again", await events.ingest({ events: batch }), { inserted: 0, duplicates: 8 });
    checks.equal("an empty batch", await events.ingest({ events: [] }), { inserted: 0, duplicates: 0 });
    const plain = { name: "twin", external_customer_id: "twins", timestamp: "2024-01-01T00:00:00Z" };
    checks.equal("without external id", await events.ingest({ events: [plain, plain] }), { inserted: 2, duplicates: 0 });
    const twice = [{ ...plain, external_id: "t" }, { ...plain, external_id: "t" }];
    checks.equal("duplicates inside a batch", await events.ingest({ events: twice }), { inserted: 1, duplicates: 1 });
    const now = [{ name: "now", external_customer_id: "twins" }];
    checks.equal("without timestamp", await events.ingest({ events: now }), { inserted: 1, duplicates: 0 });
    checks.equal("first_user_event_at", (await this.polar.customers.get(this.ada.id)).first_user_event_at, "2024-01-01T00:00:00Z");
  }

  async meters() {
    const { meters } = this.polar;
    this.tokens = await meters.create({
      name: "Tokens",
      filter: all(clause("name", "eq", "ai.call")),
      aggregation: { func: "sum", property: "metadata.tokens" },
      metadata: { team: "ai", tier: 1 },
    });
    const { id, created_at, ...rest } = this.tokens;
    checks.equal("meter", rest, {
      modified_at: null,
      metadata: { team: "ai", tier: 1 },
      name: "Tokens",
      unit: "scalar",
      custom_label: null,
      custom_multiplier: null,
      filter: AI_CALLS,
      aggregation: { func: "sum", property: "tokens" },
      organization_id: this.organizationId,
      archived_at: null,
    });
    checks.true("created_at", typeof created_at === "string");
    checks.equal("get", await meters.get(id), this.tokens);

    const nested = {
      conjunction: "or",
      clauses: [clause("tokens", "gte", 20), all(clause("cached", "eq", false)), clause("model", "like", "tin")],
    };
    const custom = { unit: "custom", custom_label: "call", custom_multiplier: 1000 };
    const made = await meters.create({ name: "nested_100%", filter: nested, aggregation: { func: "count" }, ...custom });
    checks.equal("nested filter", made.filter, nested);
    checks.equal("count", made.aggregation, { func: "count" });
    checks.equal("custom unit", [made.unit, made.custom_label, made.custom_multiplier], ["custom", "call", 1000]);
    // tokens >= 20: 20, 30.5, "40" (as text, "40" > "20"), 1000; cached false: 10; model like "tin": 6.
    const year = { start_timestamp: "2024-01-01T00:00:00Z", end_timestamp: "2024-12-31T00:00:00Z", interval: "year" };
    checks.equal("nested filter counts", await meters.quantities(made.id, year), {
      quantities: [{ timestamp: "2024-01-01T00:00:00Z", quantity: 6 }],
      total: 6,
    });

    checks.equal("an empty update writes nothing", await meters.update(made.id, {}), made);
    const changes = { name: "Calls", metadata: { team: "web" }, unit: "token", custom_label: null, custom_multiplier: null, is_archived: null };
    const { modified_at, ...changed } = await meters.update(made.id, changes);
    checks.true("modified_at", modified_at !== null);
    const { is_archived, ...written } = changes;
    const { modified_at: before, ...unchanged } = made;
    checks.equal("updated", changed, { ...unchanged, ...written });
    this.calls = made.id;

    const names = async (query) => (await meters.list(query)).items.map((meter) => meter.name);
    checks.equal("list", await names(), ["Calls", "Tokens"]);
    checks.equal("list downwards", await names({ sorting: ["-name", "created_at"] }), ["Tokens", "Calls"]);
    checks.equal("list by part of the name", await names({ query: "OKE" }), ["Tokens"]);
    checks.equal("list by metadata", await names({ metadata: { team: ["ai", "other"], tier: 1 } }), ["Tokens"]);
    checks.equal("list of another organization", await names({ organization_id: NOBODY }), []);
  }

  /** Quantities over three days as [[quantity of each point], total]. */
  async ask(id, options = {}) {
    const answer = await this.polar.meters.quantities(id, { ...THREE_DAYS, ...options });
    return [answer.quantities.map((point) => point.quantity), answer.total];
  }

  async quantities() {
    const tokens = this.tokens.id;
    const points = (days, values) => days.map((day, i) => ({ timestamp: day, quantity: values[i] }));
    checks.equal("by day", await this.polar.meters.quantities(tokens, THREE_DAYS), {
      quantities: points(["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"], [36, 30.5, 0.3]),
      total: 66.8,
    });
    const losAngeles = {
      start_timestamp: "2024-01-01T00:00:00-08:00",
      end_timestamp: "2024-01-03T23:59:59-08:00",
      interval: "day",
      timezone: "America/Los_Angeles",
    };
    checks.equal("by day in Los Angeles", await this.polar.meters.quantities(tokens, losAngeles), {
      quantities: points(["2024-01-01T08:00:00Z", "2024-01-02T08:00:00Z", "2024-01-03T08:00:00Z"], [26, 30.6, 0.2]),
      total: 56.8,
    });
    const hours = { start_timestamp: "2024-01-03T04:00:00+00:00", end_timestamp: "2024-01-03T06:00:00+00:00", interval: "hour" };
    checks.equal("by hour", await this.ask(tokens, hours), [[0, 0.1, 0], 0.1]);
    checks.equal("by week", await this.ask(tokens, { end_timestamp: "2024-01-07T23:59:59Z", interval: "week" }), [[66.8], 66.8]);
    const months = { end_timestamp: "2024-03-31T23:59:59Z", interval: "month" };
    checks.equal("by month", await this.ask(tokens, months), [[66.8, 0, 0], 66.8]);
    checks.equal("by year", await this.ask(tokens, { end_timestamp: "2025-12-31T00:00:00Z", interval: "year" }), [[66.8, 0], 66.8]);

    const [ada, grace] = [this.ada.id, this.grace.id];
    checks.equal("one customer", await this.ask(tokens, { customer_id: ada }), [[30, 0, 0], 30]);
    checks.equal("by external id", await this.ask(tokens, { external_customer_id: "ada-1" }), [[30, 0, 0], 30]);
    checks.equal("without customer", await this.ask(tokens, { external_customer_id: ["walk-in"] }), [[6, 0, 0.3], 6.3]);
    checks.equal("two customers", await this.ask(tokens, { customer_id: [ada, grace] }), [[30, 30.5, 0], 60.5]);
    const either = { customer_id: grace, external_customer_id: "walk-in" };
    checks.equal("both kinds of id", await this.ask(tokens, either), [[6, 30.5, 0.3], 36.8]);
    checks.equal("unknown customer", await this.ask(tokens, { customer_id: NOBODY }), [[0, 0, 0], 0]);
    checks.equal("metadata", await this.ask(tokens, { metadata: { model: "small" } }), [[10, 30.5, 0], 40.5]);
    checks.equal("two values", await this.ask(tokens, { metadata: { model: ["small", "large"] } }), [[30, 30.5, 0.3], 60.8]);
    checks.equal("two keys", await this.ask(tokens, { metadata: { model: "large", cached: true } }), [[20, 0, 0], 20]);

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
      checks.equal(`per customer: ${name}`, await this.ask(tokens, { customer_aggregation_function: name }), expected);
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
      const meter = await this.polar.meters.create({ name: `by ${func}`, filter: AI_CALLS, aggregation: { func, ...property } });
      checks.equal(func, await this.ask(meter.id), expected);
    }
    const more = { name: "ai.call", customer_id: grace, timestamp: "2024-02-01T12:00:00Z", metadata: { tokens: 0.7 } };
    await this.polar.events.ingest({ events: [more] });
    checks.equal("read your writes", await this.ask(tokens, months), [[66.8, 0.7, 0], 67.5]);
  }

  /** Timestamps of the events a list selects, oldest first, without year and seconds. */
  async times(query) {
    const answer = await this.polar.events.list({ limit: 100, sorting: ["timestamp"], ...query });
    checks.equal("total_count", answer.pagination.total_count, answer.items.length);
    return answer.items.map((event) => event.timestamp.slice(5, 16));
  }

  async eventLists() {
    const name = ["ai.call", "page.view"];
    const calls = [
      "01-01T00:00", "01-01T13:00", "01-01T20:00", "01-02T23:59", "01-03T05:00", "01-03T23:00", "02-01T12:00", "03-10T10:00",
    ];
    checks.equal("by name", await this.times({ name: "ai.call" }), calls);
    checks.equal("by names and source", (await this.times({ name, source: ["user"] })).length, 9);
    checks.equal("by system source", await this.times({ name, source: "system" }), []);
    const ada = ["01-01T00:00", "01-01T13:00", "01-02T08:00"];
    checks.equal("by customer", await this.times({ customer_id: this.ada.id }), ada);
    checks.equal("by external customer", await this.times({ external_customer_id: "ada-1" }), ada);
    checks.equal("those a meter counts", await this.times({ meter_id: this.tokens.id }), calls.slice(0, 7));
    const within = { start_timestamp: "2024-01-01T13:00:00Z", end_timestamp: "2024-01-03T05:00:00Z" };
    checks.equal("strictly between", await this.times({ name: "ai.call", ...within }), ["01-01T20:00", "01-02T23:59"]);
    // Greater than 25: 30.5, 1000, and the text "40" compared with the text "25".
    const filter = JSON.stringify(all(clause("tokens", "gt", 25)));
    checks.equal("by filter", await this.times({ filter }), ["01-02T08:00", "01-02T23:59", "03-10T10:00"]);
    checks.equal("by metadata", await this.times({ metadata: { model: ["large", "small"], cached: true } }), ["01-01T13:00"]);
    checks.equal("by text", await this.times({ query: "PAGE.v", organization_id: this.organizationId }), ["01-02T08:00"]);

    const [event] = (await this.polar.events.list({ metadata: { tokens: 30.5 } })).items;
    checks.equal("event", event, {
      id: event.id,
      timestamp: "2024-01-02T23:59:59.999999Z",
      organization_id: this.organizationId,
      customer_id: this.grace.id,
      customer: await this.polar.customers.get(this.grace.id),
      external_customer_id: null,
      member_id: null,
      external_member_id: null,
      child_count: 0,
      parent_id: null,
      label: "ai.call",
      name: "ai.call",
      source: "user",
      metadata: { tokens: 30.5, model: "small" },
    });
    checks.equal("get", await this.polar.events.get(event.id), event);
    const [external] = (await this.polar.events.list({ metadata: { tokens: 20 } })).items;
    checks.equal("by external id", [external.customer_id, external.customer.id, external.external_customer_id], [null, this.ada.id, "ada-1"]);
    const [walkIn] = (await this.polar.events.list({ metadata: { tokens: 6 } })).items;
    checks.equal("without customer", [walkIn.customer_id, walkIn.customer, walkIn.external_customer_id], [null, null, "walk-in"]);
  }

  async eventTrees() {
    const { events } = this.polar;
    let minute = 10;
    const send = (name, rest) =>
      events.ingest({ events: [{ name, external_customer_id: "tree", timestamp: `2024-05-01T00:${minute++}:00Z`, ...rest }] });
    const only = async (name) => {
      const { items } = await events.list({ name });
      checks.equal(`one ${name}`, items.length, 1);
      return items[0];
    };
    await send("tree.root", { external_id: "tree-root" });
    await send("tree.child", { external_id: "tree-child", parent_id: "tree-root" });
    const child = await only("tree.child");
    await send("tree.grandchild", { parent_id: child.id });
    const root = await only("tree.root");
    checks.equal("parent by external id", child.parent_id, root.id);
    checks.equal("parent by event id", (await only("tree.grandchild")).parent_id, child.id);
    checks.equal("direct children", [root.child_count, (await events.get(root.id)).child_count], [1, 1]);
    const names = async (query) =>
      (await events.list({ external_customer_id: "tree", sorting: ["timestamp"], ...query })).items.map((event) => event.name);
    checks.equal("roots", await names({ depth: 0 }), ["tree.root"]);
    checks.equal("one level", await names({ depth: 1 }), ["tree.root", "tree.child"]);
    checks.equal("children", await names({ parent_id: root.id }), ["tree.child"]);
    checks.equal("descendants", await names({ parent_id: root.id, depth: 2 }), ["tree.child", "tree.grandchild"]);
    await send("tree.early", { parent_id: "tree-late" });
    checks.equal("a parent that has not arrived", (await only("tree.early")).parent_id, null);
    await send("tree.late", { external_id: "tree-late" });
    checks.equal("the parent arrives later", (await only("tree.early")).parent_id, (await only("tree.late")).id);
  }

  async namesAndTypes() {
    const { events, eventTypes } = this.polar;
    checks.equal("names", (await events.listNames({ query: "AI." })).items, [
      {
        name: "ai.call",
        label: "ai.call",
        source: "user",
        occurrences: 8,
        first_seen: "2024-01-01T00:00:00Z",
        last_seen: "2024-03-10T10:00:00Z",
      },
    ]);
    const ofAda = (await events.listNames({ customer_id: this.ada.id, source: "user", sorting: ["-occurrences"] })).items;
    checks.equal("names of a customer", ofAda.map((n) => [n.name, n.occurrences]), [["ai.call", 2], ["page.view", 1]]);
    const names = (await collect(events.iterListNames({ limit: 1, sorting: ["name"], source: "user" }))).map((n) => n.name);
    checks.equal("iterated names", names, [
      "ai.call", "now", "page.view", "tree.child", "tree.early", "tree.grandchild", "tree.late", "tree.root", "twin",
    ]);
    const types = await collect(eventTypes.iterList({ limit: 2, sorting: ["name"], source: "user" }));
    checks.equal("iterated types", types.map((type) => type.name), names);
    const view = types.find((type) => type.name === "page.view");
    checks.equal("type", [view.label, view.label_property_selector, view.occurrences], ["page.view", null, 1]);
    const labelled = await eventTypes.update(view.id, { label: " Page viewed ", label_property_selector: "model" });
    checks.equal("label", [labelled.id, labelled.label, labelled.label_property_selector], [view.id, "Page viewed", "model"]);
    checks.equal("selector is reset", (await eventTypes.update(view.id, { label: "Page viewed" })).label_property_selector, null);
    checks.equal("found by label", (await eventTypes.list({ query: "viewed" })).items.map((type) => type.name), ["page.view"]);
    checks.equal("label of the event", (await events.list({ name: "page.view" })).items[0].label, "Page viewed");
    const roots = (await eventTypes.list({ root_events: true, query: "tree.", sorting: ["name"] })).items;
    checks.equal("types of roots", roots.map((type) => type.name), ["tree.late", "tree.root"]);
  }

  async metadataKinds() {
    const llm = { vendor: "acme", model: "m1", input_tokens: 7, output_tokens: 5, total_tokens: 12 };
    const plain = { text: 'ünïcode ✓ " \\', int: 7, float: 7.25, yes: true, no: false, "a.dotted key": 1 };
    const first = { ...plain, _cost: { amount: "1.25", currency: "usd" }, _llm: { ...llm, prompt: "hi", cached_input_tokens: 2 } };
    const second = { _cost: { amount: 0.1, currency: "usd" }, _llm: llm };
    const base = { name: "kinds", external_customer_id: "kinds" };
    await this.polar.events.ingest({
      events: [
        { ...base, timestamp: "2024-06-01T00:00:00Z", metadata: first },
        { ...base, timestamp: "2024-06-01T00:00:01Z", metadata: second },
      ],
    });
    const [one, two] = (await this.polar.events.list({ name: "kinds", sorting: ["timestamp"] })).items;
    checks.equal("metadata", one.metadata, { ...first, _llm: { ...first._llm, response: null } });
    checks.equal("metadata with a number as cost", two.metadata, {
      _cost: { amount: "0.1", currency: "usd" },
      _llm: { ...llm, prompt: null, response: null },
    });
    const june = { start_timestamp: "2024-06-01T00:00:00Z", end_timestamp: "2024-06-01T00:00:00Z" };
    const filter = all(clause("name", "eq", "kinds"));
    for (const [property, total] of Object.entries({ "_cost.amount": 1.35, "_llm.total_tokens": 24, float: 7.25 })) {
      const meter = await this.polar.meters.create({ name: `sum of ${property}`, filter, aggregation: { func: "sum", property } });
      checks.equal(`sum of ${property}`, await this.ask(meter.id, june), [[total], total]);
    }
  }

  async customerMeters() {
    const { customerMeters, customers } = this.polar;
    const { items } = await customerMeters.list({ customer_id: this.ada.id, meter_id: this.tokens.id });
    checks.equal("one", items.length, 1);
    const { id, created_at, modified_at, ...rest } = items[0];
    checks.equal("customer meter", rest, {
      customer_id: this.ada.id,
      meter_id: this.tokens.id,
      consumed_units: 30,
      credited_units: 0,
      balance: -30,
      customer: await customers.get(this.ada.id),
      meter: await this.polar.meters.get(this.tokens.id),
    });
    checks.equal("get", await customerMeters.get(id), items[0]);
    const byExternal = await customerMeters.list({ external_customer_id: ["ada-1"], meter_id: [this.tokens.id] });
    checks.equal("by external customer", byExternal.items, items);
    const sorted = await customerMeters.list({ meter_id: this.tokens.id, sorting: ["-consumed_units"] });
    // Grace: 30.5 and 0.7; her text "40" is no number.
    checks.equal("sorted", sorted.items.map((m) => m.consumed_units), [31.2, 30, 0]);
    const every = await collect(customerMeters.iterList({ limit: 7 }));
    const meters = (await this.polar.meters.list()).pagination.total_count;
    checks.equal("one for every customer and meter", new Set(every.map((m) => m.id)).size, 3 * meters);

    const state = await customers.getState(this.ada.id);
    const { active_subscriptions, granted_benefits, active_meters, ...customer } = state;
    checks.equal("state: customer", customer, await customers.get(this.ada.id));
    checks.equal("state: lists", [active_subscriptions, granted_benefits, active_meters.length], [[], [], meters]);
    const inState = active_meters.find((m) => m.meter_id === this.tokens.id);
    const units = { consumed_units: 30, credited_units: 0, balance: -30 };
    checks.equal("state: meter", inState, { id, created_at, modified_at, meter_id: this.tokens.id, ...units });
    checks.equal("state by external id", await customers.getStateExternal("ada-1"), state);

    const more = { name: "ai.call", external_customer_id: "ada-1", timestamp: "2024-07-01T00:00:00Z", metadata: { tokens: 0.5 } };
    await this.polar.events.ingest({ events: [more] });
    const after = await customerMeters.get(id);
    checks.equal("read your writes", [after.consumed_units, after.balance], [30.5, -30.5]);
    const late = await customers.create({ email: "walk-in@example.com", external_id: "walk-in" });
    const [adopted] = (await customerMeters.list({ customer_id: late.id, meter_id: this.tokens.id })).items;
    checks.equal("a late customer adopts earlier usage", [adopted.consumed_units, late.first_user_event_at], [6.3, "2024-01-01T20:00:00Z"]);
  }

  async archivedMeters() {
    const { meters, customerMeters } = this.polar;
    checks.true("archived_at", (await meters.update(this.calls, { is_archived: true })).archived_at !== null);
    checks.equal("archived ones", (await meters.list({ is_archived: true })).items.map((m) => m.id), [this.calls]);
    const live = (await collect(meters.iterList({ is_archived: false }))).map((m) => m.id);
    checks.true("live ones", !live.includes(this.calls) && live.includes(this.tokens.id));
    checks.equal("still answers", (await this.ask(this.calls))[1], 5); // all of the six but "40", which is in March
    const shown = (await collect(customerMeters.iterList({ customer_id: this.ada.id }))).map((m) => m.meter_id);
    checks.true("hidden among customer meters", !shown.includes(this.calls));
    checks.equal("shown when asked for", (await customerMeters.list({ customer_id: this.ada.id, meter_id: this.calls })).items.length, 1);
    checks.equal("back", (await meters.update(this.calls, { is_archived: false })).archived_at, null);
  }

  async pages() {
    const { meters, events, customers } = this.polar;
    const names = Array.from({ length: 23 }, (_, i) => `page ${String(i).padStart(2, "0")}`);
    for (const name of names.toReversed()) {
      await meters.create({ name, filter: all(), aggregation: { func: "count" }, metadata: { kind: "paged" } });
    }
    const metadata = { kind: "paged" };
    checks.equal("iterated meters", (await collect(meters.iterList({ metadata }))).map((m) => m.name), names);
    const past = await meters.list({ page: 99, metadata });
    checks.equal("past the end", past, { items: [], pagination: { total_count: 23, max_page: 3 } });

    // 230 events in 115 seconds: ties of two, which must neither repeat nor vanish over the pages.
    const start = Date.UTC(2024, 7, 1);
    const batch = Array.from({ length: 230 }, (_, i) => ({
      name: "paged",
      external_customer_id: "paged",
      timestamp: new Date(start + Math.floor(i / 2) * 1000).toISOString(),
      metadata: { i },
    }));
    checks.equal("many events", await events.ingest({ events: batch }), { inserted: 230, duplicates: 0 });
    for (const limit of [1000, 100, 7]) {
      for (const sorting of ["timestamp", "-timestamp"]) {
        const seen = [];
        for (let page = 1, last = 1; page <= last; page++) {
          const answer = await events.list({ name: "paged", page, limit, sorting: [sorting] });
          seen.push(...answer.items.map((event) => event.metadata.i));
          last = answer.pagination.max_page;
        }
        const expected = batch.map((_, i) => (sorting === "timestamp" ? i : 229 - i));
        checks.equal(`events by ${limit}, ${sorting}`, seen, expected);
      }
    }
    const emails = (await collect(customers.iterList({ limit: 1, sorting: ["email"] }))).map((customer) => customer.email);
    checks.equal("iterated customers", emails, ["Ada@example.com", "grace@example.com", "team@example.com", "walk-in@example.com"]);
  }

  async customerChanges() {
    const { customers, events } = this.polar;
    const eve = await customers.create({ email: "eve@example.com", name: "Eve", external_id: "eve", metadata: { a: 1 } });
    checks.equal("an empty update", await customers.update(eve.id, {}), eve);
    const changes = { name: null, email: "eve2@example.com", metadata: { b: true }, locale: "FR-ca", billing_address: { country: "us", state: "CA" } };
    const updated = await customers.update(eve.id, changes);
    const shown = [updated.name, updated.email, updated.metadata, updated.locale, updated.billing_address.state];
    checks.equal("updated", shown, [null, "eve2@example.com", { b: true }, "fr-CA", "US-CA"]);
    checks.equal("updated by external id", (await customers.updateExternal("eve", { name: "Eve Again" })).name, "Eve Again");
    await events.ingest({ events: [{ name: "bye", external_customer_id: "eve" }, { name: "bye", customer_id: eve.id }] });
    checks.equal("deleting answers nothing", await customers.delete(eve.id, { anonymize: true }), undefined);
    await checks.rejects("gone by id", customers.get(eve.id), this.errors.ResourceNotFound, 404);
    await checks.rejects("gone by external id", customers.getExternal("eve"), this.errors.ResourceNotFound, 404);
    checks.equal("events stay", (await events.list({ name: "bye" })).items.length, 2);
    const reborn = await customers.create({ email: "eve2@example.com", external_id: "eve" });
    checks.true("e-mail and external id are free again", reborn.id !== eve.id);
  }

  async notFound() {
    const { customers, customerMeters, events, eventTypes, meters } = this.polar;
    const calls = {
      "meters.get": () => meters.get(NOBODY),
      "meters.update": () => meters.update(NOBODY, { name: "abc" }),
      "meters.quantities": () => meters.quantities(NOBODY, THREE_DAYS),
      "events.get": () => events.get(NOBODY),
      "customers.get": () => customers.get(NOBODY),
      "customers.update": () => customers.update(NOBODY, { name: "x" }),
      "customers.delete": () => customers.delete(NOBODY),
      "customers.getState": () => customers.getState(NOBODY),
      "customers.getExternal": () => customers.getExternal("nobody"),
      "customers.updateExternal": () => customers.updateExternal("nobody", { name: "x" }),
      "customers.deleteExternal": () => customers.deleteExternal("nobody"),
      "customers.getStateExternal": () => customers.getStateExternal("nobody"),
      "customerMeters.get": () => customerMeters.get(NOBODY),
    };
    for (const [what, call] of Object.entries(calls)) {
      const error = await checks.rejects(what, call(), this.errors.ResourceNotFound, 404);
      checks.equal(`${what}: body`, error?.error?.error, "ResourceNotFound");
    }
    const update = eventTypes.update(NOBODY, { label: "x" });
    await checks.rejects("eventTypes.update", update, this.errors.EventTypesUpdate404Error, 404);
  }

  async refused() {
    const { customers, events, meters } = this.polar;
    const count = { func: "count" };
    const meter = { name: "abc", filter: all(), aggregation: count };
    const bad = (what, changes, type, ...loc) => this.invalid(what, meters.create({ ...meter, ...changes }), type, ["body", ...loc]);
    await bad("short name", { name: "ab" }, "string_too_short", "name");
    await bad("no filter", { filter: undefined }, "missing", "filter");
    await bad("unknown function", { aggregation: { func: "median" } }, "union_tag_invalid", "aggregation");
    await bad("no property", { aggregation: { func: "sum" } }, "missing", "aggregation", "sum", "property");
    await bad("custom without label", { unit: "custom" }, "value_error");
    await bad("organization", { organization_id: this.organizationId }, "organization_token", "organization_id");
    await this.invalid("filter of a used meter", meters.update(this.tokens.id, { filter: all() }), "forbidden", ["body", "filter"]);
    await this.invalid("id", meters.get("x"), "uuid_parsing", ["path", "id"]);
    await this.invalid("sorting", meters.list({ sorting: ["size"] }), "enum", ["query", "sorting", 0]);
    const ask = (what, options, type, ...loc) =>
      this.invalid(what, meters.quantities(this.tokens.id, { ...THREE_DAYS, ...options }), type, ["query", ...loc]);
    await ask("interval", { interval: "decade" }, "enum", "interval");
    await ask("time zone", { timezone: "Mars/Phobos" }, "TimeZoneName", "timezone");
    await ask("early start", { start_timestamp: "2022-12-31T00:00:00Z" }, "greater_than_equal", "start_timestamp");
    await ask("no offset", { start_timestamp: "2024-01-01T00:00:00" }, "timezone_aware", "start_timestamp");
    await ask("end before start", { end_timestamp: "2023-06-01T00:00:00Z" }, "value_error");
    await ask("too many hours", { end_timestamp: "2024-02-01T00:00:00Z", interval: "hour" }, "value_error");
    const good = { name: "refused", external_customer_id: "x" };
    const ingest = (what, event, type, ...loc) =>
      this.invalid(what, events.ingest({ events: [good, event] }), type, ["body", "events", 1, ...loc]);
    const external = "EventCreateExternalCustomer";
    await ingest("future", { ...good, timestamp: "2999-01-01T00:00:00Z" }, "value_error", external, "timestamp");
    await ingest("long name", { ...good, name: "x".repeat(129) }, "string_too_long", external, "name");
    await ingest("unknown customer", { name: "refused", customer_id: NOBODY }, "customer_id", "customer_id");
    checks.equal("nothing of a refused batch is stored", (await events.list({ name: "refused" })).items, []);
    await this.invalid("event filter", events.list({ filter: "{" }), "json_invalid", ["query", "filter"]);
    await this.invalid("no e-mail", customers.create({}), "missing", ["body", "individual", "email"]);
    await this.invalid("taken e-mail", customers.create({ email: "ADA@EXAMPLE.com" }), "value_error", ["body", "email"]);
    await this.invalid("external id", customers.update(this.ada.id, { external_id: "other" }), "value_error", ["body", "external_id"]);
  }

  async accessTokens() {
    const { meters, events } = this.polar;
    const unknown = meters.list({}, { accessToken: "floe_oat_wrong" });
    const error = await checks.rejects("unknown token", unknown, PolarClientError, 401);
    checks.true("unknown token: body", error?.error.includes("invalid_token"), error?.error);
    const weak = { accessToken: await server.newToken(this.organizationId, ["events:write"]) };
    const scope = await checks.rejects("missing scope", meters.list({}, weak), PolarClientError, 403);
    checks.true("missing scope: body", scope?.error.includes("insufficient_scope"), scope?.error);
    const one = await events.ingest({ events: [{ name: "weak", external_customer_id: "x" }] }, weak);
    checks.equal("the scope that it has", one.inserted, 1);
    const stranger = meters.get(this.tokens.id, { accessToken: server.strangerToken });
    await checks.rejects("another organization's meter", stranger, this.errors.ResourceNotFound, 404);
    for (const organizationId of [this.organizationId, NOBODY]) {
      const polar = this.createPolar({ accessToken: this.token, baseUrl: server.url, organizationId });
      const list = polar.meters.list();
      if (organizationId === NOBODY) await checks.rejects("another organization in the header", list, PolarClientError, 403);
      else checks.true("its own organization in the header", (await list).items.length > 0);
    }
  }
}

for (const version of ["2026-04", "2026-10", "2027-01"]) {
  const organizationId = await server.newOrganization("js-1x");
  const token = await server.newToken(organizationId);
  await new Scenario(version, await import(`@polar-sh/sdk/${version}`), organizationId, token).run();
}
checks.finish();
