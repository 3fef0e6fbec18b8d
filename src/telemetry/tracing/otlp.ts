import type { AttributeValue, Span, SpanKind } from "./span.ts";

/** Of opentelemetry/proto/trace/v1/trace.proto. */
const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };
const STATUS_ERROR = 2;

export interface Resource {
  readonly [attribute: string]: AttributeValue;
}

/**
 * Spans that have ended as an `ExportTraceServiceRequest` in OTLP's JSON: that of protobuf, but with ids in
 * hexadecimal, and enums as numbers.
 */
export function exportRequest(
  resource: Resource,
  scope: { readonly name: string; readonly version: string },
  spans: readonly Span[],
): object {
  return {
    resourceSpans: [
      {
        resource: { attributes: keyValues(Object.entries(resource)) },
        scopeSpans: [{ scope, spans: spans.map((span) => spanOf(span)) }],
      },
    ],
  };
}

function spanOf(span: Span): object {
  const { context, parentId, name, kind, startedAt, endedAt = startedAt, error, links } = span;
  return {
    ...context,
    ...(parentId === undefined ? {} : { parentSpanId: parentId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanoseconds(startedAt),
    endTimeUnixNano: nanoseconds(endedAt),
    ...(span.attributes.size > 0 ? { attributes: keyValues(span.attributes) } : {}),
    ...(links.length > 0 ? { links } : {}),
    status: error === undefined ? {} : { code: STATUS_ERROR, message: error },
  };
}

function keyValues(entries: Iterable<readonly [string, AttributeValue]>): object[] {
  return Array.from(entries, ([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: AttributeValue): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  // 64-bit integers are strings in protobuf's JSON.
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** Numbers of JavaScript have too few digits for nanoseconds since the epoch. */
function nanoseconds(milliseconds: number): string {
  const whole = Math.floor(milliseconds);
  const rest = Math.floor((milliseconds - whole) * 1e6);
  return `${whole}${String(rest).padStart(6, "0")}`;
}
