import type { Content, SmallContent } from "../images/content.ts";
import { allBlobs, allManifests, type Image } from "../images/images.ts";

export interface PushTarget {
  /** The registry's base URL, `http://127.0.0.1:5000`. */
  readonly url: string;
  readonly repository: string;
  readonly tag?: string;
  /** The value of the Authorization header, for example `issuer.authorization(repository)`. */
  readonly authorization?: string;
}

/** Pushes an image with all its blobs and manifests (distribution-spec, "Push"). */
export async function push(image: Image, target: PushTarget): Promise<void> {
  const blobs = new Map(allBlobs(image).map((blob) => [blob.digest, blob]));
  for (const blob of blobs.values()) await pushBlob(blob, target);
  const manifests = allManifests(image);
  for (const manifest of manifests) await pushManifest(manifest, manifest.digest, target);
  if (target.tag !== undefined) await pushManifest(image.manifest, target.tag, target);
}

export async function pushManifest(
  manifest: SmallContent,
  reference: string,
  target: PushTarget,
): Promise<void> {
  await send(target, `/v2/${target.repository}/manifests/${reference}`, {
    method: "PUT",
    headers: { "content-type": manifest.mediaType },
    body: manifest.bytes,
  });
}

export async function pushBlob(blob: Content, target: PushTarget): Promise<void> {
  const upload = await send(target, `/v2/${target.repository}/blobs/uploads/`, { method: "POST" });
  const uploadUrl = new URL(upload.headers.get("location") ?? "", target.url);
  uploadUrl.searchParams.set("digest", blob.digest);
  await send(target, uploadUrl.href, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream" },
    body: streamOf(blob),
  });
}

async function send(
  target: PushTarget,
  path: string,
  init: {
    method: string;
    headers?: Record<string, string>;
    body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  },
): Promise<Response> {
  const { authorization } = target;
  const response = await fetch(new URL(path, target.url), {
    ...init,
    headers: { ...init.headers, ...(authorization === undefined ? {} : { authorization }) },
    tls: { rejectUnauthorized: false },
  });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`${init.method} ${response.url} failed with ${response.status}: ${text}`);
  return response;
}

function streamOf(blob: Content): ReadableStream<Uint8Array> {
  const chunks = blob.chunks()[Symbol.iterator]();
  return new ReadableStream({
    pull(controller) {
      const next = chunks.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
  });
}
