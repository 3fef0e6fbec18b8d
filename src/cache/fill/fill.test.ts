import { describe, expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";
import { content, ScriptedSource, unreachable } from "../cachetest/scripted-source.ts";

const MIB = 1024 * 1024;

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Fault) return error;
  throw new Error(`expected a Fault, got ${String(error)}`);
}

async function isGone(store: MemoryBlobStore, digest: ReturnType<typeof content>["digest"]) {
  const writer = await store.writer(digest);
  const { length } = writer;
  await writer.discard();
  return length === 0 && (await store.open(digest)) === undefined;
}

describe("a fill", () => {
  test("stores what it was sent, and its followers get every byte", async () => {
    const { bytes, digest } = content(MIB);
    const fill = new Fill(digest, new MemoryBlobStore(), new ScriptedSource(bytes));
    await fill.started;
    const followers = [0, 1, 500_000].map((first) =>
      new Response(follow(fill, { first, end: bytes.length, giveUp: () => {} })).bytes(),
    );
    const [all, ...rest] = await Promise.all(followers);
    expect(all).toEqual(bytes);
    expect(rest.map((part) => part.length)).toEqual([bytes.length - 1, bytes.length - 500_000]);
    expect((await fill.stored).size).toBe(bytes.length);
  });

  test("goes on at its offset when a transfer breaks, and fetches no byte twice", async () => {
    const { bytes, digest } = content(MIB);
    const breaks = Array.from({ length: 10 }, () => ({ breaksAfter: 100_000 }));
    const source = new ScriptedSource(bytes, breaks);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    await fill.stored;
    expect(source.offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => n * 100_000));
    expect(source.sent).toBe(bytes.length);
  });

  test("skips what it has where a source begins anew", async () => {
    const { bytes, digest } = content(MIB);
    const script = [{ breaksAfter: 300_000 }, { ignoresOffset: true }];
    const source = new ScriptedSource(bytes, script);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  });

  test("takes a broken transfer's rest from another source", async () => {
    const { bytes, digest } = content(MIB);
    const gone = new Fault({ kind: "not-found", what: "blob", upstream: "a.test", name: digest });
    const first = new ScriptedSource(bytes, [{ breaksAfter: 50_000 }, { fault: gone }], "a.test/x");
    const second = new ScriptedSource(bytes, [], "b.test/x");
    const fill = new Fill(digest, new MemoryBlobStore(), first);
    fill.sources.add(second);
    await fill.stored;
    expect(second.offsets).toEqual([50_000]);
  });

  test("begins anew where a mirror sent something else, and only who had some of it is cut off", async () => {
    const { bytes, digest } = content(MIB);
    const wrong = bytes.with(5, (bytes[5] ?? 0) ^ 1);
    const source = new ScriptedSource(bytes, [{ bytes: wrong, isMirror: true }]);
    const fill = new Fill(digest, new MemoryBlobStore(), source, bytes.length);
    await fill.started;
    const given = Promise.withResolvers<Fault>();
    const early = follow(fill, { first: 0, end: bytes.length, giveUp: given.resolve }).getReader();
    expect((await early.read()).value?.length).toBeGreaterThan(0);
    const late = follow(fill, { first: 0, end: bytes.length, giveUp: () => {} });
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(source.offsets).toEqual([0, 0]);
    expect(source.blamed.map(({ message }) => message)).toEqual([
      expect.stringContaining("another digest"),
    ]);
    void early.read();
    expect((await given.promise).message).toContain("being fetched from elsewhere");
    expect(await new Response(late).bytes()).toEqual(bytes);
    await early.cancel();
  });

  test("believes the size of none who told another one than the rest", async () => {
    const { bytes, digest } = content(MIB);
    const short = bytes.subarray(0, 700_000);
    const source = new ScriptedSource(bytes, [{ bytes: short, isMirror: true, breaksAfter: 9 }]);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(source.offsets).toEqual([0, 9, 0]);
  });

  test("is not done twice where the registry itself sent something else", async () => {
    const { bytes, digest } = content(MIB);
    const source = new ScriptedSource(bytes, [{ bytes: content(MIB, 7).bytes }]);
    const fault = await faultOf(new Fill(digest, new MemoryBlobStore(), source).stored);
    expect(fault.detail.kind).toBe("upstream-invalid-response");
    expect(source.offsets).toEqual([0]);
  });

  test("begins anew where what an earlier process kept is what was wrong", async () => {
    const { bytes, digest } = content(MIB);
    const store = new MemoryBlobStore();
    const writer = await store.writer(digest);
    await writer.append(content(100_000, 9).bytes);
    await writer.suspend();
    const source = new ScriptedSource(bytes);
    expect(await (await new Fill(digest, store, source).stored).bytes.bytes()).toEqual(bytes);
    expect(source.offsets).toEqual([100_000, 0]);
  });

  test("is given up when nothing has come for its idle time, and keeps what it has", async () => {
    const { bytes, digest } = content(MIB);
    const store = new MemoryBlobStore();
    const away = Array.from({ length: 1000 }, () => ({ fault: unreachable("reg.test") }));
    const source = new ScriptedSource(bytes, [{ breaksAfter: 300_000 }, ...away]);
    const impatient = { limits: { idle: 100 }, random: () => 0.01 };
    const fill = new Fill(digest, store, source, undefined, undefined, impatient);
    expect((await faultOf(fill.stored)).detail.kind).toBe("upstream-unreachable");
    expect(source.offsets.length).toBeGreaterThan(2);
    const next = new ScriptedSource(bytes);
    await new Fill(digest, store, next).stored;
    expect(next.offsets).toEqual([300_000]);
  });

  test("keeps what it has when it is stopped, for a fill that goes on from there", async () => {
    const { bytes, digest } = content(MIB);
    const store = new MemoryBlobStore();
    const hanging = new ScriptedSource(bytes, [
      { breaksAfter: 400_000 },
      { fault: unreachable("x") },
    ]);
    const stopped = new Fill(digest, store, hanging);
    while (stopped.available < 400_000 - 64 * 1024) await stopped.progress();
    await stopped.stop();
    expect(stopped.fault?.detail.kind).toBe("cancelled");
    expect(stopped.resumePoint).toBeUndefined();
    const source = new ScriptedSource(bytes);
    const next = new Fill(digest, store, source);
    await next.stored;
    const [offset = 0] = source.offsets;
    expect(next.resumedBytes).toBe(offset);
    expect(offset).toBeGreaterThanOrEqual(400_000 - 64 * 1024);
    expect(source.sent).toBe(bytes.length - offset);
  });

  test("that meets a defect of the cache tells it as one, and hands its followers over", async () => {
    const { bytes, digest } = content(MIB);
    class DefectiveStore extends MemoryBlobStore {
      override async writer(): Promise<never> {
        throw new TypeError("undefined is not an object");
      }
    }
    const fill = new Fill(digest, new DefectiveStore(), new ScriptedSource(bytes));
    expect((await faultOf(fill.stored)).detail.kind).toBe("internal");
    expect(fill.resumePoint?.length).toBe(0);
    const body = follow(fill, { first: 0, end: bytes.length, giveUp: () => {} });
    expect(await new Response(body).bytes()).toEqual(bytes);
  });

  test("finishes a draft that was kept whole, asking nobody where the size is known", async () => {
    const { bytes, digest } = content(100_000);
    const store = new MemoryBlobStore();
    const kept = await store.writer(digest);
    await kept.append(bytes);
    await kept.suspend();
    const source = new ScriptedSource(bytes);
    await new Fill(digest, store, source, bytes.length).stored;
    expect(source.offsets).toEqual([]);
  });

  test("starts over where a draft that was kept whole is wrong", async () => {
    const { bytes, digest } = content(100_000);
    const store = new MemoryBlobStore();
    const kept = await store.writer(digest);
    await kept.append(content(100_000, 2).bytes);
    await kept.suspend();
    const fill = new Fill(digest, store, new ScriptedSource(bytes), bytes.length);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  });

  const { bytes, digest } = content(300_000);
  const flipped = Uint8Array.from(bytes);
  flipped[299_999] = (flipped[299_999] ?? 0) ^ 1;
  test.each([
    ["wrong bytes", { bytes: flipped }, "has another digest"],
    ["too many bytes", { bytes: content(400_000).bytes, size: 300_000 }, "more than the 300000"],
    ["another size", { size: 299_999 }, "has 299999 bytes"],
  ])("refuses %s and stores nothing", async (_, behaviour, message) => {
    const store = new MemoryBlobStore();
    const fill = new Fill(digest, store, new ScriptedSource(bytes, [behaviour]), bytes.length);
    const fault = await faultOf(fill.stored);
    expect(fault.detail.kind).toBe("upstream-invalid-response");
    expect(fault.message).toContain(message);
    expect(await isGone(store, digest)).toBe(true);
  });

  test("gives no follower the last bytes of something that is wrong", async () => {
    const fill = new Fill(
      digest,
      new MemoryBlobStore(),
      new ScriptedSource(bytes, [{ bytes: flipped }]),
    );
    await fill.started;
    const given = Promise.withResolvers<Fault>();
    const reader = follow(fill, { first: 0, end: bytes.length, giveUp: given.resolve }).getReader();
    let received = 0;
    const reading = (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "closed";
        received += value.length;
      }
    })();
    const outcome = await Promise.race([reading, given.promise]);
    expect(outcome).toBeInstanceOf(Fault);
    expect(received).toBeLessThanOrEqual(bytes.length - 64 * 1024);
  });

  test("does not start where its only source fails, and says why", async () => {
    const source = new ScriptedSource(bytes, [{ fault: unreachable("reg.test") }]);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    expect((await faultOf(fill.started)).message).toContain("connection reset");
    expect(source.offsets).toEqual([0]);
  });

  test("ends cleanly where the size is nowhere known", async () => {
    const fill = new Fill(
      digest,
      new MemoryBlobStore(),
      new ScriptedSource(bytes, [{ size: "unknown" }]),
    );
    await fill.started;
    expect(fill.size).toBeUndefined();
    const body = new Response(follow(fill, { first: 0, giveUp: () => {} })).bytes();
    expect(await body).toEqual(bytes);
  });
});
