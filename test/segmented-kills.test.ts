import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { digestOf } from "../src/oci/digest.ts";
import { ExtentMap } from "../src/store/extents.ts";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { randomNumbers } from "./harness/images/random-images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";
import { tempDir } from "./harness/temp-dir.ts";

/** 100 rounds take minutes: only in `npm run test:long`. */
const ROUNDS = process.env["ENTREPOT_LONG"] === "1" ? 100 : 2;
const MIB = 1024 * 1024;
const SIZE = 40 * MIB + 4321;
/** What each connection may have received without having it recorded, with what is in its sockets. */
const TORN_BYTES = 6 * MIB;

/** What the journals in `fills/` say is there. */
async function recorded(fills: string): Promise<ExtentMap> {
  const map = new ExtentMap();
  for (const name of await readdir(fills)) {
    if (!name.endsWith(".extents")) continue;
    const lines = (await readFile(`${fills}/${name}`, "latin1")).split("\n").slice(0, -1);
    for (const [first = 0, end = 0] of lines.map((line) => line.split(" ").map(Number))) {
      map.add(first, end);
    }
  }
  return map;
}

/** The bytes that a request asks for. */
function requested({ headers }: { readonly headers: Headers }): ExtentMap {
  const [, first = "0", last = ""] = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
  return new ExtentMap([{ first: Number(first), end: last === "" ? SIZE : Number(last) + 1 }]);
}

function overlap(one: ExtentMap, other: ExtentMap): number {
  return one.bytes + other.bytes - new ExtentMap([...one, ...other]).bytes;
}

test(
  `${ROUNDS} kill -9 in the middle of segments: what was recorded is not fetched again, and every byte is right`,
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("segments");
    const data = dir.file("data");
    const random = randomNumbers(7);
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    upstream.respond(() => faults.slow(4 * MIB));
    let layers = 0;
    let layer = randomContent(SIZE, 1);
    let bytes = bytesOf(layer);
    let before = new ExtentMap();
    let completed = 0;
    const next = (): void => {
      layers += 1;
      layer = randomContent(SIZE, 900 + layers);
      bytes = bytesOf(layer);
      before = new ExtentMap();
      upstream.addBlob("app", layer);
    };
    next();
    for (let round = 0; round < ROUNDS; round += 1) {
      await using cache = await startEntrepot({ config, data });
      upstream.forget();
      const firsts = [0, ...Array.from({ length: 4 }, () => Math.floor(random() * SIZE))];
      const kill = new AbortController();
      const reading = firsts.map((first) => readFrom(cache, layer.digest, first, kill.signal));
      // The moment of the kill is random; this does not wait for a condition.
      const pulled = Promise.all(reading);
      const isComplete = await Promise.race([
        pulled.then(() => true),
        Bun.sleep(100 + random() * 700).then(() => false),
      ]);
      kill.abort();
      await cache.stop("SIGKILL");
      for (const [index, read] of (await pulled).entries()) {
        const first = firsts[index] ?? 0;
        expect(Buffer.compare(read, bytes.subarray(first, first + read.byteLength))).toBe(0);
      }
      const requests = upstream.requests({ kind: "blob" });
      for (const request of requests) expect(overlap(requested(request), before)).toBe(0);
      const stored = (await storedBlobs(data)).some(({ digest }) => digest === layer.digest);
      if (stored || isComplete) {
        completed += 1;
        next();
        continue;
      }
      const after = await recorded(`${data}/fills`);
      const sent = requests.reduce((sum, request) => sum + request.sent, 0);
      expect(after.bytes).toBeGreaterThanOrEqual(before.bytes + sent - TORN_BYTES);
      before = after;
    }
    upstream.respond();
    await using cache = await startEntrepot({ config, data });
    expect(digestOf(await readFrom(cache, layer.digest, 0))).toBe(layer.digest);
    const fsck = await command(cache, "fsck");
    expect([fsck.code, fsck.stdout]).toEqual([0, expect.stringContaining("All blobs match")]);
    await cache.stop();
    await verifyStore(data);
    expect(await unfinishedFills(data)).toEqual([]);
    expect(completed).toBeGreaterThanOrEqual(Math.floor(ROUNDS / 20));
  },
  ROUNDS * 20_000,
);

/** What a client receives from an offset on, until the cache is killed. */
async function readFrom(
  cache: Entrepot,
  digest: string,
  first: number,
  killed?: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  try {
    const headers = first === 0 ? {} : { range: `bytes=${first}-` };
    const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`, { headers });
    expect(response.status).toBe(first === 0 ? 200 : 206);
    for await (const chunk of response.body ?? []) chunks.push(chunk);
  } catch (error) {
    if (!killed?.aborted) throw error;
  }
  return Buffer.concat(chunks);
}
