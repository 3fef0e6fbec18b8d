import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { rejection } from "../../store/storetest/writing.ts";
import { type Behaviour, sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { Fill } from "../fill/fill.ts";
import { BackOff } from "./back-off.ts";
import { FetchLoop } from "./fetch-loop.ts";
import type { Source } from "./source.ts";
import { SourceList } from "./source-list.ts";
import { Yielding } from "./yielding.ts";

const { bytes, digest } = sampleBlob(300_000);

/** A fill that no client has asked for, from a source that sends some bytes and then hangs. */
async function hanging(script: Behaviour[] = [{ hangsAfter: 100_000 }]) {
  const source = new ScriptedSource(bytes, script);
  const asked: string[] = [];
  const yielding = new Yielding(() => asked.push("asked"));
  const size = bytes.length;
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size, yielding });
  while (fill.received < 100_000) await fill.progress();
  return { source, yielding, fill, asked };
}

test("a download that is paused keeps its bytes, and goes on where it was", async () => {
  const { source, yielding, fill } = await hanging();
  expect(yielding.pause()).toBe(true);
  expect(yielding.pause()).toBe(true);
  yielding.resume();
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(source.offsets).toEqual([0, 100_000]);
  expect(source.sent).toBe(bytes.length);
});

test("a client that asks for a paused download has it go on, and it is never paused again", async () => {
  const { source, yielding, fill, asked } = await hanging([
    { hangsAfter: 100_000 },
    { hangsAfter: 100_000 },
  ]);
  yielding.pause();
  yielding.ask();
  yielding.ask();
  while (fill.received < 200_000) await fill.progress();
  expect(yielding.pause()).toBe(false);
  expect(asked).toEqual(["asked"]);
  expect(source.offsets).toEqual([0, 100_000]);
  await fill.suspend();
});

test("a paused download is suspended when the cache shuts down", async () => {
  const { source, yielding, fill } = await hanging();
  yielding.pause();
  await fill.suspend();
  expect(String(await rejection(fill.stored))).toContain("shutting down");
  expect(source.offsets).toEqual([0]);
});

/** Lends a chunk at a time, in memory that has other bytes after the next read or the body's end. */
function lendingSource(): Source {
  const { name, upstream } = new ScriptedSource(bytes, []);
  return {
    name,
    upstream,
    async open(start) {
      let position = start;
      const lent = new Uint8Array(100_000);
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            const chunk = bytes.subarray(position, position + lent.byteLength);
            position += chunk.byteLength;
            lent.set(chunk);
            if (chunk.byteLength > 0) controller.enqueue(lent.subarray(0, chunk.byteLength));
            else controller.close();
          },
          cancel: () => void lent.fill(0),
        },
        { highWaterMark: 0 },
      );
      return { start, size: bytes.byteLength, body, reportCorrupt: () => false };
    },
  };
}

test("a chunk that is being written when its download is paused is written as it was received", async () => {
  const yielding = new Yielding();
  const loop = new FetchLoop({
    digest,
    sources: new SourceList(lendingSource()),
    size: bytes.byteLength,
    backOff: new BackOff({}),
    signal: new AbortController().signal,
    yielding,
    onStarted() {},
    onChunk(start) {
      if (start === 0) yielding.pause();
    },
    onProgress: () => yielding.resume(),
  });
  const writer = await new MemoryBlobStore().writer(digest, lendingSource().upstream);
  await loop.run(writer);
  expect(writer.verify()).toBe(true);
});
