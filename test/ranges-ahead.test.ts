import { afterAll, beforeAll, expect, test } from "bun:test";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import { bytesOf, contentOf, descriptor, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const SIZE = 33 * MIB + 12_345;

let upstream: ScriptedUpstream;
let cache: Entrepot;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

/** Bytes of the layer: `last` inclusive. What was read is what the client takes before it leaves. */
type Read = (range?: string, taken?: number) => Promise<Uint8Array>;

/** What clients ask for, and the bytes that they get. */
interface Pattern {
  readonly name: string;
  readonly pull: (read: Read, bytes: Uint8Array) => Promise<void>;
}

/** The layer in so many parts. The fill itself begins with the first one, and with no other. */
function parts(count: number): readonly (readonly [first: number, last: number])[] {
  const starts = Array.from({ length: count }, (_, index) =>
    index === 0 ? 0 : 9 * MIB + Math.floor(((index - 1) * (SIZE - 9 * MIB)) / (count - 1)),
  );
  return starts.map((first, index) => [first, (starts[index + 1] ?? SIZE) - 1]);
}

const patterns: readonly Pattern[] = [
  {
    name: "more ranges at once than there are connections",
    pull: async (read, bytes) => {
      const all = await Promise.all(parts(14).map(([first, last]) => read(`${first}-${last}`)));
      expect(Buffer.concat(all).equals(bytes)).toBe(true);
    },
  },
  {
    name: "the footer, the table of contents, some chunks, and then the whole",
    pull: async (read, bytes) => {
      for (const [first, last] of [
        [SIZE - 51, SIZE - 1],
        [SIZE - 300_000, SIZE - 52],
        [28 * MIB, 28 * MIB + 99_999],
        [9 * MIB, 9 * MIB + 99_999],
      ] as const) {
        const part = await read(`${first}-${last}`);
        expect(Buffer.from(part).equals(bytes.subarray(first, last + 1))).toBe(true);
      }
      expect(Buffer.from(await read()).equals(bytes)).toBe(true);
    },
  },
  {
    name: "the whole and ranges at once",
    pull: async (read, bytes) => {
      const ranges = [`${16 * MIB}-${20 * MIB - 1}`, `${30 * MIB}-${32 * MIB - 1}`, "-100"];
      const [whole, first, second, footer] = await Promise.all(
        [undefined, ...ranges].map((range) => read(range)),
      );
      expect(Buffer.from(whole ?? []).equals(bytes)).toBe(true);
      expect(Buffer.from(first ?? []).equals(bytes.subarray(16 * MIB, 20 * MIB))).toBe(true);
      expect(Buffer.from(second ?? []).equals(bytes.subarray(30 * MIB, 32 * MIB))).toBe(true);
      expect(Buffer.from(footer ?? []).equals(bytes.subarray(-100))).toBe(true);
    },
  },
  {
    name: "open-ended ranges that clients leave after their part",
    pull: async (read, bytes) => {
      const all = await Promise.all(
        parts(6).map(([first, last]) => read(`${first}-`, last - first + 1)),
      );
      expect(Buffer.concat(all).equals(bytes)).toBe(true);
    },
  },
  {
    name: "a range that its client leaves at once, and then the whole",
    pull: async (read, bytes) => {
      const begin = await read(`${25 * MIB}-`, 1000);
      expect(Buffer.from(begin).equals(bytes.subarray(25 * MIB, 25 * MIB + 1000))).toBe(true);
      expect(Buffer.from(await read()).equals(bytes)).toBe(true);
    },
  },
];

/** The last two are left to `npm run test:long`. */
const tried = process.env["ENTREPOT_LONG"] === "1" ? patterns : patterns.slice(0, 3);

test.each(tried.map((pattern, index) => [pattern.name, pattern, index] as const))(
  "of a layer that is not here, %s cost no byte twice",
  async (_, { pull }, index) => {
    const layer = randomContent(SIZE, 700 + index);
    const config = contentOf({ index }, "application/vnd.oci.image.config.v1+json");
    const manifest = contentOf(
      {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: descriptor(config),
        layers: [descriptor(layer)],
      },
      OCI_MANIFEST,
    );
    upstream.add("app", { manifest, blobs: [config, layer], children: [] }, `v${index}`);
    upstream.respond(({ kind }) => (kind === "blob" ? faults.slow(40 * MIB) : undefined));
    await cache.get(`/v2/app/manifests/v${index}?ns=reg.test`);
    upstream.forget();
    const read: Read = async (range, taken = Infinity) => {
      const leaving = new AbortController();
      const response = await cache.get(`/v2/app/blobs/${layer.digest}?ns=reg.test`, {
        headers: range === undefined ? {} : { range: `bytes=${range}` },
        signal: leaving.signal,
      });
      expect(response.status).toBe(range === undefined ? 200 : 206);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of response.body ?? []) {
        chunks.push(chunk);
        length += chunk.byteLength;
        if (length >= taken) break;
      }
      leaving.abort();
      return Buffer.concat(chunks).subarray(0, taken);
    };
    await pull(read, bytesOf(layer));
    const isStored = async () =>
      (await storedBlobs(cache.data)).some(({ digest }) => digest === layer.digest);
    await until(isStored, { what: "the layer to be stored" });
    const requests = upstream.requests({ kind: "blob" });
    const sent = requests.reduce((sum, request) => sum + request.sent, 0);
    expect(sent / SIZE).toBe(1);
  },
  30_000,
);
