import { fileURLToPath } from "node:url";
import * as protoLoader from "@grpc/proto-loader";
import { z } from "zod";
import { until } from "../waiting.ts";

const PROTO = fileURLToPath(new URL("../../proto/otlp-trace.proto", import.meta.url));
const SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService";

const keyValue = z.object({
  key: z.string(),
  value: z.object({
    stringValue: z.string().optional(),
    boolValue: z.boolean().optional(),
    intValue: z.string().optional(),
    doubleValue: z.number().optional(),
  }),
});
const id = z.string().regex(/^[\da-f]+$/);
const spanSchema = z.object({
  traceId: id.length(32),
  spanId: id.length(16),
  parentSpanId: id.length(16).optional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes: z.array(keyValue).default([]),
  links: z.array(z.object({ traceId: id.length(32), spanId: id.length(16) })).default([]),
  status: z.object({ code: z.number().optional(), message: z.string().optional() }),
});
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(keyValue) }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

/** A span, with the plain values of its attributes. */
export interface ReceivedSpan extends Omit<z.infer<typeof spanSchema>, "attributes"> {
  readonly attributes: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** What a receiver answers, instead of taking the spans. */
export interface Refusal {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An OTLP/HTTP receiver that takes only what is a valid message of the protocol. */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly resources: Readonly<Record<string, string | number | boolean | undefined>>[] = [];
  /** What was wrong with requests. */
  readonly problems: string[] = [];
  readonly headers: Headers[] = [];
  #refusal: (() => Refusal | undefined | Promise<Refusal | undefined>) | undefined;
  readonly #server: Bun.Server<undefined>;

  constructor(port = 0) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      routes: { "/v1/traces": { POST: (request) => this.#take(request) } },
      fetch: () => new Response(null, { status: 404 }),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** Asked at each request; without an argument, all are taken again. */
  respond(refusal?: () => Refusal | undefined | Promise<Refusal | undefined>): void {
    this.#refusal = refusal;
  }

  /** Waits for the first span that matches. */
  span(matches: (span: ReceivedSpan) => boolean, what: string): Promise<ReceivedSpan> {
    return until(() => this.spans.find((span) => matches(span)), {
      what,
      within: 20_000,
      detail: () => JSON.stringify([this.problems, this.spans.map(({ name }) => name)]),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  async #take(request: Request): Promise<Response> {
    this.headers.push(request.headers);
    const refusal = await this.#refusal?.();
    if (refusal) {
      const { status, headers = {}, body = "" } = refusal;
      if (status !== 200) return new Response(body, { status, headers });
    }
    try {
      const text = await request.text();
      this.problems.push(...protocolProblems(JSON.parse(text)));
      const { resourceSpans } = requestSchema.parse(JSON.parse(text));
      for (const { resource, scopeSpans } of resourceSpans) {
        this.resources.push(plain(resource.attributes));
        for (const { spans } of scopeSpans) {
          for (const span of spans) {
            this.spans.push({ ...span, attributes: plain(span.attributes) });
          }
        }
      }
    } catch (error) {
      this.problems.push(String(error));
      return new Response(null, { status: 400 });
    }
    return Response.json(refusal?.body === undefined ? {} : JSON.parse(refusal.body));
  }
}

function plain(
  attributes: readonly z.infer<typeof keyValue>[],
): Record<string, string | number | boolean | undefined> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, boolValue, intValue, doubleValue } }) => [
      key,
      stringValue ?? boolValue ?? (intValue === undefined ? doubleValue : Number(intValue)),
    ]),
  );
}

/**
 * What is no message of the protocol: encoded in protobuf and read again, it must be the same. Fields that do not exist
 * would be lost, and values of another type would be others.
 */
function protocolProblems(request: object): string[] {
  const binary = withBinaryIds(request);
  const { requestSerialize, requestDeserialize } = exportMethod();
  const again = requestDeserialize(requestSerialize(binary));
  return Bun.deepEquals(withBinaryIds(again), binary)
    ? []
    : [`${JSON.stringify(binary)} is ${JSON.stringify(again)}`];
}

function exportMethod(): protoLoader.MethodDefinition<object, object> {
  const loaded = protoLoader.loadSync(PROTO, { longs: String, enums: Number, bytes: String });
  const service = loaded[SERVICE];
  if (!service || !("Export" in service)) throw new Error(`${PROTO} has no Export`);
  return service["Export"];
}

/** Only in OTLP's JSON are ids hexadecimal: protobuf's has bytes in base64. */
function withBinaryIds(value: unknown): object {
  const text = JSON.stringify(value, (key, part: unknown) =>
    /^(?:traceId|spanId|parentSpanId)$/.test(key) &&
    typeof part === "string" &&
    /^[\da-f]+$/.test(part) &&
    part.length % 16 === 0
      ? Buffer.from(part, "hex").toString("base64")
      : part,
  );
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== "object" || parsed === null) throw new Error("no message");
  return parsed;
}
