// @polar-sh/ingestion against Floe: plain ingestion, all four strategies and the OpenTelemetry exporter, fed without network.
//
// Needs FLOE_URL, FLOE_ROOT_TOKEN, FLOE_TOKEN and FLOE_NODE_PREFIX (where the package is installed). What arrived is read
// back with plain requests, so that nothing stands between the assertion and the server.

import { Readable } from "node:stream";
import { Checks, server } from "./support.mjs";

const checks = new Checks();
const { Ingestion } = await import("@polar-sh/ingestion");
const { DeltaTimeStrategy } = await import("@polar-sh/ingestion/strategies/DeltaTime");
const { LLMStrategy } = await import("@polar-sh/ingestion/strategies/LLM");
const { S3Strategy } = await import("@polar-sh/ingestion/strategies/S3");
const { StreamStrategy } = await import("@polar-sh/ingestion/strategies/Stream");
const { PolarTraceExporter } = await import("@polar-sh/ingestion/opentelemetry");
const { generateText, simulateReadableStream, streamText } = await import("ai");
const { MockLanguageModelV2 } = await import("ai/test");
const { PutObjectCommand, S3Client } = await import("@aws-sdk/client-s3");
const { ROOT_CONTEXT, trace } = await import("@opentelemetry/api");
const { BasicTracerProvider, SimpleSpanProcessor } = await import("@opentelemetry/sdk-trace-base");

const organizationId = await server.newOrganization("ingestion");
const accessToken = await server.newToken(organizationId);
const options = { accessToken, serverURL: server.url };
const headers = { Authorization: `Bearer ${accessToken}`, "Content-Type": "application/json" };

async function call(method, path, body) {
  const response = await fetch(server.url + path, { method, headers, body: body && JSON.stringify(body) });
  checks.true(`${method} ${path}`, response.ok, response.status);
  return response.json();
}

/** The events of a name, oldest first, once there are as many as expected. Strategies send without being awaited. */
async function arrived(name, expected) {
  const path = `/v1/events/?${new URLSearchParams({ name, limit: "100", sorting: "timestamp" })}`;
  const deadline = Date.now() + 5000;
  for (;;) {
    const { items } = await call("GET", path);
    if (items.length >= expected || Date.now() > deadline) {
      checks.equal(`events named ${name}`, items.length, expected);
      return items;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const customer = await call("POST", "/v1/customers/", { email: "ada@example.com", external_id: "ada" });

/** The total of a meter over everything that happened since the start of last year. */
async function total(name, aggregation) {
  const clauses = [{ property: "name", operator: "eq", value: name }];
  const meter = await call("POST", "/v1/meters/", { name: `meter of ${name}`, filter: { conjunction: "and", clauses }, aggregation });
  const year = new Date().getUTCFullYear();
  const query = new URLSearchParams({
    start_timestamp: `${year - 1}-01-01T00:00:00Z`,
    end_timestamp: `${year}-12-31T23:59:59Z`,
    interval: "year",
  });
  return (await call("GET", `/v1/meters/${meter.id}/quantities?${query}`)).total;
}

await checks.section("ingest", async () => {
  const { ingest } = Ingestion(options);
  const answer = await ingest([
    { name: "plain", customerId: customer.id, metadata: { route: "/api", bytes: 100 } },
    { name: "plain", externalCustomerId: "ada", metadata: { bytes: 23, _cost: { amount: 12.5, currency: "usd" } } },
    { name: "plain", externalCustomerId: "bob", externalId: "once", metadata: { bytes: 1 } },
    { name: "plain", externalCustomerId: "bob", externalId: "once", metadata: { bytes: 1 } },
  ]);
  checks.equal("answer", answer, { inserted: 3, duplicates: 1 });
  const events = await arrived("plain", 3);
  checks.equal("customers", events.map((event) => event.customer?.email ?? null).toSorted(), ["ada@example.com", "ada@example.com", null]);
  const cost = events.find((event) => event.metadata._cost);
  checks.equal("cost", cost.metadata, { bytes: 23, _cost: { amount: "12.5", currency: "usd" } });
  checks.equal("metered", await total("plain", { func: "sum", property: "bytes" }), 124);
});

await checks.section("DeltaTime", async () => {
  const clock = [1000, 1250, 5000, 5050.5];
  const timer = Ingestion(options)
    .strategy(new DeltaTimeStrategy(() => clock.shift()))
    .cost((context) => ({ amount: context.deltaTime / 100, currency: "usd" }))
    .ingest("timed")
    .client({ customerId: customer.id });
  checks.equal("first", timer()(), 250);
  await arrived("timed", 1);
  checks.equal("second", timer()(), 50.5);
  const [first, second] = await arrived("timed", 2);
  checks.equal("first event", first.metadata, { deltaTime: 250, strategy: "DeltaTime", _cost: { amount: "2.5", currency: "usd" } });
  checks.equal("second event", second.metadata, { deltaTime: 50.5, strategy: "DeltaTime", _cost: { amount: "0.505", currency: "usd" } });
  checks.equal("customer", first.customer_id, customer.id);
  checks.equal("metered", await total("timed", { func: "sum", property: "deltaTime" }), 300.5);
});

await checks.section("Stream", async () => {
  const stream = Ingestion(options)
    .strategy(new StreamStrategy(Readable.from([Buffer.alloc(3000), Buffer.alloc(96)])))
    .ingest("streamed", (context) => ({ kilobytes: context.bytes / 1024 }))
    .client({ externalCustomerId: "ada" });
  await stream.toArray();
  const [event] = await arrived("streamed", 1);
  checks.equal("event", [event.metadata, event.external_customer_id], [{ kilobytes: 3.0234375 }, "ada"]);
});

await checks.section("LLM", async () => {
  const usage = { inputTokens: 10, outputTokens: 20, totalTokens: 30, cachedInputTokens: 4 };
  const model = new MockLanguageModelV2({
    provider: "acme",
    modelId: "m1",
    doGenerate: async () => ({ content: [{ type: "text", text: "hello" }], finishReason: "stop", usage, warnings: [] }),
    doStream: async () => ({
      stream: simulateReadableStream({
        chunks: [
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: "hello" },
          { type: "text-end", id: "1" },
          { type: "finish", finishReason: "stop", usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 } },
        ],
      }),
    }),
  });
  const metered = Ingestion(options)
    .strategy(new LLMStrategy(model))
    .cost((context) => ({ amount: context.totalTokens * 0.01, currency: "usd" }))
    .ingest("llm")
    .client({ externalCustomerId: "ada" });
  checks.equal("generated", (await generateText({ model: metered, prompt: "hi" })).text, "hello");
  const [generated] = await arrived("llm", 1);
  const names = { vendor: "acme", model: "m1" };
  checks.equal("event", generated.metadata, {
    ...names,
    ...usage,
    strategy: "LLM",
    _llm: { ...names, input_tokens: 10, cached_input_tokens: 4, output_tokens: 20, total_tokens: 30, prompt: null, response: null },
    _cost: { amount: "0.3", currency: "usd" },
  });
  checks.equal("streamed", await streamText({ model: metered, prompt: "hi" }).text, "hello");
  await arrived("llm", 2);
  checks.equal("metered", await total("llm", { func: "sum", property: "_llm.total_tokens" }), 33);
});

await checks.section("S3", async () => {
  const offline = { handle: async () => ({ response: { statusCode: 200, headers: {}, body: Readable.from([]) } }) };
  const credentials = { accessKeyId: "none", secretAccessKey: "none" };
  const s3 = Ingestion(options)
    .strategy(new S3Strategy(new S3Client({ region: "nowhere", credentials, requestHandler: offline })))
    .ingest("stored")
    .client({ customerId: customer.id });
  await s3.send(new PutObjectCommand({ Bucket: "bucket", Key: "a/key", Body: "x".repeat(321), ContentType: "text/plain" }));
  const [event] = await arrived("stored", 1);
  checks.equal("event", event.metadata, { bytes: 321, strategy: "S3", bucket: "bucket", key: "a/key", contentType: "text/plain" });
});

await checks.section("OpenTelemetry", async () => {
  // The exporter sends spans with a customer only, so the parents of some never arrive. Spans end children first.
  const exporter = new PolarTraceExporter(options);
  const results = [];
  const recording = {
    export(spans, done) {
      return exporter.export(spans, (result) => {
        results.push(result);
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(recording)] });
  const tracer = provider.getTracer("test");
  const child = (name, parent, attributes) => tracer.startSpan(name, { attributes }, trace.setSpan(ROOT_CONTEXT, parent));

  const root = tracer.startSpan("otel.root", { attributes: { "http.route": "/no-customer" } });
  const handler = child("otel.handler", root, { externalCustomerId: "ada", "http.status_code": 200, cached: false });
  const query = child("otel.query", handler, { customerId: customer.id, rows: 42 });
  query.end();
  const [early] = await arrived("otel.query", 1);
  checks.equal("a parent that has not arrived", early.parent_id, null);
  handler.end();
  root.end();
  const [parent] = await arrived("otel.handler", 1);
  const [late] = await arrived("otel.query", 1);
  checks.equal("the parent arrived", late.parent_id, parent.id);
  checks.equal("children of the parent", parent.child_count, 1);
  checks.equal("a parent that never arrives", parent.parent_id, null);
  await provider.forceFlush();
  await arrived("otel.root", 0);
  checks.equal("attributes", parent.metadata, { externalCustomerId: "ada", "http.status_code": 200, cached: false });
  const seen = await call("GET", "/v1/events/?depth=0&name=otel.handler&name=otel.query");
  checks.equal("an event without resolved parent is a root", seen.items.map((event) => event.name), ["otel.handler"]);
  checks.equal("counted although the parent is missing", await total("otel.handler", { func: "count" }), 1);

  // The same span again has the same external id: accepted, and not stored twice.
  await new Promise((resolve) => exporter.export([query, handler], (result) => resolve(results.push(result))));
  await arrived("otel.query", 1);
  checks.equal("all exports succeeded", results.filter((result) => result.code !== 0), []);
  checks.equal("exports", results.length, 4);
  await provider.shutdown();
});

await checks.section("refusals", async () => {
  const wrong = Ingestion({ ...options, accessToken: "floe_oat_wrong" });
  const { SDKError } = await import("@polar-sh/sdk/models/errors/sdkerror.js");
  const { HTTPValidationError } = await import("@polar-sh/sdk/models/errors/httpvalidationerror.js");
  const events = [{ name: "refused", externalCustomerId: "ada" }];
  await checks.rejects("unknown token", wrong.ingest(events), SDKError, 401);
  const future = [...events, { ...events[0], timestamp: new Date("2999-01-01") }];
  const error = await checks.rejects("future", Ingestion(options).ingest(future), HTTPValidationError, 422);
  checks.equal("where", error?.detail?.[0]?.loc, ["body", "events", 1, "EventCreateExternalCustomer", "timestamp"]);
  await arrived("refused", 0);
});

checks.finish();
