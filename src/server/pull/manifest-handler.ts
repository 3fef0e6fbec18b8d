import type { ManifestLookup } from "../../cache/lookup/manifest-lookup.ts";
import { Accept } from "../../oci/accept.ts";
import { type ResponseHeaders, contentHeaders, isUnchanged } from "./headers.ts";
import type { PlacedRoute } from "./route.ts";
import type { RequestContext } from "./request-context.ts";

/** `GET, HEAD /v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests"). */
export async function handleManifest(
  manifests: ManifestLookup,
  route: PlacedRoute & { kind: "manifest" },
  context: RequestContext,
): Promise<Response> {
  const { upstream, repo, reference } = route;
  const accepted = context.request.headers.get("accept");
  const accept = new Accept(accepted);
  if (context.isHead) {
    const head = await manifests.head(upstream, repo, reference, accept);
    context.noted(head.cacheStatus);
    const headers = contentHeaders(upstream.settings.name, head.digest, head.cacheStatus);
    headers["content-type"] = head.mediaType;
    headers["content-length"] = String(head.size);
    if (isUnchanged(context.request, head.digest)) return notModified(headers);
    return new Response(null, { headers });
  }
  const { manifest, cacheStatus, fresh } = await manifests.get(upstream, repo, reference, accept);
  context.noted(cacheStatus);
  const headers = contentHeaders(upstream.settings.name, manifest.digest, cacheStatus);
  if (isUnchanged(context.request, manifest.digest)) return notModified(headers);
  headers["content-type"] = manifest.mediaType;
  headers["vary"] = "Accept";
  const { digest, bytes } = manifest;
  const size = bytes.byteLength;
  context.sends(size);
  if (fresh) context.isWhole({ digest, size, body: bytes, accept: accepted, ...fresh });
  return new Response(bytes, { headers });
}

export function notModified(headers: ResponseHeaders): Response {
  delete headers["content-length"];
  return new Response(null, { status: 304, headers });
}
