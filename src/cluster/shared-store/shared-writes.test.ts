import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { until } from "../../../test/harness/waiting.ts";
import { ScriptedSharedStore } from "../clustertest/scripted-shared-store.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { SharedStoreHealth } from "./shared-store-health.ts";
import { SharedWrites } from "./shared-writes.ts";

interface Setup extends Disposable {
  readonly store: ScriptedSharedStore;
  readonly local: MemoryBlobStore;
  readonly writes: SharedWrites;
  readonly health: SharedStoreHealth;
  readonly told: string[];
  /** Stores a blob here. */
  put(size: number, seed: number): Promise<Digest>;
}

function setup(): Setup {
  const store = new ScriptedSharedStore();
  const local = new MemoryBlobStore();
  const told: string[] = [];
  const health = new SharedStoreHealth({
    failed: (operation, { problem }) => told.push(`${operation} failed: ${problem.kind}`),
    recovered: (operation) => told.push(`${operation} recovered`),
  });
  const writes = new SharedWrites({
    store,
    local: { store: local, using: (_, work) => work() },
    health,
    events: {
      shared: ({ size }, written) => told.push(`${size} ${written ? "written" : "found"}`),
      notShareable: ({ size }) => told.push(`${size} not shareable`),
      damaged: () => told.push("damaged"),
      left: (blobs) => told.push(`${blobs} left`),
    },
  });
  return {
    store,
    local,
    writes,
    health,
    told,
    put: async (size, seed) => {
      const { content, digest } = sampleShared(size, seed);
      await storeBytes(local, content);
      return digest;
    },
    [Symbol.dispose]: () => writes[Symbol.dispose](),
  };
}

function idle({ writes }: Setup): Promise<unknown> {
  return until(() => writes.backlog === 0, { what: "the writes" });
}

test("how much was not written is told once, when the cache stops", async () => {
  const set = setup();
  set.store.held = new Promise(() => {});
  for (const seed of [1, 2, 3]) set.writes.add(await set.put(100, seed));
  set.writes[Symbol.dispose]();
  set.writes[Symbol.dispose]();
  expect(set.told.filter((text) => text.endsWith("left"))).toEqual(["3 left"]);
});

test("what is there already is not written again", async () => {
  using set = setup();
  const digest = await set.put(100, 1);
  set.writes.add(digest);
  set.writes.add(digest);
  await idle(set);
  set.writes.add(digest);
  await idle(set);
  expect(set.told).toEqual(["100 written", "100 found"]);
  expect(set.store.count("write")).toBe(1);
});

test("two are written at once, and the others wait", async () => {
  using set = setup();
  const gate = Promise.withResolvers<void>();
  set.store.held = gate.promise;
  for (let seed = 0; seed < 5; seed += 1) set.writes.add(await set.put(100 + seed, seed));
  await until(() => set.store.count("write") === 2, { what: "two writes" });
  expect(set.writes.backlog).toBe(5);
  gate.resolve();
  await idle(set);
  expect(set.store.count("write")).toBe(5);
});

test("a full store is not asked again at once, and what it refused stays to be written", async () => {
  using set = setup();
  set.store.problems.set("write", { kind: "full", code: "QuotaExceeded" });
  set.writes.add(await set.put(100, 1));
  await until(() => set.told.length > 0, { what: "the failure" });
  set.writes.add(await set.put(101, 2));
  expect([set.writes.backlog, set.store.count("write")]).toEqual([2, 1]);
  // What it has is read all the same.
  expect([set.health.state, set.health.reads.isPassable]).toEqual(["read-only", true]);
});

test("a store that is away is away for reads too", async () => {
  using set = setup();
  set.store.problems.set("size", { kind: "unreachable", reason: "refuses connections" });
  set.writes.add(await set.put(100, 1));
  await until(() => set.told.length > 0, { what: "the failure" });
  expect([set.health.state, set.health.reads.isPassable]).toEqual(["away", false]);
  expect(set.writes.backlog).toBe(1);
});

test("a blob that the store refuses as itself does not keep the others waiting", async () => {
  using set = setup();
  set.store.problems.set("write", { kind: "failed", status: 400, code: "EntityTooLarge" });
  set.writes.add(await set.put(100, 1));
  await idle(set);
  expect(set.health.reads.isPassable).toBe(true);
});

test("bytes that are not those of their digest are told as damage of this machine", async () => {
  using set = setup();
  const digest = await set.put(100, 1);
  set.store.problems.set("write", { kind: "wrong-bytes" });
  set.writes.add(digest);
  await idle(set);
  expect([set.told, set.health.state]).toEqual([["damaged"], "up"]);
});

test("a blob with a sha512 digest is not written, and that is said", async () => {
  using set = setup();
  const { content } = sampleShared(100);
  const digest = digestOf(content, "sha512");
  const writer = await set.local.writer(digest);
  await writer.append(content);
  expect(writer.verify()).toBe(true);
  await writer.commit();
  set.writes.add(digest);
  await idle(set);
  expect([set.told, set.store.asked]).toEqual([["100 not shareable"], []]);
});

test("what was evicted meanwhile is forgotten", async () => {
  using set = setup();
  set.writes.add(sampleShared(100, 9).digest);
  await idle(set);
  expect([set.told, set.store.asked]).toEqual([[], []]);
});

test("more than a thousand do not wait: a sweep is to find the rest", async () => {
  using set = setup();
  const gate = Promise.withResolvers<void>();
  set.store.held = gate.promise;
  for (let seed = 0; seed < 2; seed += 1) set.writes.add(await set.put(100 + seed, seed));
  for (let size = 0; size < 1024; size += 1) set.writes.add(sampleShared(size, 3).digest);
  expect(set.writes.takeMissed()).toBe(false);
  set.writes.add(sampleShared(5000, 4).digest);
  expect([set.writes.backlog, set.writes.takeMissed(), set.writes.takeMissed()]).toEqual([
    1026,
    true,
    false,
  ]);
  gate.resolve();
  await idle(set);
});

test("a close gives up what is being written", async () => {
  const set = setup();
  const gate = Promise.withResolvers<void>();
  set.store.held = gate.promise;
  set.writes.add(await set.put(100, 1));
  await until(() => set.store.count("write") === 1, { what: "the write" });
  set.writes[Symbol.dispose]();
  gate.resolve();
  await idle(set);
  expect(set.told).toEqual(["1 left"]);
});

test("a store that may not be read says nothing of whether it can be written to", async () => {
  using set = setup();
  set.store.problems.set("size", { kind: "credentials", reason: "the secret key is wrong" });
  set.writes.add(await set.put(100, 1));
  await until(() => set.told.length > 0, { what: "a failed look" });
  expect(set.told).toEqual(["read failed: credentials"]);
  expect([set.health.state, set.writes.backlog]).toEqual(["away", 1]);
});
