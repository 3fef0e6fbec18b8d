import { describe, expect, test } from "bun:test";
import type { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { type FillEvent, Fills } from "./fills.ts";
import { follow } from "./follow.ts";
import { Yielding } from "../fetch/yielding.ts";
import { sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";

function createFills() {
  const ended: FillEvent[] = [];
  const store = new MemoryBlobStore();
  const fills = new Fills(store, {
    stored: async () => {},
    ended: (event) => void ended.push(event),
  });
  return { store, fills, ended };
}

test("a put and a fill of one blob at once store it once", async () => {
  const { fills, store } = createFills();
  const { bytes, digest } = sampleBlob(100_000);
  const put = fills.put(digest, bytes);
  const fill = fills.startOrJoin(digest, new ScriptedSource(bytes));
  expect((await put).size).toBe(bytes.length);
  expect((await fill.stored).size).toBe(bytes.length);
  await fill.ended;
  expect(await Array.fromAsync(store.partials())).toEqual([]);
});

test("who stops waits for no blob that no client has asked for", async () => {
  const { fills } = createFills();
  const { bytes, digest } = sampleBlob(100_000);
  const source = new ScriptedSource(bytes, [{ hangsAfter: 10 }]);
  const fill = fills.start(digest, source, { yielding: new Yielding() });
  await fill.started;
  await fills.drain(3_600_000);
  expect(fill.fault?.detail.kind).toBe("cancelled");
});

test("a blob that is used counts as in use until the last use has ended", async () => {
  const { fills } = createFills();
  const { digest } = sampleBlob(10);
  const [first, second] = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  const uses = [first, second].map(({ promise }) => fills.using(digest, () => promise));
  first.reject(new Error("not recorded"));
  await Promise.allSettled(uses.slice(0, 1));
  expect(fills.inUse(digest)).toBe(true);
  second.resolve(1);
  expect(await uses[1]).toBe(1);
  expect(fills.inUse(digest)).toBe(false);
});

test("a fill of a blob that was stored in the meantime downloads nothing", async () => {
  const { fills, ended } = createFills();
  const { bytes, digest } = sampleBlob(100_000);
  await fills.put(digest, bytes);
  const source = new ScriptedSource(bytes);
  await fills.startOrJoin(digest, source).stored;
  expect(source.offsets).toEqual([]);
  expect(ended.map(({ fault }) => fault)).toEqual([undefined]);
});

describe("two upstreams that send one blob at the same moment", () => {
  const { bytes, digest } = sampleBlob(1_000_000);
  const wrong = bytes.with(5, (bytes[5] ?? 0) ^ 1);

  /** Starts a fill whose source sends its first 500,000 bytes, and follows it so far. */
  async function startHanging(
    fills: Fills,
    { sent = bytes, size }: { sent?: Uint8Array; size?: number },
  ) {
    const source = new ScriptedSource(
      sent,
      [{ hangsAfter: 500_000, bytes: sent }],
      "slow.test/app",
    );
    const fill = fills.startOrJoin(digest, source, size);
    await fill.started;
    const gaveUp = Promise.withResolvers<Fault>();
    const options = { first: 0, attempt: fill.attempt, size: fill.size };
    const reader = follow(fill, {
      ...options,
      end: bytes.length,
      giveUp: gaveUp.resolve,
    }).getReader();
    const received: Uint8Array[] = [];
    for (let length = 0; length < 400_000; length += received.at(-1)?.length ?? 0) {
      const { value } = await reader.read();
      if (value) received.push(value);
    }
    return { fill, source, reader, received, gaveUp: gaveUp.promise };
  }

  async function readRest(reader: {
    read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  }) {
    const rest: Uint8Array[] = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return rest;
      if (value) rest.push(value);
    }
  }

  test("have a fill each, and followers of the slower one go on from the stored blob", async () => {
    const { fills, store, ended } = createFills();
    const slow = await startHanging(fills, {});
    const fast = new ScriptedSource(bytes, [], "fast.test/app");
    const fill = fills.startOrJoin(digest, fast);
    expect((await fill.stored).size).toBe(bytes.length);
    const rest = await readRest(slow.reader);
    expect(Buffer.concat([...slow.received, ...rest]).equals(bytes)).toBe(true);
    await slow.fill.ended;
    expect([slow.source.sent, fast.sent]).toEqual([500_000, bytes.length]);
    expect(ended.map(({ fault }) => fault)).toEqual([undefined, undefined]);
    expect(await Array.fromAsync(store.partials())).toEqual([]);
    await slow.reader.cancel();
    expect(fills.inUse(digest)).toBe(false);
  });

  test("followers that have received wrong bytes of one give up, and those of the other get the right ones", async () => {
    const { fills } = createFills();
    const slow = await startHanging(fills, { sent: wrong });
    const fill = fills.startOrJoin(digest, new ScriptedSource(bytes, [], "fast.test/app"));
    await fill.started;
    const right = new Response(
      follow(fill, { first: 0, end: bytes.length, giveUp: () => {} }),
    ).bytes();
    expect(Buffer.compare(await right, bytes)).toBe(0);
    void readRest(slow.reader);
    expect((await slow.gaveUp).message).toContain("wrong bytes");
    expect(slow.source.corruptReports).toHaveLength(1);
    // A reader that begins now gets the stored blob.
    const late = follow(slow.fill, { first: 0, giveUp: () => {} });
    expect(Buffer.compare(await new Response(late).bytes(), bytes)).toBe(0);
  });

  test("do not share a size that one of them made up", async () => {
    const { fills } = createFills();
    const longer = Buffer.concat([bytes, Buffer.alloc(1000)]);
    const slow = await startHanging(fills, { sent: longer, size: longer.length });
    const fill = fills.startOrJoin(digest, new ScriptedSource(bytes, [], "fast.test/app"));
    expect((await fill.stored).size).toBe(bytes.length);
    void readRest(slow.reader);
    expect((await slow.gaveUp).detail.kind).toBe("upstream-invalid-response");
  });

  test("commit once if both are complete at the same moment", async () => {
    const { fills, store } = createFills();
    const started = ["one.test/app", "two.test/app"].map((name) =>
      fills.startOrJoin(digest, new ScriptedSource(bytes, [], name)),
    );
    const blobs = await Promise.all(started.map((fill) => fill.stored));
    expect(blobs.map(({ size }) => size)).toEqual([bytes.length, bytes.length]);
    await Promise.all(started.map((fill) => fill.ended));
    expect(await Array.fromAsync(store.partials())).toEqual([]);
  });

  test("resume their own partial downloads", async () => {
    const { fills, store } = createFills();
    const slow = await startHanging(fills, {});
    await fills.drain(0);
    await slow.fill.ended;
    const again = new Fills(store, { stored: async () => {}, ended: () => {} });
    const [same, other] = ["slow.test/other", "fast.test/app"].map(
      (name) => new ScriptedSource(bytes, [], name),
    );
    if (!same || !other) throw new Error("there are two sources");
    const fills2 = [other, same].map((source) => again.startOrJoin(digest, source));
    await Promise.all(fills2.map((fill) => fill.stored));
    expect([other.offsets, same.offsets]).toEqual([[0], [500_000]]);
  });
});
