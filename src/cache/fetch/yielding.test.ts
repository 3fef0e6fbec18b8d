import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { rejection } from "../../store/storetest/writing.ts";
import { type Behaviour, sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { Fill } from "../fill/fill.ts";
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
