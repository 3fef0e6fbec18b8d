/** A place in a trace, as W3C Trace Context has it: 32 and 16 hexadecimal digits. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
}

/** What a client says of the trace that its request belongs to. */
export interface RemoteContext extends TraceContext {
  /** Whether the client records the trace. */
  readonly isSampled: boolean;
}

/** `version-traceid-parentid-flags`; later versions may have more behind it (section 3.2.2). */
const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const INVALID_VERSION = "ff";
const SAMPLED = 1;

/** Parses a `traceparent` header. What is not valid starts no error: the request gets a trace of its own. */
export function parseTraceparent(text: string): RemoteContext | undefined {
  const [, version, traceId = "", spanId = "", flags = "", more] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || version === INVALID_VERSION) return undefined;
  if (version === "00" && more !== undefined) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

export function newTraceId(): string {
  return randomHex(16);
}

export function newSpanId(): string {
  return randomHex(8);
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
