import { type CacheStatus, HIT } from "../../cache/cache-status.ts";
import { type Digest, looksLikeDigest } from "../../oci/digest.ts";
import type { AccessDecision } from "../../access/decision.ts";
import type { Fault } from "../../oci/fault.ts";
import type { Span } from "../../telemetry/tracing/span.ts";
import { decisionOf } from "./admission/decision.ts";
import { type Refusal, refusalOf } from "./errors.ts";
import type { RequestContext } from "./request-context.ts";
import type { RecordedRoute } from "./route.ts";

/** A request that was answered, for the log and the metrics. */
export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  /** The client's address, without its port. */
  readonly address: string;
  readonly userAgent: string;
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bytes: number;
  /** From the arrival of the request until its response began. */
  readonly millisecondsToFirstByte: number;
  /** From the arrival of the request to the end of the response body. */
  readonly milliseconds: number;
  /** When it ended, in milliseconds since the epoch, if that was a while ago. */
  readonly at?: number;
  /** Absent if the request was refused before it was parsed. */
  readonly route?: RecordedRoute;
  /** Of the manifest that was sent, or that a HEAD names. */
  readonly digest?: Digest;
  /** How the cache came by the response. */
  readonly result?: CacheStatus["result"] | "collapsed";
  /** Why the tag that was asked for is not what its registry says, if it is held; or to which such tag belongs what is gone. */
  readonly held?: string;
  /** Whether it was refused since its signatures fail, or since they cannot be verified now. */
  readonly unsigned?: "failed" | "unverifiable";
  /** Why it was no hit, for operators. */
  readonly reason?: string;
  /** Who pulled, where that is known. */
  readonly principal?: string;
  /** What was decided about that; absent if nothing was. */
  readonly access?: AccessDecision;
  /** Set if the request is traced; ended by whoever takes the record. */
  readonly span?: Span | undefined;
  /** Why the request failed, for operators. */
  readonly error?: string;
  /** A defect of the cache: an error that is no `Fault`, with its stack. */
  readonly defect?: unknown;
  /** What the client was told, if the request is about a repository of an upstream. */
  readonly refused?: Refusal & { readonly namespace: string; readonly repository: string };
}

/** @param status the status code that was sent */
export function recordOf(context: RequestContext, status: number): RequestRecord {
  const { request, path, address, route, cacheStatus, manifestDigest, fault, defect, span } =
    context;
  const result = cacheStatus?.collapsed ? "collapsed" : cacheStatus?.result;
  return {
    method: request.method,
    path,
    address,
    userAgent: request.headers.get("user-agent") ?? "",
    status,
    bytes: context.bytes,
    millisecondsToFirstByte: context.millisecondsToFirstByte,
    milliseconds: performance.now() - context.startedAt,
    ...(route ? { route } : {}),
    ...(manifestDigest ? { digest: manifestDigest } : {}),
    ...(result ? { result } : {}),
    ...heldOf(context),
    ...unsignedOf(fault),
    ...(cacheStatus && cacheStatus !== HIT ? reasonOf(cacheStatus) : {}),
    ...(span ? { span } : {}),
    ...decisionOf(context),
    ...(fault ? { error: messageOf(fault) } : {}),
    ...(defect === undefined ? {} : { defect }),
    ...refusedOf(route, fault),
  };
}

/** A digest that is refused by its name is no tag that is held, but what such a tag needs belongs to it. */
export function heldOf({ cacheStatus, fault, route }: RequestContext): Pick<RequestRecord, "held"> {
  if (cacheStatus?.held !== undefined) return { held: cacheStatus.held };
  if (fault?.detail.kind === "not-found" && fault.detail.neededBy) return { held: fault.message };
  if (fault?.detail.kind !== "held" || route?.kind !== "manifest") return {};
  return looksLikeDigest(route.reference) ? {} : { held: fault.message };
}

function unsignedOf(fault: Fault | undefined): Pick<RequestRecord, "unsigned"> {
  const detail = fault?.detail;
  if (detail?.kind === "unverifiable") return { unsigned: "unverifiable" };
  return detail?.kind === "held" && detail.isUnsigned ? { unsigned: "failed" } : {};
}

function refusedOf(
  route: RecordedRoute | undefined,
  fault: Fault | undefined,
): Pick<RequestRecord, "refused"> {
  if (fault === undefined) return {};
  const refusal = refusalOf(fault);
  if (route && "repo" in route) {
    const { upstream, repository } = route.repo;
    return { refused: { ...refusal, namespace: upstream, repository } };
  }
  // It is refused while it is parsed.
  if (fault.detail.kind !== "not-allowed") return {};
  const { upstream, name } = fault.detail;
  return { refused: { ...refusal, namespace: upstream, repository: name } };
}

/** With what the client was not told. */
function messageOf({ message, cause }: Fault): string {
  return typeof cause === "string" ? `${message}: ${cause}` : message;
}

function reasonOf(status: CacheStatus): Pick<RequestRecord, "reason"> {
  if (status.collapsed) return { reason: "another client had asked for the same just before" };
  switch (status.result) {
    case "hit":
      return {};
    case "revalidated":
      return { reason: "the registry confirmed what is stored" };
    case "bypass":
      return { reason: "the configuration has it bypass the cache" };
    case "stale":
      return { reason: status.reason ?? "the registry could not confirm it" };
    case "miss":
      if (status.replaced) return { reason: "the registry has another one by now" };
      if (status.unstored) return { reason: "it was not stored, and could not be" };
      return { reason: "it was not stored" };
  }
}
