import { expect, test } from "bun:test";
import { failureOf } from "../../../test/harness/waiting.ts";
import { AskedStream } from "./asked-stream.ts";

function setUp() {
  const ends: boolean[] = [];
  const at = { asked: 0, ends };
  const stream = new AskedStream({
    ask: () => {
      at.asked += 1;
    },
    ended: (isCancelled) => ends.push(isCancelled),
  });
  const chunk = (byte: number) => stream.receive({ kind: "chunk", bytes: new Uint8Array([byte]) });
  return { at, stream, chunk, reader: stream.body.getReader() };
}

test("chunks are asked for as they are read, two in advance, and come in their order", async () => {
  const { at, stream, chunk, reader } = setUp();
  expect(at.asked).toBe(0);
  const first = reader.read();
  await Promise.resolve();
  expect(at.asked).toBe(3);
  for (const byte of [1, 2, 3]) chunk(byte);
  expect((await first).value).toEqual(new Uint8Array([1]));
  // What nobody reads is not replaced.
  expect(at.asked).toBe(3);
  expect((await reader.read()).value).toEqual(new Uint8Array([2]));
  expect(at.asked).toBe(4);
  stream.receive({ kind: "end" });
  expect((await reader.read()).value).toEqual(new Uint8Array([3]));
  expect((await reader.read()).done).toBe(true);
  expect(at.ends).toEqual([false]);
});

test("a stream that breaks fails after the chunks before, and a cancelled one is told", async () => {
  const broken = setUp();
  const first = broken.reader.read();
  broken.chunk(1);
  broken.stream.receive({ kind: "end", error: "it broke" });
  expect((await first).value).toEqual(new Uint8Array([1]));
  expect(await failureOf(broken.reader.read())).toBe("it broke");
  const left = setUp();
  void left.reader.read();
  await left.reader.cancel();
  expect([broken.at.ends, left.at.ends]).toEqual([[false], [true]]);
});
