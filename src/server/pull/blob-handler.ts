import type { BlobLookup } from "../../cache/lookup/blob-lookup.ts";
import type { BrokenResponses } from "../../cache/repair/broken-responses.ts";
import type { BlobResult, FreshnessWindow } from "../../cache/results.ts";
import { withTimeout } from "../../cache/with-timeout.ts";
import type { Digest } from "../../oci/digest.ts";
import type { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import { Fault } from "../../oci/fault.ts";
import {
  type ByteRange,
  parseRange,
  type RangeRequest,
  resolveRange,
  resolveSeveral,
  type SeveralRanges,
} from "../../oci/range.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import { type BlobRedirects, redirectResponse } from "./blob-redirects.ts";
import { contentHeaders, isNotModified, notModified, type ResponseHeaders } from "./headers.ts";
import { multipartRanges } from "./multipart-ranges.ts";
import type { RequestContext } from "./request-context.ts";
import type { RepositoryRoute } from "./route.ts";

/** The buffer of a connection takes a body of this size at once, in bytes: it counts as sent. */
const MAX_UNFOLLOWED = 64 * 1024;

/** How long a request waits for a look at a blob of which a response has just broken off, in milliseconds. */
const LOOK_TIMEOUT_MS = 2000;

export interface BlobHandlerOptions {
  readonly blobs: BlobLookup;
  readonly broken: BrokenResponses;
  /** Makes responses with several ranges take turns. */
  readonly severalRanges: TurnLimiter;
  /** Absent if all blobs are sent from here. */
  readonly redirects?: BlobRedirects | undefined;
}

/** `GET, HEAD /v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs"; ranges by RFC 9110 section 14). */
export async function handleBlob(
  { blobs, broken, severalRanges, redirects }: BlobHandlerOptions,
  route: RepositoryRoute & { kind: "blob" },
  context: RequestContext,
): Promise<Response> {
  const { upstream, repo, digest } = route;
  const range = rangeOf(context.request, digest);
  if (context.isHead) {
    const { size, cacheStatus } = await blobs.head(upstream, repo, digest);
    context.cacheStatus = cacheStatus;
    const headers = blobHeaders(upstream.settings.name, digest, cacheStatus, context);
    if (isNotModified(context.request, digest)) return notModified(headers);
    headers["content-length"] = String(size);
    return new Response(null, { headers });
  }
  // Several ranges are a matter of stored blobs. While one is downloaded, it is sent as a whole.
  const isSeveral = range?.kind === "several";
  if (isSeveral) await severalRanges.begin();
  // Without a body, it does not matter of which part, which nobody is to wait for (RFC 9110 section 13.2.2).
  const isUnmodified = isNotModified(context.request, digest);
  const single = isSeveral || isUnmodified ? undefined : range;
  const first = single?.kind === "from" ? single.first : 0;
  const look = broken.askedFor(digest, context.address, first);
  if (look) await withTimeout(LOOK_TIMEOUT_MS, look);
  const result = await blobs.get(
    upstream,
    repo,
    digest,
    single,
    isSeveral || isUnmodified ? false : undefined,
  );
  context.cacheStatus = result.cacheStatus;
  const headers = blobHeaders(upstream.settings.name, digest, result.cacheStatus, context);
  if (isUnmodified) {
    // A body from an upstream occupies a connection until it is read or cancelled.
    if (result.kind === "streaming") await result.body({ giveUp: () => {} }).cancel();
    return notModified(headers);
  }
  if (result.kind === "streaming") return streamingResponse(result, headers, context);
  const { blob, fresh } = result;
  const redirect = redirects && (await redirectResponse(redirects, blob, range, context));
  if (redirect) return redirect;
  const onReadFailed = (cause: unknown, at: number): void => {
    blobs.readFailed(digest, cause, at);
  };
  if (!blob.isInMemory) broken.sentTo(digest, context.address);
  return storedResponse({ blob, fresh, onReadFailed }, range, headers, context);
}

interface Stored {
  readonly blob: StoredBlob;
  readonly fresh: FreshnessWindow | undefined;
  readonly onReadFailed: (cause: unknown, at: number) => void;
}

/** The kernel sends the file (sendfile), so no byte passes through this process. */
function storedResponse(
  stored: Stored,
  request: RangeRequest | SeveralRanges | undefined,
  headers: ResponseHeaders,
  context: RequestContext,
): Response {
  const { blob, fresh } = stored;
  if (request?.kind === "several") {
    return severalResponse(stored, resolveSeveral(request, blob.size), headers, context);
  }
  if (!request) {
    const { digest, size, bytes } = blob;
    expectBody(blob, { first: 0, last: size - 1 }, context);
    if (fresh && blob.isInMemory) context.reusable = { digest, size, body: bytes, ...fresh };
    // Of a file, Bun would serve the range in the request, even if it must be ignored; of a stream
    // it does not.
    if (!context.request.headers.has("range")) return new Response(bytes, { headers });
    context.isStreamed = true;
    return new Response(bytes.stream(), { headers });
  }
  const range = resolveRange(request, blob.size);
  if (!range) {
    const reason = `the blob has ${blob.size} bytes`;
    throw new Fault({ kind: "invalid-range", reason, size: blob.size });
  }
  expectBody(blob, range, context);
  headers["content-range"] = `bytes ${range.first}-${range.last}/${blob.size}`;
  const bytes = blob.bytes.slice(range.first, range.last + 1);
  return new Response(bytes, { status: 206, headers });
}

function expectBody(
  { digest, isInMemory = false }: StoredBlob,
  { first, last }: ByteRange,
  context: RequestContext,
): void {
  const size = last + 1 - first;
  context.setBodySize(size);
  if (!isInMemory && size > MAX_UNFOLLOWED) context.sentFrom = { digest, first };
}

/**
 * Several ranges in one response, or the whole blob if none can be satisfied: 416 would end the pull
 * of a client that takes the whole as well.
 */
function severalResponse(
  stored: Stored,
  ranges: readonly ByteRange[],
  headers: ResponseHeaders,
  context: RequestContext,
): Response {
  const [range] = ranges;
  if (!range) return storedResponse(stored, undefined, headers, context);
  if (ranges.length === 1) {
    return storedResponse(stored, { kind: "from", ...range }, headers, context);
  }
  const { blob, onReadFailed } = stored;
  const type = "application/octet-stream";
  const parts = multipartRanges(blob, ranges, { type, onReadFailed });
  headers["content-type"] = parts.contentType;
  return new Response(parts.body(context.streamBody()), { status: 206, headers });
}

/** Sends a blob while it is downloaded. Without Content-Length: Bun sends every stream chunked. */
function streamingResponse(
  result: BlobResult & { kind: "streaming" },
  headers: ResponseHeaders,
  context: RequestContext,
): Response {
  const { range, size } = result;
  if (range) headers["content-range"] = `bytes ${range.first}-${range.last}/${size}`;
  return new Response(result.body(context.streamBody()), { status: range ? 206 : 200, headers });
}

/** @throws Fault for a range that no blob could satisfy */
function rangeOf(
  request: RequestContext["request"],
  digest: Digest,
): RangeRequest | SeveralRanges | undefined {
  if (request.method !== "GET") return undefined;
  const range = parseRange(request.headers.get("range"));
  const condition = request.headers.get("if-range");
  if (condition !== null && condition.trim() !== `"${digest}"`) return undefined;
  if (range?.kind === "invalid") throw new Fault({ kind: "invalid-range", reason: range.reason });
  return range;
}

function blobHeaders(
  upstream: string,
  digest: Digest,
  cacheStatus: BlobResult["cacheStatus"],
  { admitted }: Pick<RequestContext, "admitted">,
): ResponseHeaders {
  const headers = contentHeaders(upstream, digest, cacheStatus);
  headers["accept-ranges"] = "bytes";
  headers["content-type"] = "application/octet-stream";
  // Otherwise Bun adds this header with the name of the file.
  headers["content-disposition"] = "attachment";
  // What is not for everybody is kept by no cache on the way (RFC 9111 section 5.2.2.7).
  const whose = admitted?.viewer === undefined ? "public" : "private";
  headers["cache-control"] = `${whose}, max-age=31536000, immutable`;
  return headers;
}
