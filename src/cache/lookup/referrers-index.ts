import { setImmediate } from "node:timers/promises";
import type { Digest } from "../../oci/digest.ts";
import { eachElement } from "../../oci/json-elements.ts";
import { OCI_INDEX } from "../../oci/media-types.ts";

/** A descriptor exactly as the registry sent it, annotations included: only the client interprets it. */
export type Descriptor = Readonly<Record<string, unknown>>;

/** Under which the list of referrers is kept in the metadata store. */
export function referrersKey(digest: Digest): string {
  return `referrers ${digest}`;
}

const HEAD = `{"schemaVersion":2,"mediaType":${JSON.stringify(OCI_INDEX)},"manifests":[`;
const TAIL = "]}\n";
/** How many descriptors are written before other work may run: about a millisecond. */
const STEP = 256;
/** What a type takes in memory besides its descriptors, roughly, in bytes. */
const TYPE_OVERHEAD = 512;

/**
 * The referrers of a manifest as the image indexes that clients get, for each filter. They are written
 * once: 80,000 descriptors take 100 ms to write, and a client may ask for them all the time.
 */
export class ReferrersIndex {
  /** All referrers, as an image index. */
  readonly whole: Blob;
  /** By artifact type: descriptors as JSON, in chunks; the whole index once it was requested. */
  readonly #byType: Map<string, readonly Uint8Array<ArrayBuffer>[] | Blob>;

  constructor(whole: Blob, byType: Map<string, readonly Uint8Array<ArrayBuffer>[]>) {
    this.whole = whole;
    this.#byType = byType;
  }

  get isEmpty(): boolean {
    return this.whole.size === HEAD.length + TAIL.length;
  }

  /** What it takes in memory, in bytes. */
  get size(): number {
    return 2 * this.whole.size + TYPE_OVERHEAD * this.#byType.size;
  }

  /** Those of an artifact type, as an image index. */
  ofType(type: string): Blob {
    const found = this.#byType.get(type);
    if (found instanceof Blob) return found;
    const index = new Blob([HEAD, ...(found ?? []), TAIL]);
    // Not the types that do not occur: a client must not fill the memory with them.
    if (found) this.#byType.set(type, index);
    return index;
  }
}

/** Writes the indexes of these descriptors, in steps between which other work runs. */
export async function writeIndex(descriptors: readonly Descriptor[]): Promise<ReferrersIndex> {
  const encoder = new TextEncoder();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const byType = new Map<string, Uint8Array<ArrayBuffer>[]>();
  for (let from = 0; from < descriptors.length; from += STEP) {
    if (from > 0) await setImmediate();
    const step: string[] = [];
    const stepByType = new Map<string, string[]>();
    for (const descriptor of descriptors.slice(from, from + STEP)) {
      const text = JSON.stringify(descriptor);
      step.push(text);
      const type = descriptor["artifactType"];
      if (typeof type !== "string") continue;
      const texts = stepByType.get(type);
      if (texts) texts.push(text);
      else stepByType.set(type, [text]);
    }
    append(chunks, encoder, step);
    for (const [type, texts] of stepByType) {
      let ofType = byType.get(type);
      if (!ofType) byType.set(type, (ofType = []));
      append(ofType, encoder, texts);
    }
  }
  await setImmediate();
  return new ReferrersIndex(new Blob([HEAD, ...chunks, TAIL]), byType);
}

function append(
  chunks: Uint8Array<ArrayBuffer>[],
  encoder: TextEncoder,
  texts: readonly string[],
): void {
  chunks.push(encoder.encode(`${chunks.length > 0 ? "," : ""}${texts.join()}`));
}

/**
 * Reads the descriptors of an image index, or of an array of descriptors, in steps. What is no object is
 * skipped.
 *
 * @throws SyntaxError if it is neither
 */
export async function readDescriptors(text: string): Promise<Descriptor[]> {
  const descriptors: Descriptor[] = [];
  const document = text.startsWith("[") ? `{"manifests":${text}}` : text;
  const found = await eachElement(document, "manifests", (elements) => {
    for (const element of elements) {
      if (typeof element !== "object" || element === null || Array.isArray(element)) continue;
      // It is an object that JSON.parse made: its keys are strings.
      descriptors.push(element as Descriptor);
    }
  });
  if (found === "other") throw new SyntaxError("its manifests are no array");
  return descriptors;
}
