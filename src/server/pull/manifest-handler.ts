import type { ManifestPulls } from "../../cache/lookup/manifest-lookup.ts";
import { Accept } from "../../oci/accept.ts";
import { type AnswerHeaders, contentHeaders, isUnchanged } from "./headers.ts";
import type { PlacedRoute } from "./route.ts";
import type { Visit } from "./request-context.ts";

/** `GET, HEAD /v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests"). */
export async function answerManifest(
  manifests: ManifestPulls,
  route: PlacedRoute & { kind: "manifest" },
  visit: Visit,
): Promise<Response> {
  const { upstream, place, reference } = route;
  const accepted = visit.request.headers.get("accept");
  const accept = new Accept(accepted);
  if (visit.isHead) {
    const head = await manifests.head(upstream, place, reference, accept);
    visit.noted(head.note);
    const headers = contentHeaders(upstream.settings.name, head.digest, head.note);
    headers["content-type"] = head.mediaType;
    headers["content-length"] = String(head.size);
    if (isUnchanged(visit.request, head.digest)) return notModified(headers);
    return new Response(null, { headers });
  }
  const { manifest, note, fresh } = await manifests.get(upstream, place, reference, accept);
  visit.noted(note);
  const headers = contentHeaders(upstream.settings.name, manifest.digest, note);
  if (isUnchanged(visit.request, manifest.digest)) return notModified(headers);
  headers["content-type"] = manifest.mediaType;
  headers["vary"] = "Accept";
  const { digest, bytes } = manifest;
  const size = bytes.byteLength;
  visit.sends(size);
  if (fresh) visit.isWhole({ digest, size, body: bytes, accept: accepted, ...fresh });
  return new Response(bytes, { headers });
}

export function notModified(headers: AnswerHeaders): Response {
  delete headers["content-length"];
  return new Response(null, { status: 304, headers });
}
