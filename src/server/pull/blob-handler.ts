import type { BlobResult } from "../../cache/results.ts";
import type { BlobLookup } from "../../cache/lookup/blob-lookup.ts";
import { HIT } from "../../cache/cache-status.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseRange, type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import { type ResponseHeaders, contentHeaders, isUnchanged } from "./headers.ts";
import { notModified } from "./manifest-handler.ts";
import type { PlacedRoute } from "./route.ts";
import type { RequestContext } from "./request-context.ts";

/** `GET, HEAD /v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs"; ranges by RFC 9110 section 14). */
export async function handleBlob(
  blobs: BlobLookup,
  route: PlacedRoute & { kind: "blob" },
  context: RequestContext,
): Promise<Response> {
  const { upstream, repo, digest } = route;
  const range = rangeOf(context.request, digest);
  if (context.isHead) {
    const { size, cacheStatus } = await blobs.head(upstream, repo, digest);
    context.noted(cacheStatus);
    const headers = blobHeaders(upstream.settings.name, digest, cacheStatus);
    if (isUnchanged(context.request, digest)) return notModified(headers);
    headers["content-length"] = String(size);
    return new Response(null, { headers });
  }
  const answer = await blobs.get(upstream, repo, digest, range);
  context.noted(answer.cacheStatus);
  const headers = blobHeaders(upstream.settings.name, digest, answer.cacheStatus);
  if (isUnchanged(context.request, digest)) {
    // What comes straight from its upstream holds a connection until somebody has read or left it.
    if (answer.kind === "streaming") await answer.body({ giveUp: () => {} }).cancel();
    return notModified(headers);
  }
  return answer.kind === "complete"
    ? storedResponse(answer.blob, answer.cacheStatus === HIT, range, headers, context)
    : growingResponse(answer, headers, context);
}

/** Straight from the file: the kernel sends it, and no byte passes through here. */
function storedResponse(
  blob: StoredBlob,
  isHit: boolean,
  request: RangeRequest | undefined,
  headers: ResponseHeaders,
  context: RequestContext,
): Response {
  if (!request) {
    const { digest, size, bytes } = blob;
    context.sends(size);
    if (isHit && blob.isInMemory) {
      context.isWhole({ digest, size, body: bytes, from: -Infinity, until: Infinity });
    }
    // Bun would serve a Range that was to be ignored from a file, but not from a stream.
    const isPlain = !context.request.headers.has("range");
    return new Response(isPlain ? blob.bytes : blob.bytes.stream(), { headers });
  }
  const range = resolveRange(request, blob.size);
  if (!range) {
    const reason = `the blob has ${blob.size} bytes`;
    throw new Fault({ kind: "invalid-range", reason, size: blob.size });
  }
  context.sends(range.last + 1 - range.first);
  headers["content-range"] = `bytes ${range.first}-${range.last}/${blob.size}`;
  const bytes = blob.bytes.slice(range.first, range.last + 1);
  return new Response(bytes, { status: 206, headers });
}

/** As it comes: without Content-Length, since Bun sends every stream chunked. */
function growingResponse(
  answer: BlobResult & { kind: "streaming" },
  headers: ResponseHeaders,
  context: RequestContext,
): Response {
  const { range, size } = answer;
  if (range) headers["content-range"] = `bytes ${range.first}-${range.last}/${size}`;
  return new Response(answer.body(context.streams()), { status: range ? 206 : 200, headers });
}

/** @throws Fault for a range that no size could satisfy */
function rangeOf(request: Request, digest: Digest): RangeRequest | undefined {
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
): ResponseHeaders {
  const headers = contentHeaders(upstream, digest, cacheStatus);
  headers["accept-ranges"] = "bytes";
  headers["content-type"] = "application/octet-stream";
  // Without it Bun would tell the name of the file.
  headers["content-disposition"] = "attachment";
  headers["cache-control"] = "public, max-age=31536000, immutable";
  return headers;
}
