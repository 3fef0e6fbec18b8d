import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { Fault } from "../../oci/fault.ts";
import { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import { DiskBudget } from "../../store/space/disk-budget.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { type Behaviour, sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import type { Fill } from "./fill.ts";
import { type FillEvent, Fills } from "./fills.ts";
import { follow, type FollowOptions } from "./follow.ts";
import type { ChunkReader } from "../fetch/source.ts";

const MIB = 1024 * 1024;
const { bytes, digest } = sampleBlob(MIB);
const wrong = bytes.map((byte) => byte ^ 1);

/** Two upstreams that are asked for the same blob: `honest` has it, and `other` behaves as scripted. */
function setUp(behaviour: Behaviour, store = new MemoryBlobStore()) {
  const ended: FillEvent[] = [];
  const fills = new Fills(store, {
    stored: async () => {},
    ended: (event) => void ended.push(event),
  });
  return {
    store,
    fills,
    /** The events of fills that ended, by the upstream. */
    faults: () => ended.map(({ source, fault }) => [source, fault?.detail.kind]),
    honest: new ScriptedSource(bytes, [], "honest.test/app"),
    other: new ScriptedSource(bytes, [behaviour], "other.test/app"),
  };
}

/** A client of a fill. `gaveUp` resolves if it cannot get the rest. */
function clientOf(fill: Fill, options: Partial<FollowOptions> = {}) {
  const gaveUp = Promise.withResolvers<Fault>();
  const body = follow(fill, { first: 0, giveUp: gaveUp.resolve, ...options });
  return { reader: body.getReader(), gaveUp: gaveUp.promise };
}

/** Reads so many bytes, or all. */
async function read(reader: ChunkReader, count = Infinity): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (let length = 0; length < count;) {
    const { done, value } = await reader.read();
    if (done || !value) break;
    chunks.push(value);
    length += value.byteLength;
  }
  return Buffer.concat(chunks);
}

/** Rejects with the signal's reason once it is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}

const rest = (received: Buffer) => Buffer.from(bytes).subarray(received.byteLength);

describe("a fill whose blob another upstream's fill stores first", () => {
  test("has started, although its upstream has not answered, which proves nothing about it", async () => {
    const { fills, honest, other } = setUp({});
    other.open = (_, signal) => aborted(signal);
    const silent = fills.startOrJoin(digest, other);
    await fills.startOrJoin(digest, honest).stored;
    await silent.started;
    expect(silent.isStored).toBe(true);
    expect(silent.sources.answeredAgo(other.vouchesFor)).toBeUndefined();
    expect((await read(clientOf(silent).reader)).equals(bytes)).toBe(true);
  });

  test("cuts off the followers that received wrong bytes, and gives the right ones to others", async () => {
    const { fills, honest, other, faults } = setUp({ bytes: wrong, hangsAfter: 600_000 });
    const bad = fills.startOrJoin(digest, other, MIB);
    await bad.started;
    const [spoiled, fresh] = [clientOf(bad, { end: MIB }), clientOf(bad, { end: MIB })];
    await read(spoiled.reader, 1);
    const good = fills.startOrJoin(digest, honest, MIB);
    const served = clientOf(good);
    await good.stored;
    void spoiled.reader.read();
    expect((await spoiled.gaveUp).detail.kind).toBe("upstream-invalid-response");
    expect((await read(fresh.reader)).equals(bytes)).toBe(true);
    expect((await read(served.reader)).equals(bytes)).toBe(true);
    expect(other.corruptReports).toHaveLength(1);
    expect(faults()).toContainEqual(["other.test/app", "upstream-invalid-response"]);
    await spoiled.reader.cancel();
  });

  test("gives none of its unverified bytes to a follower that begins afterwards", async () => {
    const { fills, honest, other } = setUp({ bytes: wrong, hangsAfter: 600_000 });
    const bad = fills.startOrJoin(digest, other);
    while (bad.received < 600_000) await bad.progress();
    await fills.startOrJoin(digest, honest).stored;
    await bad.stored;
    expect((await read(clientOf(bad).reader)).equals(bytes)).toBe(true);
  });

  test("is judged only by what followers received of it", async () => {
    const partly = bytes.slice();
    partly.set(wrong.subarray(300_000), 300_000);
    const { fills, honest, other } = setUp({ bytes: partly, hangsAfter: 600_000 });
    const bad = fills.startOrJoin(digest, other);
    await bad.started;
    const { reader } = clientOf(bad);
    const begin = await read(reader, 1);
    while (bad.received < 600_000) await bad.progress();
    await fills.startOrJoin(digest, honest).stored;
    expect((await read(reader)).equals(rest(begin))).toBe(true);
    expect(bad.mismatch).toBeUndefined();
  });

  test.each([
    ["a manifest", MIB - 1, {}],
    ["its response", undefined, { size: MIB + 1 }],
  ])(
    "goes on only for followers whom no size was promised that is wrong: by %s",
    async (...row) => {
      const [, size, behaviour] = row;
      const { fills, honest, other } = setUp({ ...behaviour, size: MIB - 1, hangsAfter: 600_000 });
      const lying = fills.startOrJoin(digest, other, size);
      await lying.started;
      const told = clientOf(lying, { attempt: lying.attempt, size: lying.size });
      const untold = clientOf(lying, { attempt: lying.attempt });
      await fills.startOrJoin(digest, honest).stored;
      void told.reader.read();
      expect((await told.gaveUp).detail.kind).toBe("upstream-invalid-response");
      expect((await read(untold.reader)).equals(bytes)).toBe(true);
      expect(lying.size).toBe(MIB);
      await told.reader.cancel();
    },
  );

  test.each([0, 10_000])(
    "takes a follower that is far ahead away from its own transfer that stalls after %d bytes",
    async (hangsAfter) => {
      const { fills, honest, other } = setUp({ hangsAfter: 10_000 });
      // Otherwise the fill itself receives what is far ahead.
      const slow = fills.startOrJoin(digest, Object.assign(other, { maxConnections: 1 }));
      await slow.started;
      const first = 500_000;
      const openAhead = (from: number) =>
        hangsAfter === 0
          ? new Promise<never>(() => {})
          : new ScriptedSource(bytes, [{ hangsAfter }]).open(from, new AbortController().signal);
      const { reader } = clientOf(slow, { first, openAhead });
      const begin = await read(reader, hangsAfter);
      const reading = read(reader);
      await fills.startOrJoin(digest, honest).stored;
      const whole = Buffer.concat([begin, await reading]);
      expect(whole.equals(bytes.subarray(first))).toBe(true);
    },
  );

  test("keeps the blob in use until its last follower has left", async () => {
    const { fills, honest, other } = setUp({ hangsAfter: 600_000 });
    const slow = fills.startOrJoin(digest, other);
    await slow.started;
    const { reader } = clientOf(slow);
    await read(reader, 1);
    const done = fills.startOrJoin(digest, honest);
    await Promise.all([done.ended, slow.ended]);
    while (fills.count > 0) await setImmediate();
    expect(fills.inUse(digest)).toBe(true);
    await reader.cancel();
    expect(fills.inUse(digest)).toBe(false);
  });
});

describe("fills of one blob from two upstreams", () => {
  test("ask each upstream once, however many join, and one of them is stored and accounted for", async () => {
    const budget = new DiskBudget({
      limits: { maxSize: 100 * MIB, minFree: 0 },
      disk: async () => ({ free: 1e12, size: 1e12 }),
    });
    const memory = new MemoryBlobStore();
    const ended: FillEvent[] = [];
    const fills = new Fills(new BoundedBlobStore(memory, budget), {
      stored: async () => {},
      ended: (event) => void ended.push(event),
    });
    const sources = ["a.test/x", "b.test/x"].map((name) => new ScriptedSource(bytes, [], name));
    const joined = Array.from({ length: 20 }, () =>
      sources.map((source) => fills.startOrJoin(digest, source, MIB)),
    ).flat();
    expect(new Set(joined).size).toBe(2);
    const bodies = await Promise.all(joined.map((fill) => read(clientOf(fill).reader)));
    expect(bodies.filter((body) => body.equals(bytes))).toHaveLength(40);
    await Promise.all(joined.map((fill) => fill.ended));
    expect(sources.map(({ offsets }) => offsets)).toEqual([[0], [0]]);
    expect([budget.blobBytes, budget.partialBytes]).toEqual([MIB, 0]);
    expect(await Array.fromAsync(memory.partials())).toEqual([]);
  });

  test("fail each for itself", async () => {
    const { fills, honest, other, faults } = setUp({ bytes: wrong });
    const bad = fills.startOrJoin(digest, other);
    const good = fills.startOrJoin(digest, honest);
    const outcomes = await Promise.allSettled([bad.stored, good.stored]);
    expect(outcomes.map(({ status }) => status).at(1)).toBe("fulfilled");
    await Promise.all([bad.ended, good.ended]);
    expect(faults().filter(([source]) => source === "honest.test/app")).toEqual([
      ["honest.test/app", undefined],
    ]);
  });

  test("store the blob of the second if that of the first cannot be committed", async () => {
    const store = new MemoryBlobStore();
    const openWriter = store.writer.bind(store);
    store.writer = async (wanted, owner) => {
      const writer = await openWriter(wanted, owner);
      const reason = "the disk fails";
      if (owner === "other.test")
        writer.commit = () => Promise.reject(new Fault({ kind: "storage", reason }));
      return writer;
    };
    const { fills, honest, other } = setUp({}, store);
    const failing = fills.startOrJoin(digest, other);
    const { stored } = fills.startOrJoin(digest, honest);
    expect((await stored).size).toBe(MIB);
    expect((await read(clientOf(failing).reader)).equals(bytes)).toBe(true);
  });
});

test("a put does not wait for a slow fill of the same blob, which goes on from what was put", async () => {
  const { fills, other, store } = setUp({ hangsAfter: 600_000 });
  const slow = fills.startOrJoin(digest, other);
  await slow.started;
  const { reader } = clientOf(slow);
  const begin = await read(reader, 500_000);
  expect((await fills.put(digest, bytes)).size).toBe(MIB);
  expect((await read(reader)).equals(rest(begin))).toBe(true);
  await slow.ended;
  expect(await Array.fromAsync(store.partials())).toEqual([]);
});
