import { describe, expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";
import { sampleBlob, ScriptedSource, unreachable } from "../cachetest/scripted-source.ts";

const MIB = 1024 * 1024;

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Fault) return error;
  throw new Error(`expected a Fault, got ${String(error)}`);
}

async function isGone(store: MemoryBlobStore, digest: ReturnType<typeof sampleBlob>["digest"]) {
  const writer = await store.writer(digest, "reg.test");
  const { length } = writer;
  await writer.discard();
  return length === 0 && (await store.open(digest)) === undefined;
}

describe("a fill", () => {
  test("stores the blob, and its followers get every byte", async () => {
    const { bytes, digest } = sampleBlob(MIB);
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

  test("resumes at its offset when a transfer breaks, and downloads no byte twice", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const breaks = Array.from({ length: 10 }, () => ({ breaksAfter: 100_000 }));
    const source = new ScriptedSource(bytes, breaks);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    await fill.stored;
    expect(source.offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => n * 100_000));
    expect(source.sent).toBe(bytes.length);
  });

  test("skips the bytes that it has if a source ignores the offset", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const script = [{ breaksAfter: 300_000 }, { ignoresOffset: true }];
    const source = new ScriptedSource(bytes, script);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  });

  test("takes the rest of a broken transfer from another source", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const gone = new Fault({ kind: "not-found", what: "blob", upstream: "a.test", name: digest });
    const first = new ScriptedSource(bytes, [{ breaksAfter: 50_000 }, { fault: gone }], "a.test/x");
    const second = new ScriptedSource(bytes, [], "b.test/x");
    const fill = new Fill(digest, new MemoryBlobStore(), first);
    fill.sources.add(second);
    await fill.stored;
    expect(second.offsets).toEqual([50_000]);
  });

  test("asks a source that was too slow no more, and goes on with the next one", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const slow = { breaksAfter: 50_000, isTooSlow: true };
    const first = new ScriptedSource(bytes, [slow], "a.test/x");
    const second = new ScriptedSource(
      bytes,
      [{ breaksAfter: 10 }, { breaksAfter: 10 }],
      "b.test/x",
    );
    const fill = new Fill(digest, new MemoryBlobStore(), first);
    fill.sources.add(second);
    await fill.started;
    // One more client of the slow source does not bring it back.
    const { promise, resolve } = Promise.withResolvers<void>();
    void fill.progress().then(resolve);
    await promise;
    fill.sources.add(new ScriptedSource(bytes, [], "a.test/x"));
    await fill.stored;
    expect([first.offsets, second.offsets]).toEqual([[0], [50_000, 50_010, 50_020]]);
  });

  test("ends with a clear fault if its only source was too slow, and keeps the bytes", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const store = new MemoryBlobStore();
    const source = new ScriptedSource(bytes, [{ breaksAfter: 50_000, isTooSlow: true }]);
    const fault = await faultOf(new Fill(digest, store, source).stored);
    expect(fault.detail).toMatchObject({ kind: "upstream-timeout", isTooSlow: true });
    expect(source.offsets).toEqual([0]);
    expect((await store.writer(digest, "reg.test")).length).toBe(50_000);
  });

  test("has a source with mirrors ask its next host if one was too slow", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const slow = { breaksAfter: 50_000, isTooSlow: true, isMirror: true };
    const source = new ScriptedSource(bytes, [slow, slow]);
    await new Fill(digest, new MemoryBlobStore(), source).stored;
    expect([source.offsets, source.hostsLeft]).toEqual([[0, 50_000, 100_000], 2]);
  });

  test("restarts if a mirror sent wrong bytes, and only followers that received some of them give up", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const wrong = bytes.with(5, (bytes[5] ?? 0) ^ 1);
    const source = new ScriptedSource(bytes, [{ bytes: wrong, isMirror: true }]);
    const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length });
    await fill.started;
    const gaveUp = Promise.withResolvers<Fault>();
    const early = follow(fill, { first: 0, end: bytes.length, giveUp: gaveUp.resolve }).getReader();
    expect((await early.read()).value?.length).toBeGreaterThan(0);
    const late = follow(fill, { first: 0, end: bytes.length, giveUp: () => {} });
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(source.offsets).toEqual([0, 0]);
    expect(source.corruptReports.map(({ message }) => message)).toEqual([
      expect.stringContaining("do not match the digest"),
    ]);
    void early.read();
    expect((await gaveUp.promise).message).toContain("being fetched from elsewhere");
    expect(await new Response(late).bytes()).toEqual(bytes);
    await early.cancel();
  });

  test("forgets the size that a mirror announced if another source contradicts it", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const short = bytes.subarray(0, 700_000);
    const source = new ScriptedSource(bytes, [{ bytes: short, isMirror: true, breaksAfter: 9 }]);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(source.offsets).toEqual([0, 9, 0]);
  });

  test("does not restart if the registry itself sent wrong bytes", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const source = new ScriptedSource(bytes, [{ bytes: sampleBlob(MIB, 7).bytes }]);
    const fault = await faultOf(new Fill(digest, new MemoryBlobStore(), source).stored);
    expect(fault.detail.kind).toBe("upstream-invalid-response");
    expect(source.offsets).toEqual([0]);
  });

  test("restarts if the partial file of an earlier fill has wrong bytes", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const store = new MemoryBlobStore();
    const writer = await store.writer(digest, "reg.test");
    await writer.append(sampleBlob(100_000, 9).bytes);
    await writer.suspend();
    const source = new ScriptedSource(bytes);
    expect(await (await new Fill(digest, store, source).stored).bytes.bytes()).toEqual(bytes);
    expect(source.offsets).toEqual([100_000, 0]);
  });

  test("gives up after its idle limit without a byte, and keeps the partial file", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const store = new MemoryBlobStore();
    const failures = Array.from({ length: 1000 }, () => ({ fault: unreachable("reg.test") }));
    const source = new ScriptedSource(bytes, [{ breaksAfter: 300_000 }, ...failures]);
    const backOff = { limits: { idle: 100 }, random: () => 0.01 };
    const fill = new Fill(digest, store, source, { backOff });
    expect((await faultOf(fill.stored)).detail.kind).toBe("upstream-unreachable");
    expect(source.offsets.length).toBeGreaterThan(2);
    const next = new ScriptedSource(bytes);
    await new Fill(digest, store, next).stored;
    expect(next.offsets).toEqual([300_000]);
  });

  test("keeps the partial file when it is suspended, and the next fill resumes it", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const store = new MemoryBlobStore();
    const hanging = new ScriptedSource(bytes, [
      { breaksAfter: 400_000 },
      { fault: unreachable("x") },
    ]);
    const suspended = new Fill(digest, store, hanging);
    while (suspended.available < 400_000 - 64 * 1024) await suspended.progress();
    await suspended.suspend();
    expect(suspended.fault?.detail.kind).toBe("cancelled");
    expect(suspended.resumePoint).toBeUndefined();
    const source = new ScriptedSource(bytes);
    const next = new Fill(digest, store, source);
    await next.stored;
    const [offset = 0] = source.offsets;
    expect(next.resumedBytes).toBe(offset);
    expect(offset).toBeGreaterThanOrEqual(400_000 - 64 * 1024);
    expect(source.sent).toBe(bytes.length - offset);
  });

  test("that meets a defect of the cache fails as `internal`, and hands its followers over", async () => {
    const { bytes, digest } = sampleBlob(MIB);
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

  test("commits a complete partial file of known size without a request", async () => {
    const { bytes, digest } = sampleBlob(100_000);
    const store = new MemoryBlobStore();
    const writer = await store.writer(digest, "reg.test");
    await writer.append(bytes);
    await writer.suspend();
    const source = new ScriptedSource(bytes);
    await new Fill(digest, store, source, { size: bytes.length }).stored;
    expect(source.offsets).toEqual([]);
  });

  test("restarts if a complete partial file has wrong bytes", async () => {
    const { bytes, digest } = sampleBlob(100_000);
    const store = new MemoryBlobStore();
    const writer = await store.writer(digest, "reg.test");
    await writer.append(sampleBlob(100_000, 2).bytes);
    await writer.suspend();
    const fill = new Fill(digest, store, new ScriptedSource(bytes), { size: bytes.length });
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  });

  const { bytes, digest } = sampleBlob(300_000);
  const flipped = Uint8Array.from(bytes);
  flipped[299_999] = (flipped[299_999] ?? 0) ^ 1;
  test.each([
    ["wrong bytes", { bytes: flipped }, "do not match the digest"],
    ["too many bytes", { bytes: sampleBlob(400_000).bytes, size: 300_000 }, "more than the 300000"],
    ["another size", { size: 299_999 }, "announced 299999 bytes"],
  ])("rejects %s and stores nothing", async (_, behaviour, message) => {
    const store = new MemoryBlobStore();
    const fill = new Fill(digest, store, new ScriptedSource(bytes, [behaviour]), {
      size: bytes.length,
    });
    const fault = await faultOf(fill.stored);
    expect(fault.detail.kind).toBe("upstream-invalid-response");
    expect(fault.message).toContain(message);
    expect(await isGone(store, digest)).toBe(true);
  });

  test("withholds the last bytes of a wrong blob from followers", async () => {
    const fill = new Fill(
      digest,
      new MemoryBlobStore(),
      new ScriptedSource(bytes, [{ bytes: flipped }]),
    );
    await fill.started;
    const gaveUp = Promise.withResolvers<Fault>();
    const reader = follow(fill, {
      first: 0,
      end: bytes.length,
      giveUp: gaveUp.resolve,
    }).getReader();
    let received = 0;
    const reading = (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "closed";
        received += value.length;
      }
    })();
    const outcome = await Promise.race([reading, gaveUp.promise]);
    expect(outcome).toBeInstanceOf(Fault);
    expect(received).toBeLessThanOrEqual(bytes.length - 64 * 1024);
  });

  test("does not start if its only source fails, and says why", async () => {
    const source = new ScriptedSource(bytes, [{ fault: unreachable("reg.test") }]);
    const fill = new Fill(digest, new MemoryBlobStore(), source);
    expect((await faultOf(fill.started)).message).toContain("connection reset");
    expect(source.offsets).toEqual([0]);
  });

  test("ends cleanly if no source announces the size", async () => {
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
