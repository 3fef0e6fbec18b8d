import type { BlobAnswer } from "../../cache/results.ts";
import type { Blobs } from "../../cache/lookup/blob-lookup.ts";
import { HIT } from "../../cache/cache-status.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseRange, type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import { type AnswerHeaders, contentHeaders, isUnchanged } from "./headers.ts";
import { notModified } from "./manifest-handler.ts";
import type { PlacedRoute } from "./route.ts";
import type { Visit } from "./request-context.ts";

/** `GET, HEAD /v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs"; ranges by RFC 9110 section 14). */
export async function answerBlob(
  blobs: Blobs,
  route: PlacedRoute & { kind: "blob" },
  visit: Visit,
): Promise<Response> {
  const { upstream, place, digest } = route;
  const range = rangeOf(visit.request, digest);
  if (visit.isHead) {
    const { size, note } = await blobs.head(upstream, place, digest);
    visit.noted(note);
    const headers = blobHeaders(upstream.settings.name, digest, note);
    if (isUnchanged(visit.request, digest)) return notModified(headers);
    headers["content-length"] = String(size);
    return new Response(null, { headers });
  }
  const answer = await blobs.get(upstream, place, digest, range);
  visit.noted(answer.note);
  const headers = blobHeaders(upstream.settings.name, digest, answer.note);
  if (isUnchanged(visit.request, digest)) {
    // What comes straight from its upstream holds a connection until somebody has read or left it.
    if (answer.kind === "growing") await answer.body({ giveUp: () => {} }).cancel();
    return notModified(headers);
  }
  return answer.kind === "stored"
    ? storedResponse(answer.blob, answer.note === HIT, range, headers, visit)
    : growingResponse(answer, headers, visit);
}

/** Straight from the file: the kernel sends it, and no byte passes through here. */
function storedResponse(
  blob: StoredBlob,
  isHit: boolean,
  request: RangeRequest | undefined,
  headers: AnswerHeaders,
  visit: Visit,
): Response {
  if (!request) {
    const { digest, size, bytes } = blob;
    visit.sends(size);
    if (isHit && blob.isInMemory) {
      visit.isWhole({ digest, size, body: bytes, from: -Infinity, until: Infinity });
    }
    // Bun would serve a Range that was to be ignored from a file, but not from a stream.
    const isPlain = !visit.request.headers.has("range");
    return new Response(isPlain ? blob.bytes : blob.bytes.stream(), { headers });
  }
  const range = resolveRange(request, blob.size);
  if (!range) {
    const reason = `the blob has ${blob.size} bytes`;
    throw new Fault({ kind: "invalid-range", reason, size: blob.size });
  }
  visit.sends(range.last + 1 - range.first);
  headers["content-range"] = `bytes ${range.first}-${range.last}/${blob.size}`;
  const bytes = blob.bytes.slice(range.first, range.last + 1);
  return new Response(bytes, { status: 206, headers });
}

/** As it comes: without Content-Length, since Bun sends every stream chunked. */
function growingResponse(
  answer: BlobAnswer & { kind: "growing" },
  headers: AnswerHeaders,
  visit: Visit,
): Response {
  const { range, size } = answer;
  if (range) headers["content-range"] = `bytes ${range.first}-${range.last}/${size}`;
  return new Response(answer.body(visit.streams()), { status: range ? 206 : 200, headers });
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

function blobHeaders(upstream: string, digest: Digest, note: BlobAnswer["note"]): AnswerHeaders {
  const headers = contentHeaders(upstream, digest, note);
  headers["accept-ranges"] = "bytes";
  headers["content-type"] = "application/octet-stream";
  // Without it Bun would tell the name of the file.
  headers["content-disposition"] = "attachment";
  headers["cache-control"] = "public, max-age=31536000, immutable";
  return headers;
}
