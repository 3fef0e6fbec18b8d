import type { ManifestLookup } from "../../cache/lookup/manifest-lookup.ts";
import { Accept } from "../../oci/accept.ts";
import { contentHeaders, isNotModified, notModified } from "./headers.ts";
import type { RequestContext } from "./request-context.ts";
import type { RepositoryRoute } from "./route.ts";

/** `GET, HEAD /v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests"). */
export async function handleManifest(
  manifests: ManifestLookup,
  route: RepositoryRoute & { kind: "manifest" },
  context: RequestContext,
): Promise<Response> {
  const { upstream, repo, reference } = route;
  const acceptHeader = context.request.headers.get("accept");
  const accept = new Accept(acceptHeader);
  if (context.isHead) {
    const head = await manifests.head(upstream, repo, reference, accept);
    context.cacheStatus = head.cacheStatus;
    context.manifestDigest = head.digest;
    const headers = contentHeaders(upstream.settings.name, head.digest, head.cacheStatus);
    headers["content-type"] = head.mediaType;
    headers["content-length"] = String(head.size);
    if (isNotModified(context.request, head.digest)) return notModified(headers);
    return new Response(null, { headers });
  }
  const { manifest, cacheStatus, fresh } = await manifests.get(upstream, repo, reference, accept);
  context.cacheStatus = cacheStatus;
  const { digest, bytes } = manifest;
  context.manifestDigest = digest;
  const headers = contentHeaders(upstream.settings.name, digest, cacheStatus);
  if (isNotModified(context.request, digest)) return notModified(headers);
  headers["content-type"] = manifest.mediaType;
  headers["vary"] = "Accept";
  const size = bytes.byteLength;
  context.setBodySize(size);
  if (fresh) context.reusable = { digest, size, body: bytes, accept: acceptHeader, ...fresh };
  return new Response(bytes, { headers });
}
