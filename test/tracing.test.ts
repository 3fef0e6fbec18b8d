import { expect, test } from "bun:test";
import { randomContent } from "./harness/images/content.ts";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { stallAfter } from "./harness/faults/faults.ts";
import { freePort } from "./harness/free-port.ts";
import { textImage } from "./harness/images/images.ts";
import { OtlpReceiver, type ReceivedSpan } from "./harness/services/otlp-receiver.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

/** A trace of a client that records it, or not. */
function trace(number: number, isSampled = true) {
  const traceId = String(number).padStart(32, "0");
  const spanId = "b7ad6b7169203331";
  const flags = isSampled ? "01" : "00";
  return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-${flags}` } };
}

async function setUp(settings: object = {}, workers = "1") {
  const closing = new AsyncDisposableStack();
  const receiver = closing.use(new OtlpReceiver());
  const upstream = closing.use(await startScriptedUpstream());
  const image = textImage({ text: "traced" });
  upstream.add("app", image, "1");
  const cache = closing.use(
    await startEntrepot({
      config: {
        workers,
        tracing: { endpoint: receiver.url, sample: 0, ...settings },
        upstreams: {
          // One connection for each download: that is one request.
          "reg.test": { ...localUpstream(upstream.url), maxConnections: 1 },
        },
      },
    }),
  );
  const get = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const response = await cache.get(`/v2/app/${path}?ns=reg.test`, { headers });
    await response.bytes();
    return response.status;
  };
  return {
    cache,
    receiver,
    upstream,
    image,
    get,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Ends the cache, which sends what it has not sent, and returns the spans of a trace by their names. */
async function spansOf(
  { cache, receiver }: { cache: Entrepot; receiver: OtlpReceiver },
  traceId: string,
): Promise<ReceivedSpan[]> {
  await cache.stop();
  expect(receiver.problems).toEqual([]);
  return receiver.spans.filter((span) => span.traceId === traceId);
}

test("a trace of a pull has its look-up, the download, its requests to the registry, and whoever joined it", async () => {
  await using at = await setUp();
  const { cache, receiver, upstream, get } = at;
  const [first, second, unsampled] = [trace(1), trace(2), trace(3, false)];
  const blob = randomContent(24 * MIB);
  upstream.addBlob("app", blob);
  upstream.respond(({ kind }) => (kind === "blob" ? stallAfter(8 * MIB) : undefined));
  const path = `blobs/${blob.digest}`;
  const begun = get(path, first.headers);
  await until(() => upstream.requests({ kind: "blob" }).length > 0, { what: "the download" });
  const joined = get(path, second.headers);
  await until(
    async () => {
      const status: unknown = await (await cache.getAdmin("/api/v1/status")).json();
      return JSON.stringify(status).includes('"clients":2');
    },
    { what: "two followers" },
  );
  const sent = (): number => upstream.requests({ kind: "blob" })[0]?.sent ?? 0;
  await until(() => sent() >= 8 * MIB, { what: "the stall" });
  upstream.respond();
  upstream.release();
  expect(await Promise.all([begun, joined, get("manifests/1", unsampled.headers)])).toEqual([
    200, 200, 200,
  ]);
  const line = await until(() => cache.logs().find((one) => one["trace_id"] === first.traceId), {
    what: "the log line",
  });
  expect(line).toMatchObject({ msg: "request", status: 200 });

  const spans = await spansOf(at, first.traceId);
  const named = (name: string): ReceivedSpan => {
    const span = spans.find((one) => one.name === name);
    if (!span) throw new Error(`no ${name}: ${spans.map((one) => one.name).join(", ")}`);
    return span;
  };
  const pull = named("GET /v2/<name>/blobs/<digest>");
  const lookup = named("lookup");
  const fill = named("fill");
  const request = named("GET");
  expect([pull, lookup, fill, request].map(({ parentSpanId }) => parentSpanId)).toEqual([
    first.spanId,
    pull.spanId,
    lookup.spanId,
    fill.spanId,
  ]);
  expect([pull, lookup, fill, request].map(({ kind }) => kind)).toEqual([2, 1, 1, 3]);
  expect(pull.attributes).toMatchObject({
    "http.response.status_code": 200,
    "http.response.body.size": blob.size,
    "entrepot.cache.result": "miss",
    "entrepot.upstream": "reg.test",
    "entrepot.repository": "app",
  });
  expect(fill.attributes).toMatchObject({
    "entrepot.digest": blob.digest,
    "entrepot.size": blob.size,
  });
  expect(request.attributes).toMatchObject({
    "url.full": `${upstream.url}/v2/app/blobs/${blob.digest}`,
    "http.response.status_code": 200,
    "http.response.body.size": blob.size,
    "entrepot.request": "blob",
  });
  // What is a part of something lies within it, in time.
  expect(BigInt(request.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(fill.endTimeUnixNano));
  expect(BigInt(lookup.startTimeUnixNano)).toBeLessThanOrEqual(BigInt(fill.startTimeUnixNano));
  const follower = receiver.spans.find(
    ({ traceId, name }) => traceId === second.traceId && name === "lookup",
  );
  expect(follower?.links).toEqual([{ traceId: fill.traceId, spanId: fill.spanId }]);
  expect(receiver.spans.filter(({ traceId }) => traceId === unsampled.traceId)).toEqual([]);
  // Nothing of it reaches a registry.
  expect(upstream.requests().filter(({ headers }) => headers.has("traceparent"))).toEqual([]);
});

for (const workers of ["1", "2"]) {
  test(`with workers: ${workers}, hits are traced as their clients ask or by chance, and failures say why`, async () => {
    await using at = await setUp({ sample: 1 }, workers);
    const { receiver, get } = at;
    const asked = trace(4);
    for (let count = 0; count < 5; count += 1) expect(await get("manifests/1")).toBe(200);
    expect(await get("manifests/1", asked.headers)).toBe(200);
    expect(await get("manifests/none")).toBe(404);
    expect(await get("manifests/1", { traceparent: "nonsense" })).toBe(200);
    const [hit] = await spansOf(at, asked.traceId);
    expect(hit?.attributes).toMatchObject({ "entrepot.cache.result": "hit" });
    const pulls = receiver.spans.filter(({ kind }) => kind === 2);
    const statuses = pulls.map(({ attributes }) => attributes["http.response.status_code"]);
    expect(statuses.filter((status) => status === 200).length).toBe(7);
    expect(statuses.filter((status) => status === 404).length).toBe(1);
  });
}

test("pulls do not wait for a receiver that is away, and the log says so once", async () => {
  await using at = await setUp({ endpoint: `http://127.0.0.1:${freePort()}`, sample: 1 });
  const { cache, get } = at;
  for (let count = 0; count < 300; count += 1) expect(await get("manifests/1")).toBe(200);
  const message = "traces are not taken: some wait for the receiver, and more are dropped";
  await cache.logged(message);
  for (let count = 0; count < 300; count += 1) expect(await get("manifests/1")).toBe(200);
  expect(cache.logs().filter(({ msg }) => msg === message).length).toBe(1);
  expect(await cache.stop()).toBe(0);
});

realTest("a pull by containerd 2.1 that traces is one trace, containerd's own", async () => {
  await using at = await setUp();
  await using containerd = await startContainerd({
    line: "2.1",
    hosts: { "reg.test": hostsToml({ server: "https://reg.test", hosts: [at.cache.url] }) },
    // Nobody takes its own spans.
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_SERVICE_NAME: "containerd",
      OTEL_TRACES_SAMPLER: "always_on",
    },
  });
  await containerd.cri.pullImage("reg.test/app:1");
  await at.cache.stop();
  const pulls = at.receiver.spans.filter(({ kind }) => kind === 2);
  expect(pulls.map(({ name }) => name).toSorted()).toEqual([
    "GET /v2/<name>/blobs/<digest>",
    "GET /v2/<name>/blobs/<digest>",
    "GET /v2/<name>/manifests/<reference>",
    "HEAD /v2/<name>/manifests/<reference>",
  ]);
  expect(new Set(pulls.map(({ traceId }) => traceId)).size).toBe(1);
  expect(pulls.every(({ parentSpanId }) => parentSpanId !== undefined)).toBe(true);
});
