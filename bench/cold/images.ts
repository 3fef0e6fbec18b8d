import { type Image, layersImage } from "../../test/harness/images/images.ts";
import { randomContent } from "../../test/harness/images/content.ts";
import type { TarEntry } from "../../test/harness/images/tar.ts";
import { MIB } from "../upstream.ts";

/** Bytes per file of a compressible layer: unpacking costs a file each, as in real layers. */
const FILE_SIZE = 64 * 1024;
/** Bytes of words that the files of compressible layers are cut from. */
const TEXT_SIZE = 8 * MIB;
/** The part of a compressible file that is random; `gzip -1` makes such a layer a third of its size. */
const RANDOM_PART = 0.05;

/** How many times its compressed size a compressible layer has. */
const EXPANSION = 2.75;

/** An image of layers that no compression makes smaller, of these sizes in MiB. */
export function incompressibleImage(sizes: readonly number[], seed: number): Image {
  const layers = sizes.map((size, at) => incompressibleLayer(size, 100 * seed + at));
  return layersImage(layers, { level: 0 });
}

/** The files of such a layer, of 1 MiB each; the same seed gives the same layer. */
export function incompressibleLayer(mebibytes: number, seed: number): TarEntry[] {
  return files(mebibytes * MIB, seed, MIB, (random) => random);
}

/**
 * An image of layers of text and some random bytes, of about these compressed sizes in MiB. Unpacking
 * it takes about as long as a fast network needs to bring it.
 */
export function compressibleImage(sizes: readonly number[], seed: number): Image {
  const text = words(seed);
  return layersImage(
    sizes.map((size, layer) =>
      files(size * MIB * EXPANSION, 100 * seed + layer, FILE_SIZE, (random, at) => {
        const start = (at * 37 * FILE_SIZE + layer * 1_000_003) % (TEXT_SIZE - FILE_SIZE);
        const content = text.slice(start, start + random.byteLength);
        content.set(random.subarray(0, random.byteLength * RANDOM_PART));
        return content;
      }),
    ),
  );
}

function files(
  bytes: number,
  seed: number,
  fileSize: number,
  contentOf: (random: Uint8Array, at: number) => Uint8Array,
): TarEntry[] {
  const entries: TarEntry[] = [];
  for (const chunk of randomContent(bytes, seed).chunks()) {
    for (let at = 0; at < chunk.byteLength; at += fileSize) {
      const number = entries.length;
      entries.push({
        path: `layer-${seed}/${number % 100}/${number}`,
        content: contentOf(chunk.subarray(at, at + fileSize), number),
      });
    }
  }
  return entries;
}

/** Text in which words of a vocabulary follow each other at random. */
function words(seed: number): Uint8Array {
  const [random = new Uint8Array()] = randomContent(MIB, seed).chunks();
  const letters = Uint8Array.from(random, (byte) => (byte % 26) + 97);
  const text = new Uint8Array(TEXT_SIZE);
  for (let at = 0, next = 0; at < TEXT_SIZE; next = (next + 1) % (random.length - 1)) {
    // Some words are frequent, others rare.
    const word = (random[next] ?? 0) & (random[next + 1] ?? 0);
    const length = 3 + (word % 9);
    text.set(letters.subarray(word * 12, word * 12 + Math.min(length, TEXT_SIZE - at)), at);
    text[at + length] = 32;
    at += length + 1;
  }
  return text;
}
