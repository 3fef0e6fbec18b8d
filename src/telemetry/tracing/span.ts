import { newSpanId, type TraceContext } from "./trace-context.ts";

/** In the terms of OpenTelemetry: a request that was received, one that was sent, work in between. */
export type SpanKind = "server" | "client" | "internal";

export type AttributeValue = string | number | boolean;

/** Longer values are cut, in characters: clients choose some of them. */
const MAX_VALUE = 1024;
/** A fill may have many followers. */
const MAX_LINKS = 32;

/** What the spans of one trace share. */
export interface Trace {
  readonly traceId: string;
  /** Milliseconds since the epoch, with fractions; never goes back. */
  readonly now: () => number;
  readonly ended: (span: Span) => void;
}

/** A part of a trace: what was done, when, and how it ended. Ended once; all else is ignored after that. */
export class Span {
  /** May become known only in the end. */
  name: string;
  readonly kind: SpanKind;
  readonly context: TraceContext;
  readonly parentId: string | undefined;
  readonly startedAt: number;
  readonly attributes = new Map<string, AttributeValue>();
  readonly links: TraceContext[] = [];
  readonly #trace: Trace;
  #error: string | undefined;
  #endedAt: number | undefined;

  constructor(
    trace: Trace,
    { name, kind, parentId }: { name: string; kind: SpanKind; parentId: string | undefined },
  ) {
    this.#trace = trace;
    this.name = name;
    this.kind = kind;
    this.parentId = parentId;
    this.context = { traceId: trace.traceId, spanId: newSpanId() };
    this.startedAt = trace.now();
  }

  /** Why it failed. */
  get error(): string | undefined {
    return this.#error;
  }

  get endedAt(): number | undefined {
    return this.#endedAt;
  }

  child(name: string, kind: SpanKind = "internal"): Span {
    return new Span(this.#trace, { name, kind, parentId: this.context.spanId });
  }

  /** Attributes without a value are left out. */
  set(attributes: Readonly<Record<string, AttributeValue | undefined>>): void {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined) continue;
      this.attributes.set(name, typeof value === "string" ? textOf(value) : value);
    }
  }

  /** What it has to do with a span of another trace, or elsewhere in this one. */
  link(context: TraceContext): void {
    if (this.links.length < MAX_LINKS) this.links.push(context);
  }

  fail(error: string): void {
    this.#error ??= textOf(error);
  }

  end(): void {
    if (this.#endedAt !== undefined) return;
    this.#endedAt = this.#trace.now();
    this.#trace.ended(this);
  }
}

/** Half of a surrogate pair is no text of protobuf, and would have all spans of a request refused. */
function textOf(value: string): string {
  return value.slice(0, MAX_VALUE).toWellFormed();
}
