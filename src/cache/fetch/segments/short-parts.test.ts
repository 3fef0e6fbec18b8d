import { expect, test } from "bun:test";
import { Fault } from "../../../oci/fault.ts";
import { MemoryBlobStore } from "../../../store/memory/memory-blob-store.ts";
import { sampleBlob, ScriptedSource } from "../../cachetest/scripted-source.ts";
import { Fill } from "../../fill/fill.ts";
import { follow } from "../../fill/follow.ts";
import { LineShare } from "./line-share.ts";
import type { Source } from "../source.ts";

const { bytes, digest } = sampleBlob(4_000_001);
const SIZES = { whole: 50_000, first: 640_000, min: 320_000, max: 640_000 };

/** A source that sends at most 1,000 bytes of a part, and the whole as a whole. */
function stingy(): Source & { readonly scripted: ScriptedSource } {
  const scripted = new ScriptedSource(bytes);
  return {
    scripted,
    upstream: scripted.upstream,
    name: scripted.name,
    open: (offset, signal, end) =>
      offset === 0 && end === undefined
        ? scripted.open(offset, signal)
        : scripted.open(offset, signal, Math.min(end ?? Infinity, offset + 1000)),
  };
}

test("a source that sends a thousand bytes at a time is asked for the whole", async () => {
  const source = stingy();
  const share = new LineShare(undefined, SIZES);
  share.limit = 4;
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  await fill.started;
  const lost: unknown[] = [];
  let opened = 0;
  const reading = follow(fill, {
    first: 3_000_000,
    end: 3_500_000,
    openAhead: (first) => {
      opened += 1;
      return source.open(first, new AbortController().signal, 3_500_000);
    },
    giveUp: (fault) => lost.push(fault),
  });
  const part = await new Response(reading).bytes();
  expect(Buffer.from(part).equals(bytes.subarray(3_000_000, 3_500_000))).toBe(true);
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  const { offsets } = source.scripted;
  expect(offsets.at(-1)).toBe(0);
  expect([offsets.length < 12, opened < 5, lost]).toEqual([true, true, []]);
});

test("a last part is not too short for being small", async () => {
  const source = new ScriptedSource(bytes);
  const share = new LineShare(undefined, {
    whole: 1000,
    first: 3_999_000,
    min: 3_999_000,
    max: 4e6,
  });
  share.limit = 1;
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  expect((await fill.stored).size).toBe(bytes.length);
  expect(source.offsets).toEqual([0, 3_999_000]);
});

test("a source that cannot send the rest of a blob is asked for the whole", async () => {
  const reason = "a part of a blob, compressed on the way";
  const fault = new Fault({ kind: "upstream-invalid-response", upstream: "reg.test", reason });
  const source = new ScriptedSource(bytes, [{ breaksAfter: 100_000 }, { fault }]);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect([source.offsets, source.corruptReports]).toEqual([[0, 100_000, 0], []]);
});

test("a download that is complete already, without a known size, is stored as it is", async () => {
  const store = new MemoryBlobStore();
  const writer = await store.writer(digest, "reg.test");
  await writer.append(bytes);
  await writer.suspend();
  const fault = new Fault({ kind: "invalid-range", reason: "there is no more" });
  const source = new ScriptedSource(bytes);
  const opened: number[] = [];
  const refusing: Source = {
    upstream: source.upstream,
    name: source.name,
    open: (offset) => {
      opened.push(offset);
      return Promise.reject(fault);
    },
  };
  const share = new LineShare();
  share.limit = 3;
  const fill = new Fill(digest, store, refusing, { share });
  expect((await fill.stored).size).toBe(bytes.length);
  expect([opened, share.isDistrusted]).toEqual([[bytes.length], false]);
});
