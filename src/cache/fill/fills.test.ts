import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { type FillEvent, Fills } from "./fills.ts";
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

test("a fill that starts during a put of the same blob waits for it and downloads nothing", async () => {
  const { fills } = createFills();
  const { bytes, digest } = sampleBlob(100_000);
  const source = new ScriptedSource(bytes);
  const put = fills.put(digest, bytes);
  const fill = fills.startOrJoin(digest, source);
  expect((await put).size).toBe(bytes.length);
  expect((await fill.stored).size).toBe(bytes.length);
  expect(source.offsets).toEqual([]);
  expect(fill.sources.hasAccepted(source)).toBe(false);
});

test("a put during a fill of the same blob returns the blob that the fill stored", async () => {
  const { fills } = createFills();
  const { bytes, digest } = sampleBlob(100_000);
  const fill = fills.startOrJoin(digest, new ScriptedSource(bytes));
  const put = fills.put(digest, bytes);
  expect(await put).toBe(await fill.stored);
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
