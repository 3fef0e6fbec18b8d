import { expect, test } from "bun:test";
import { makeCertificate } from "../../../test/harness/services/certificates.ts";
import { OtlpReceiver } from "../../../test/harness/services/otlp-receiver.ts";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { until } from "../../../test/harness/waiting.ts";
import { Exporter } from "./exporter.ts";
import { Tracer } from "./tracer.ts";

function setUp(receiver: OtlpReceiver, headers: () => Promise<Record<string, string>>) {
  const told = { exported: 0, dropped: 0, log: [] as string[] };
  const exporter = new Exporter({
    url: new URL(`${receiver.url}/v1/traces`),
    headers,
    resource: { "service.name": "entrepot", "process.pid": 1 },
    version: "1.2.3",
    delayMs: 5,
    observer: {
      exported: (spans) => (told.exported += spans),
      dropped: (spans) => (told.dropped += spans),
      failed: (reason) => void told.log.push(reason),
      recovered: () => void told.log.push("recovered"),
    },
  });
  const tracer = new Tracer({ sample: 1, ended: (span) => exporter.add(span) });
  return { exporter, told, begin: () => tracer.pull("GET", undefined) };
}

const noHeaders = async (): Promise<Record<string, string>> => ({});

test("spans arrive as valid messages of OTLP, with all kinds of values", async () => {
  await using receiver = new OtlpReceiver();
  const { exporter, told, begin } = setUp(receiver, async () => ({ authorization: "Bearer x" }));
  await using _ = exporter;
  const pull = begin();
  const other = begin();
  pull?.set({
    text: 'quote " \u0000 \ud800',
    whole: -3,
    part: 0.25,
    huge: 1e300,
    is: false,
    not: undefined,
  });
  pull?.set({ long: "x".repeat(5000) });
  const child = pull?.child("fill");
  if (other) child?.link(other.context);
  child?.fail("it broke");
  child?.end();
  pull?.end();
  const span = await receiver.span(({ name }) => name === "GET", "the pull");
  const fill = await receiver.span(({ name }) => name === "fill", "the fill");
  expect(receiver.problems).toEqual([]);
  expect(span.attributes).toMatchObject({ whole: -3, part: 0.25, huge: 1e300, is: false });
  expect(Object.keys(span.attributes)).not.toContain("not");
  expect(String(span.attributes["long"]).length).toBe(1024);
  expect(fill).toMatchObject({
    traceId: span.traceId,
    parentSpanId: span.spanId,
    kind: 1,
    links: [other?.context ?? {}],
    status: { code: 2, message: "it broke" },
  });
  expect(BigInt(fill.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(fill.startTimeUnixNano));
  expect(receiver.resources[0]).toEqual({ "service.name": "entrepot", "process.pid": 1 });
  expect(receiver.headers[0]?.get("authorization")).toBe("Bearer x");
  await until(() => told.exported === 2, { what: "two spans" });
});

test("what a receiver refuses for now is sent again, for good is dropped, in part is counted", async () => {
  await using receiver = new OtlpReceiver();
  const { exporter, told, begin } = setUp(receiver, noHeaders);
  await using _ = exporter;
  const answers = [{ status: 503 }, { status: 200 }, { status: 400 }];
  receiver.respond(() => answers.shift());
  begin()?.end();
  await until(() => told.exported === 1, { what: "the span" });
  expect(told.log).toEqual([`${receiver.url}/v1/traces answers 503`, "recovered"]);
  begin()?.end();
  await until(() => told.dropped === 1, { what: "a span that is refused" });
  receiver.respond(() => ({
    status: 200,
    body: '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}',
  }));
  for (let count = 0; count < 3; count += 1) begin()?.end();
  await until(() => told.exported === 2, { what: "the one that was taken" });
  expect(told.dropped).toBe(3);
});

test("a receiver with a private certificate is trusted with its CA, and not without", async () => {
  await using dir = await tempDir("otlp");
  const { key, certificate: ca } = await makeCertificate(dir);
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { key, cert: ca },
    fetch: () => Response.json({}),
  });
  const url = new URL(`https://127.0.0.1:${server.port}/v1/traces`);
  for (const [trust, expected] of [
    [{ ca }, "exported"],
    [{}, "failed"],
  ] as const) {
    const { promise, resolve } = Promise.withResolvers<string>();
    await using exporter = new Exporter({
      url,
      ...trust,
      headers: noHeaders,
      resource: {},
      version: "1.2.3",
      delayMs: 5,
      observer: {
        exported: () => resolve("exported"),
        dropped: () => {},
        failed: () => resolve("failed"),
        recovered: () => {},
      },
    });
    new Tracer({ sample: 1, ended: (span) => exporter.add(span) }).pull("GET", undefined)?.end();
    expect(await promise).toBe(expected);
  }
});

test("of a receiver that hangs, no more than a bounded number of spans waits", async () => {
  await using receiver = new OtlpReceiver();
  const hang = Promise.withResolvers<undefined>();
  receiver.respond(() => hang.promise);
  const { exporter, told, begin } = setUp(receiver, noHeaders);
  for (let count = 0; count < 5000; count += 1) begin()?.end();
  expect(told.dropped).toBe(5000 - 2048);
  hang.resolve(undefined);
  await exporter[Symbol.asyncDispose]();
  expect(told.exported).toBe(2048);
});

test("a receiver that hangs does not hold up the end of the process", async () => {
  await using receiver = new OtlpReceiver();
  receiver.respond(() => new Promise(() => {}));
  const { exporter, begin } = setUp(receiver, noHeaders);
  begin()?.end();
  await until(() => receiver.headers.length > 0, { what: "the request" });
  await exporter[Symbol.asyncDispose]();
}, 5000);
