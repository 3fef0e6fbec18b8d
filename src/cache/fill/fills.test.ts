import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { type FillEvent, Fills } from "./fills.ts";
import { content, ScriptedSource } from "../cachetest/scripted-source.ts";

function started() {
  const ended: FillEvent[] = [];
  const store = new MemoryBlobStore();
  const fills = new Fills(store, {
    stored: async () => {},
    ended: (event) => void ended.push(event),
  });
  return { store, fills, ended };
}

test("a fill of what is being put waits for it and downloads nothing", async () => {
  const { fills } = started();
  const { bytes, digest } = content(100_000);
  const source = new ScriptedSource(bytes);
  const put = fills.put(digest, bytes);
  const fill = fills.join(digest, source);
  expect((await put).size).toBe(bytes.length);
  expect((await fill.stored).size).toBe(bytes.length);
  expect(source.offsets).toEqual([]);
  expect(fill.sources.hasTakenFrom(source)).toBe(false);
});

test("what is put while it is being filled is what the fill stored", async () => {
  const { fills } = started();
  const { bytes, digest } = content(100_000);
  const fill = fills.join(digest, new ScriptedSource(bytes));
  const put = fills.put(digest, bytes);
  expect(await put).toBe(await fill.stored);
});

test("a fill of what has been stored meanwhile downloads nothing", async () => {
  const { fills, ended } = started();
  const { bytes, digest } = content(100_000);
  await fills.put(digest, bytes);
  const source = new ScriptedSource(bytes);
  await fills.join(digest, source).stored;
  expect(source.offsets).toEqual([]);
  expect(ended.map(({ fault }) => fault)).toEqual([undefined]);
});
