import { setImmediate } from "node:timers/promises";
import { eachBatch } from "./json-elements.ts";
import {
  type Descriptor,
  type Manifest,
  ManifestError,
  MAX_MANIFEST_BYTES,
  parseManifest,
} from "./manifest.ts";

/** Shorter manifests are parsed at once. In bytes. */
const SHORT = 64 * 1024;
/** The most that a manifest may have outside of its lists, in characters: it is parsed at once. */
const MAX_REST = 1024 * 1024;
/** The members that may be long. */
const LISTS = ["manifests", "layers", "blobs"] as const;

/**
 * As `parseManifest`, in steps between which other work runs: an index of 50,000 entries would block
 * the event loop for 75 ms, and 8 MiB of brackets for 400 ms.
 *
 * @throws ManifestError as `parseManifest` does, and if the JSON is nested deeper than 64 levels
 */
export async function parseLongManifest(bytes: Uint8Array, contentType: string): Promise<Manifest> {
  if (bytes.byteLength <= SHORT) return parseManifest(bytes, contentType);
  let rest = decode(bytes, contentType);
  const pieces: string[] = [];
  for (const key of LISTS) {
    const batches: [number, number][] = [];
    await eachBatch(rest, key, (start, end) => batches.push([start, end])).catch(
      (cause: unknown) => {
        throw new ManifestError(`it is not a JSON object (${String(cause)})`, { cause });
      },
    );
    const [first, ...others] = batches;
    const end = others.at(-1)?.[1];
    if (!first || end === undefined) continue;
    for (const [from, to] of others) pieces.push(`{"${key}":[${rest.slice(from, to)}]}`);
    // What is left has the first entries, so that it is a manifest of the same kind.
    rest = rest.slice(0, first[1]) + rest.slice(end);
  }
  if (rest.length > MAX_REST) {
    throw new ManifestError(`it has more than ${MAX_REST} characters besides its lists`);
  }
  const encoder = new TextEncoder();
  const manifest = parseManifest(encoder.encode(rest), contentType);
  const manifests: Descriptor[] = [...manifest.manifests];
  const blobs: Descriptor[] = [...manifest.blobs];
  for (const piece of pieces) {
    await setImmediate();
    const part = parseManifest(encoder.encode(piece), manifest.mediaType);
    manifests.push(...part.manifests);
    blobs.push(...part.blobs);
  }
  return { ...manifest, manifests, blobs };
}

function decode(bytes: Uint8Array, contentType: string): string {
  // What is too long is rejected by its length.
  if (bytes.byteLength > MAX_MANIFEST_BYTES) parseManifest(bytes, contentType);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ManifestError(`it is not JSON (Content-Type: ${contentType || "none"})`, { cause });
  }
}
