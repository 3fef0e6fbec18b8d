import { type Digest, digestOf, newHasher, parseDigest } from "../../oci/digest.ts";
import type { ImageReference } from "../../oci/image-reference.ts";
import { type Descriptor, type Manifest, ManifestError } from "../../oci/manifest.ts";
import {
  bareMediaType,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../oci/media-types.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import { matchesPlatform } from "../../oci/platform-match.ts";

/** Why an image could not be pulled. */
export class TrialPullError extends Error {
  override readonly name = "TrialPullError";
}

export interface TrialPullOptions {
  /** Of the cache, without a slash at its end. */
  readonly cache: string;
  readonly image: ImageReference;
  /** Such as `linux/amd64`. */
  readonly platform: string;
  /** Of the cache's certificate, in PEM, if the system does not trust it. */
  readonly ca?: string | undefined;
}

/** What a pull has transferred. */
export interface PulledImage {
  readonly digest: Digest;
  readonly blobs: number;
  readonly bytes: number;
}

const HEADERS_MS = 30_000;
const ACCEPT = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");

/**
 * Pulls an image from a cache as containerd does, and keeps nothing of it. Each manifest and blob is verified by
 * its digest.
 *
 * @throws TrialPullError
 */
export async function trialPull(options: TrialPullOptions): Promise<PulledImage> {
  const { tag, digest } = options.image;
  const top = await manifestAt(options, digest ?? tag ?? "latest");
  const own = ownManifest(top.manifest, options.platform);
  const { manifest } = own ? await manifestAt(options, own.digest) : top;
  let bytes = 0;
  for (const blob of manifest.blobs) bytes += await receive(options, blob);
  return { digest: top.digest, blobs: manifest.blobs.length, bytes };
}

/** The manifest of an index to go on with; undefined if the manifest is an image's. */
function ownManifest({ manifests, blobs }: Manifest, platform: string): Descriptor | undefined {
  if (manifests.length === 0) {
    if (blobs.length > 0) return undefined;
    throw new TrialPullError("the manifest names neither blobs nor other manifests");
  }
  const own = manifests.find((entry) => matchesPlatform(entry.platform ?? platform, platform));
  if (own) return own;
  const offered = manifests.flatMap((entry) => entry.platform ?? []).join(", ");
  throw new TrialPullError(`the image has no ${platform}, only ${offered}: pass --platform`);
}

async function manifestAt(
  options: TrialPullOptions,
  reference: string,
): Promise<{ readonly manifest: Manifest; readonly digest: Digest }> {
  const what = `the manifest ${reference}`;
  const response = await request(options, `manifests/${reference}`, what);
  const bytes = new Uint8Array(await ended(response.arrayBuffer(), what));
  const expected = parseDigest(reference);
  const found = digestOf(bytes, expected?.startsWith("sha512:") ? "sha512" : "sha256");
  if (expected && expected !== found) throw new TrialPullError(`${what} has the digest ${found}`);
  const type = bareMediaType(response.headers.get("content-type") ?? "");
  try {
    return { manifest: await parseManifest(bytes, type), digest: found };
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new TrialPullError(`${what} is not valid: ${error.message}`, { cause: error });
  }
}

/** @returns how many bytes it has */
async function receive(options: TrialPullOptions, { digest, size }: Descriptor): Promise<number> {
  const what = `the blob ${digest}`;
  const response = await request(options, `blobs/${digest}`, what);
  const hasher = newHasher(digest);
  const reading = (async () => {
    let bytes = 0;
    if (!response.body) return bytes;
    for await (const chunk of response.body) {
      hasher.update(chunk);
      bytes += chunk.byteLength;
    }
    return bytes;
  })();
  const bytes = await ended(reading, what);
  const found = hasher.digest("hex");
  if (bytes !== size || !digest.endsWith(`:${found}`)) {
    throw new TrialPullError(`${what} has other content: ${bytes} of ${size} bytes, ${found}`);
  }
  return bytes;
}

async function request(
  { cache, image, ca }: TrialPullOptions,
  path: string,
  what: string,
): Promise<Response> {
  const url = `${cache}/v2/${image.repository}/${path}?ns=${encodeURIComponent(image.upstream)}`;
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), HEADERS_MS);
  try {
    const response = await fetch(url, {
      headers: { Accept: ACCEPT, "Accept-Encoding": "identity", "User-Agent": "entrepot-pull" },
      signal: deadline.signal,
      ...(ca === undefined ? {} : { tls: { ca } }),
    });
    if (response.ok) return response;
    const text = (await response.text()).slice(0, 1000);
    throw new TrialPullError(`the cache responds with ${response.status} for ${what}: ${text}`);
  } catch (error) {
    if (error instanceof TrialPullError) throw error;
    const reason = deadline.signal.aborted
      ? `did not respond within ${HEADERS_MS / 1000} s`
      : `cannot be reached: ${String(error instanceof Error ? error.message : error)}`;
    throw new TrialPullError(`${cache} ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function ended<T>(body: Promise<T>, what: string): Promise<T> {
  try {
    return await body;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TrialPullError(`${what} broke off: ${reason}`, { cause: error });
  }
}
