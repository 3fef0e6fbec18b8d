import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Fault } from "../../../oci/fault.ts";
import { MemoryBlobStore } from "../../../store/memory/memory-blob-store.ts";
import { type Behaviour, sampleBlob, ScriptedSource } from "../../cachetest/scripted-source.ts";
import { until } from "../../../../test/harness/waiting.ts";
import { Fill } from "../../fill/fill.ts";
import type { Source } from "../source.ts";
import { LineShare, type LineUser } from "./line-share.ts";
import { Segments } from "./segments.ts";
import { Versions } from "./versions.ts";

const SIZES = { whole: 50_000, first: 40_000, min: 30_000, max: 60_000 };
const { bytes, digest } = sampleBlob(900_001);
const sample = new ScriptedSource(bytes);

/** A share that has learned that so many further connections are worth it. */
function shareOf(limit: number, later: () => number = () => 0): LineShare {
  let now = 0;
  let bytesPerWindow = 1_000_000;
  const share = new LineShare(() => now + later(), SIZES);
  share.limit = limit;
  let taken = 0;
  const user: LineUser = {
    isReceiving: true,
    isHeldBack: false,
    tryConnect: () => {
      if (!share.take(false)) return false;
      taken += 1;
      return true;
    },
  };
  share.join(user);
  while (share.allowed < limit) {
    const before = share.allowed;
    for (let window = 0; window < 4 && share.allowed === before; window += 1) {
      share.received(bytesPerWindow);
      now += 200;
      share.look();
    }
    bytesPerWindow *= 1.5;
  }
  share.leave(user);
  for (; taken > 0; taken -= 1) share.release();
  return share;
}

test("a large blob is downloaded over several connections, each byte once", async () => {
  const source = new ScriptedSource(bytes);
  const share = shareOf(4);
  expect(share.allowed).toBeGreaterThan(0);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(source.sent).toBe(bytes.length);
  expect(source.offsets.length).toBeGreaterThan(10);
});

test("a segment of another version is not kept, and the download goes on with one connection", async () => {
  const other = bytes.map((byte) => byte ^ 1);
  const versions = Array.from({ length: 3 }, () => ({ bytes: other, version: "two" }));
  const source = new ScriptedSource(bytes, [{ version: "one" }, ...versions]);
  const share = shareOf(3);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect([fill.attempt, share.allowed, source.corruptReports]).toEqual([0, 0, []]);
});

test("a blob whose parts are wrong is fetched as a whole once more, and others are not divided", async () => {
  const source = new ScriptedSource(bytes);
  const share = shareOf(3);
  const shifted: Source = {
    upstream: source.upstream,
    name: source.name,
    async open(offset, signal, end) {
      if (end === undefined) return source.open(offset, signal);
      const wrong = new ScriptedSource(new Uint8Array([0, ...bytes.subarray(0, -1)]));
      return wrong.open(offset, signal, end);
    },
  };
  const fill = new Fill(digest, new MemoryBlobStore(), shifted, { size: bytes.length, share });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect([fill.attempt, source.offsets, share.isDistrusted]).toEqual([1, [0], true]);
  const next = new ScriptedSource(bytes);
  await new Fill(digest, new MemoryBlobStore(), next, { size: bytes.length, share }).stored;
  expect(next.offsets).toEqual([0]);
});

test("what a source sends beyond the parts that it announces is left out", async () => {
  const source = new ScriptedSource(bytes);
  const garbage = new Uint8Array(5000);
  const talkative: Source = {
    upstream: source.upstream,
    name: source.name,
    async open(offset, signal, end) {
      const transfer = await source.open(offset, signal, end);
      const flush = (body: TransformStreamDefaultController<Uint8Array>): void =>
        body.enqueue(garbage);
      const body = transfer.body.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({ flush }),
      );
      return transfer.end === undefined ? transfer : { ...transfer, body };
    },
  };
  const share = shareOf(3);
  const fill = new Fill(digest, new MemoryBlobStore(), talkative, { size: bytes.length, share });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect([fill.attempt, source.corruptReports]).toEqual([0, []]);
});

test("an empty blob of unknown size has no parts, and others of its source are still divided", async () => {
  const empty = sampleBlob(0);
  const fault = new Fault({ kind: "invalid-range", reason: "it has 0 bytes", size: 0 });
  const source = new ScriptedSource(empty.bytes, [{ fault }]);
  const share = shareOf(3);
  const fill = new Fill(empty.digest, new MemoryBlobStore(), source, {
    share,
    part: { first: 0, end: 1 },
  });
  expect((await fill.stored).size).toBe(0);
  expect([source.offsets, share.isDistrusted]).toEqual([[0, 0], false]);
});

test("a source that sends only wholes is asked once", async () => {
  const source = new ScriptedSource(bytes, [{ ignoresOffset: true }]);
  const fill = new Fill(digest, new MemoryBlobStore(), source, {
    size: bytes.length,
    share: shareOf(3),
  });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(source.offsets).toEqual([0]);
});

test("a segment that stalls is taken over by the fill", async () => {
  let now = 0;
  const share = shareOf(3, () => now);
  const source = new ScriptedSource(bytes, [{}, { hangsAfter: 10_000 }, { hangsAfter: 0 }]);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  await until(() => fill.available === 50_000, { what: "the fill to wait for the segment" });
  now += 3000;
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(source.sent).toBe(bytes.length);
});

/** Segments of a blob, whose source sends nothing: the body of each request ends once that is wanted. */
async function idleSegments(limit: number, later?: () => number, reach = Infinity) {
  const requests: { readonly offset: number; readonly end: () => void }[] = [];
  const share = shareOf(limit, later);
  const source: Source = {
    upstream: sample.upstream,
    name: sample.name,
    open: async (start, signal, end = bytes.length) => {
      const body = new TransformStream<Uint8Array, Uint8Array>();
      const writer = body.writable.getWriter();
      signal.addEventListener("abort", () => void writer.abort(signal.reason), { once: true });
      requests.push({ offset: start, end: () => void writer.close() });
      return { start, end, body: body.readable, reportCorrupt: () => false };
    },
  };
  const segments = new Segments({
    writer: await new MemoryBlobStore().writer(digest),
    size: () => bytes.length,
    signal: new AbortController().signal,
    share,
    versions: new Versions(),
    isDiskSlow: () => false,
    onOpened: () => {},
    onProgress: () => {},
    readers: { reach: () => reach },
  });
  segments.headTakes(SIZES.first, source);
  share.join(segments);
  return { segments, share, requests };
}

test.each([
  [80_000, [40_000, 60_000]],
  // The next one would end beyond it.
  [79_000, [40_000]],
  [50_000, []],
])(
  "no segment goes further ahead than %i bytes, which may be lost, and a client reads beyond all the same",
  async (reach, offsets) => {
    const { segments, share, requests } = await idleSegments(9, undefined, reach);
    expect(requests.map(({ offset }) => offset)).toEqual(offsets);
    expect(segments.demand(800_000, bytes.length)).toBe("received");
    share.leave(segments);
    await segments.stop();
  },
);

test("a connection that becomes free is for the client that waits for one", async () => {
  const { segments, share, requests } = await idleSegments(9);
  expect(segments.count).toBe(7);
  const footer = bytes.length - 51;
  expect(segments.demand(footer, bytes.length)).toBe("later");
  requests[3]?.end();
  await until(() => segments.count < 7, { what: "a connection to become free" });
  expect(segments.demand(footer, bytes.length)).toBe("received");
  expect(requests.at(-1)?.offset).toBe(footer - (footer % Math.ceil(SIZES.min / 64)));
  share.leave(segments);
  await segments.stop();
});

test("a part that stalls while a client waits for it is left to the client's own request", async () => {
  let now = 0;
  const { segments, share, requests } = await idleSegments(3, () => now);
  const wanted = requests[1]?.offset ?? NaN;
  expect(segments.demand(wanted, bytes.length)).toBe("received");
  now += 3000;
  segments.demand(wanted, bytes.length);
  await until(() => !segments.covers(wanted), { what: "the stalled connection to be ended" });
  expect(segments.demand(wanted, bytes.length)).toBe("refused");
  share.leave(segments);
  await segments.stop();
});

const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  fc.record({ breaksAfter: fc.integer({ min: 1, max: 100_000 }) }),
  fc.constant({ ignoresOffset: true }),
  fc.constant({ ignoresEnd: true }),
  fc.record({ size: fc.integer({ min: 1, max: 2_000_000 }) }),
  fc.record({ version: fc.constantFrom("one", "two") }),
  fc.constant({ bytes: bytes.map((byte) => byte ^ 1) }),
);

test("whatever the transfers do, the blob is right or the fill has failed", async () => {
  let stored = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(behaviour, { maxLength: 40 }),
      fc.integer({ min: 0, max: 8 }),
      async (script, limit) => {
        const source = new ScriptedSource(bytes, [...script]);
        const store = new MemoryBlobStore();
        const fill = new Fill(digest, store, source, {
          size: bytes.length,
          share: shareOf(limit),
          backOff: { random: () => 0 },
        });
        const blob = await fill.stored.catch(() => undefined);
        await fill.ended;
        if (blob) {
          stored += 1;
          expect(await blob.bytes.bytes()).toEqual(bytes);
        }
      },
    ),
    { numRuns: 60 },
  );
  expect(stored).toBeGreaterThan(10);
}, 60_000);
