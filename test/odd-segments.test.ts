import { afterAll, beforeAll, expect, test } from "bun:test";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import {
  type Rule,
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
/** In `npm run test:long`, blobs are also divided without being asked for in parts. */
const IS_LONG = process.env["ENTREPOT_LONG"] === "1";
const SIZE = (IS_LONG ? 40 : 9) * MIB + 7;
const OFFSETS = [SIZE >> 1, SIZE >> 2, SIZE - 1000];

/** How a registry treats the requests of a download in parts. */
interface Oddity {
  readonly name: string;
  readonly rule: (upstream: ScriptedUpstream) => Rule;
  /** Whether clients may be cut off, and have to come again. */
  readonly isWrong?: boolean;
}

const isFirst = (range: string | null): boolean => range === null || range.startsWith("bytes=0-");

const oddities: readonly Oddity[] = [
  {
    name: "answers 429 to more than two connections",
    rule: (upstream) => () => {
      const open = upstream.requests().filter(({ outcome }) => outcome === "pending");
      return open.length > 2 ? faults.tooManyRequests("60") : faults.slow(40 * MIB);
    },
  },
  {
    name: "closes a third connection without a word",
    rule: (upstream) => () => {
      const open = upstream.requests().filter(({ outcome }) => outcome === "pending");
      return open.length > 2 ? { hangUp: "reset" } : faults.slow(40 * MIB);
    },
  },
  { name: "cuts each connection after 1 MiB", rule: () => () => faults.cutAfter(MIB) },
  { name: "ignores ranges", rule: () => () => faults.noRanges },
  {
    name: "ignores the ranges of all parts but the first one",
    rule:
      () =>
      ({ headers }) =>
        isFirst(headers.get("range")) ? undefined : faults.noRanges,
  },
  {
    name: "says nothing of its size",
    rule:
      () =>
      ({ headers }) => {
        const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
        const end = last === "" ? SIZE - 1 : Number(last);
        return first === undefined
          ? undefined
          : { headers: { "Content-Range": `bytes ${first}-${end}/*` } };
      },
  },
  {
    name: "compresses what it sends of a part",
    rule:
      () =>
      ({ headers }) => {
        const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
        if (first === undefined) return undefined;
        const end = last === "" ? SIZE - 1 : Number(last);
        return {
          headers: {
            "Content-Encoding": "gzip",
            "Content-Range": `bytes ${first}-${end}/${SIZE}`,
          },
          status: 206,
          body: Bun.gzipSync(new Uint8Array(end + 1 - Number(first)).fill(7)),
          framing: "chunked",
        };
      },
  },
  {
    name: "sends parts of another range",
    rule:
      () =>
      ({ headers }) =>
        isFirst(headers.get("range"))
          ? undefined
          : { headers: { "Content-Range": `bytes 5-${MIB + 4}/${SIZE}` }, contentLength: MIB },
  },
  {
    name: "names another size from part to part",
    rule:
      () =>
      ({ headers }) => {
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
        return first === undefined || first === "0"
          ? undefined
          : { headers: { "Content-Range": `bytes ${first}-${last}/${SIZE + Number(first)}` } };
      },
  },
  {
    name: "changes the blob's ETag, and its bytes",
    isWrong: true,
    rule:
      () =>
      ({ headers }) =>
        isFirst(headers.get("range"))
          ? { headers: { ETag: '"one"' } }
          : { headers: { ETag: '"two"' }, flipBitAt: SIZE - 3 * MIB },
  },
  {
    name: "sends other bytes in parts than in the whole",
    isWrong: true,
    rule:
      () =>
      ({ headers }) =>
        headers.get("range") === null ? undefined : { flipBitAt: SIZE - 3 * MIB },
  },
];

let upstream: ScriptedUpstream;
let cache: Entrepot;

const nameOf = (index: number): string => `odd${index}.test`;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  const names = oddities.map((_, index) => [nameOf(index), localUpstream(upstream.url)] as const);
  cache = await startEntrepot({ config: { upstreams: Object.fromEntries(names) } });
});

afterAll(async () => {
  await verifyStore(cache.data);
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

test.each(oddities.map((oddity, index) => [oddity.name, oddity, index] as const))(
  "clients of a registry that %s get the right bytes",
  async (_, { rule, isWrong = false }, index) => {
    const blob = randomContent(SIZE, 300 + index);
    const bytes = bytesOf(blob);
    upstream.addBlob("app", blob);
    upstream.forget();
    upstream.respond(rule(upstream));
    const path = `/v2/app/blobs/${blob.digest}?ns=${nameOf(index)}`;
    /** Whether a client got all bytes from an offset on, and was not cut off. */
    const read = async (first: number): Promise<boolean> => {
      const headers = first === 0 ? {} : { range: `bytes=${first}-` };
      try {
        const response = await cache.get(path, { headers });
        const body = await response.bytes();
        const isComplete = response.status < 300 && body.byteLength === SIZE - first;
        // Who reads a part of it verifies the whole.
        if (isComplete && !(isWrong && first > 0)) {
          expect(Buffer.compare(body, bytes.subarray(first))).toBe(0);
        }
        return isComplete;
      } catch (error) {
        if (error instanceof Error && "code" in error) return false;
        throw error;
      }
    };
    const firsts = IS_LONG ? [0, ...OFFSETS] : [...OFFSETS, 0];
    const complete = await Promise.all(firsts.map((first) => read(first)));
    if (!isWrong) expect(complete).toEqual([true, true, true, true]);
    await until(() => read(0), { what: "the whole blob" });
    const isStored = async () =>
      (await storedBlobs(cache.data)).some(({ digest }) => digest === blob.digest);
    await until(isStored, { what: "the blob to be stored" });
  },
  60_000,
);
