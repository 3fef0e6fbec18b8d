import { expect, test } from "bun:test";
import type { Source } from "../../cache/fetch/source.ts";
import { Fill } from "../../cache/fill/fill.ts";
import { sampleBlob, ScriptedSource } from "../../cache/cachetest/scripted-source.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { ScriptedSharedStore } from "../clustertest/scripted-shared-store.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { Distrusted, type Verdict } from "./distrusted.ts";
import { SharedStoreError } from "./shared-store-error.ts";
import { SharedStoreHealth } from "./shared-store-health.ts";
import { SharedStoreSources } from "./shared-store-source.ts";

const { bytes, digest } = sampleBlob(200_000);
const blob = { digest, size: bytes.byteLength, bytes: new Blob([bytes]) };

interface Setup {
  readonly store: ScriptedSharedStore;
  readonly sources: SharedStoreSources;
  readonly distrusted: Distrusted;
  readonly verdicts: Verdict[];
  readonly received: number[];
  readonly upstream: ScriptedSource;
  readonly of: (wanted: Digest, size?: number) => readonly Source[];
}

async function setup(): Promise<Setup> {
  const store = new ScriptedSharedStore();
  await store.write(blob);
  const verdicts: Verdict[] = [];
  const received: number[] = [];
  const health = new SharedStoreHealth({ failed: () => {}, recovered: () => {} });
  const distrusted = new Distrusted(store, (_, verdict) => verdicts.push(verdict));
  const onReceived = (count: number): unknown => received.push(count);
  const sources = new SharedStoreSources({ store, health, distrusted, onReceived });
  const upstream = new ScriptedSource(bytes);
  const place = { upstream: upstream.upstream, repository: upstream.vouchesFor };
  const of = (wanted: Digest, size?: number): readonly Source[] => sources.of(place, wanted, size);
  return { store, sources, distrusted, verdicts, received, upstream, of };
}

async function fill({ of, upstream }: Setup): Promise<Fill> {
  const filling = new Fill(digest, new MemoryBlobStore(), upstream, { near: of(digest) });
  expect(await (await filling.stored).bytes.bytes()).toEqual(bytes);
  return filling;
}

test("what the store has is not asked of the upstream, which still has to say where it may be seen", async () => {
  const set = await setup();
  const filled = await fill(set);
  expect(set.upstream.offsets).toEqual([]);
  expect(filled.sources.answeredAgo(set.upstream.vouchesFor)).toBeUndefined();
  expect(set.received).toEqual([200_000]);
});

test("what it lacks costs one question", async () => {
  const set = await setup();
  await set.store.remove([digest]);
  await fill(set);
  expect([set.upstream.offsets, set.store.count("read")]).toEqual([[0], 1]);
  expect(set.of(digest)).toHaveLength(1);
});

test("a store that fails is asked by the first, and by nobody for a while", async () => {
  const set = await setup();
  set.store.problems.set("read", { kind: "busy", status: 503 });
  await fill(set);
  expect([set.upstream.offsets, set.of(digest)]).toEqual([[0], []]);
});

test("a limit of this machine is not the store's fault", async () => {
  const set = await setup();
  const limit = "file-descriptors";
  const cause = new Fault({ kind: "local-limit", upstream: "the store", limit, reason: "EMFILE" });
  set.store.failure = new SharedStoreError(
    "the store",
    { kind: "unreachable", reason: "EMFILE" },
    { cause },
  );
  await fill(set);
  expect([set.upstream.offsets, set.of(digest).length]).toEqual([[0], 1]);
});

test("being given up for silence counts as a failure, and being cancelled does not", async () => {
  const fault = new Fault({
    kind: "upstream-timeout",
    upstream: "the store",
    waitedFor: "send a byte",
    seconds: 0.3,
  });
  const cancelled = new Fault({ kind: "cancelled", reason: "nobody wants it" });
  for (const [reason, left] of [
    [cancelled, 1],
    [fault, 0],
  ] as const) {
    const set = await setup();
    const [source] = set.of(digest);
    const error = await source?.open(0, AbortSignal.abort(reason)).catch((cause: unknown) => cause);
    expect(error).toBe(reason);
    expect(set.of(digest)).toHaveLength(left);
  }
});

test("wrong bytes are fetched again elsewhere, and removed from the store", async () => {
  const set = await setup();
  set.store.forged = sampleBlob(200_000, 2).bytes;
  await fill(set);
  expect(set.upstream.offsets).toEqual([0]);
  await set.distrusted.settled();
  expect(set.verdicts).toEqual(["wrong"]);
  set.store.forged = undefined;
  expect(await set.store.size(digest)).toBeUndefined();
});

test("a blob is not removed for what another source of its download has sent", async () => {
  const set = await setup();
  set.sources.distrust(digest);
  expect(set.of(digest)).toEqual([]);
  await set.distrusted.settled();
  expect(set.verdicts).toEqual(["right"]);
  expect(set.of(digest)).toHaveLength(1);
});

test("sha512 and blobs above 5 GiB are not looked for", async () => {
  const set = await setup();
  const long = `sha512:${"a".repeat(128)}` as Digest; // The grammar is plain to see.
  expect(set.of(long)).toEqual([]);
  expect(set.of(digest, 5 * 2 ** 30)).toHaveLength(1);
  expect(set.of(digest, 5 * 2 ** 30 + 1)).toEqual([]);
});

test("a manifest is verified, and its media type is what it says of itself", async () => {
  const set = await setup();
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: 1 };
  const text = JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] });
  const content = new TextEncoder().encode(text);
  const stored = { ...sampleShared(0), bytes: new Blob([content]), size: content.byteLength };
  const manifestDigest = `sha256:${new Bun.CryptoHasher("sha256").update(content).digest("hex")}`;
  const wanted = manifestDigest as Digest; // A hash in its form.
  await set.store.write({ ...stored, digest: wanted });
  const place = { upstream: set.upstream.upstream, repository: set.upstream.vouchesFor };
  expect(await set.sources.manifest(place, wanted)).toEqual({ bytes: content, mediaType });
  expect(await set.sources.manifest(place, digest)).toBeUndefined();
  set.store.forged = new TextEncoder().encode("{}");
  expect(await set.sources.manifest(place, wanted)).toBeUndefined();
  await set.distrusted.settled();
  expect(set.verdicts).toEqual(["wrong"]);
});
