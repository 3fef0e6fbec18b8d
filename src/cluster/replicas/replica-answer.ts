import type { StoredShare } from "../../cache/sharing/replica-lookup.ts";
import { Fault } from "../../oci/fault.ts";
import { HEADERS } from "./protocol.ts";
import type { Verdict } from "./signature.ts";

/** What a replica answers another one. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array> | string;
}

export function refusalOf(verdict: Exclude<Verdict, { kind: "right" }>): Answer {
  const refusal =
    verdict.kind === "skewed" ? `clock ${Math.round(verdict.milliseconds)}` : verdict.kind;
  return { status: 401, headers: { [HEADERS.refusal]: refusal } };
}

export function storedAnswer({ blob, answeredAgo }: StoredShare, first: number): Answer {
  if (first >= blob.size) return { status: 416 };
  return {
    status: 206,
    headers: rangeHeaders(first, blob.size, answeredAgo),
    body: first === 0 ? blob.bytes.slice(0, blob.size) : blob.bytes.slice(first, blob.size),
  };
}

export function rangeHeaders(
  first: number,
  size: number,
  answeredAgo: number,
): Record<string, string> {
  return {
    "content-range": `bytes ${first}-${size - 1}/${size}`,
    "content-type": "application/octet-stream",
    ...agoHeader(answeredAgo),
  };
}

export function agoHeader(answeredAgo: number): Record<string, string> {
  return { [HEADERS.answeredAgo]: String(Math.ceil(answeredAgo)) };
}

/** For whoever reads the log of the other replica: it goes on elsewhere in any case. */
export function statusOf(error: unknown): number {
  if (!(error instanceof Fault)) throw error;
  switch (error.detail.kind) {
    case "not-found":
    case "upstream-denied":
      return 404;
    case "upstream-timeout":
    case "upstream-unreachable":
    case "upstream-failed":
    case "upstream-invalid-response":
      return 502;
    default:
      return 503;
  }
}
