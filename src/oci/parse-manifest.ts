import { setImmediate } from "node:timers/promises";
import { eachBatch } from "./json-elements.ts";
import {
  descriptorsIn,
  invalidJson,
  LISTS,
  type Manifest,
  ManifestError,
  MAX_MANIFEST_BYTES,
  readManifest,
} from "./manifest.ts";

/** The most that a manifest may have outside of its lists, in characters: it is parsed at once. */
const MAX_REST = 1024 * 1024;

/**
 * Parses a manifest as `readManifest` says, in steps between which other work runs: an index of 50,000
 * entries would block the event loop for 75 ms, and 8 MiB of brackets for 400 ms.
 *
 * @param contentType the media type without parameters; empty if the header is absent
 * @throws ManifestError as `readManifest` does, and if it is too large or its JSON is nested deeper than 64
 * levels
 */
export async function parseManifest(bytes: Uint8Array, contentType: string): Promise<Manifest> {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw new ManifestError(
      `its ${bytes.byteLength} bytes exceed the limit of ${MAX_MANIFEST_BYTES}`,
    );
  }
  // Not fatal: what is no UTF-8 in an annotation is no business of the cache.
  let rest = new TextDecoder().decode(bytes);
  const batches: { readonly list: (typeof LISTS)[number]; readonly text: string }[] = [];
  for (const list of LISTS) {
    const found: [number, number][] = [];
    try {
      await eachBatch(rest, list, (start, end) => found.push([start, end]));
    } catch (cause) {
      throw invalidJson(cause);
    }
    const [first, ...others] = found;
    const end = others.at(-1)?.[1];
    if (!first || end === undefined) continue;
    for (const [from, to] of others) batches.push({ list, text: rest.slice(from, to) });
    // What is left has the first entries, so that it is a manifest of the same kind.
    rest = rest.slice(0, first[1]) + rest.slice(end);
  }
  if (rest.length > MAX_REST) {
    throw new ManifestError(`it has more than ${MAX_REST} characters besides its lists`);
  }
  const { mediaType, ...start } = readManifest(rest, contentType);
  const manifests = [...start.manifests];
  const blobs = [...start.blobs];
  for (const { list, text } of batches) {
    await setImmediate();
    const descriptors = descriptorsIn(list, parseElements(text));
    (list === "manifests" ? manifests : blobs).push(...descriptors);
  }
  return { mediaType, manifests, blobs };
}

function parseElements(text: string): readonly unknown[] {
  try {
    const elements: unknown = JSON.parse(`[${text}]`);
    // Text in brackets is an array, or JSON.parse throws.
    return elements as unknown[];
  } catch (cause) {
    throw invalidJson(cause);
  }
}
