import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { Fill } from "../fill/fill.ts";
import { follow } from "../fill/follow.ts";
import { LineShare } from "./segments/line-share.ts";
import type { Source } from "./source.ts";

const { bytes, digest } = sampleBlob(4_000_001);
const SIZES = { whole: 50_000, first: 40_000, min: 64_000, max: 128_000 };

/** A source that allows one connection, sends its bytes a chunk at a time, and counts what is open at once. */
function oneConnection() {
  const scripted = new ScriptedSource(bytes);
  const at = { open: 0, mostOpen: 0, uses: new Set<string | undefined>() };
  const gate = { next: Promise.withResolvers<void>(), isOpen: false };
  const source: Source = {
    upstream: scripted.upstream,
    name: scripted.name,
    maxConnections: 1,
    hasRoom: false,
    open: async (offset, signal, end, use) => {
      at.open += 1;
      at.mostOpen = Math.max(at.mostOpen, at.open);
      at.uses.add(use);
      const transfer = await scripted.open(offset, signal, end);
      const reader = transfer.body.getReader();
      const over = (): void => void (at.open -= 1);
      const body = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            if (!gate.isOpen) await gate.next.promise;
            const { done, value } = await reader.read();
            if (value) return controller.enqueue(value);
            if (done) over();
            controller.close();
          },
          async cancel() {
            over();
            await reader.cancel();
          },
        },
        { highWaterMark: 0 },
      );
      return { ...transfer, body };
    },
  };
  return { source, scripted, at, gate };
}

test("an upstream that allows one connection sends clients their parts between those of the fill", async () => {
  const { source, at, gate } = oneConnection();
  let now = 0;
  const share = new LineShare(() => (now += 5), SIZES);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  await fill.started;
  const lost: unknown[] = [];
  const read = async (first: number, end: number) => {
    const openAhead = () => Promise.reject(new Error("there is no other connection"));
    const body = follow(fill, { first, end, openAhead, giveUp: (fault) => lost.push(fault) });
    return { bytes: await new Response(body).bytes(), received: fill.available };
  };
  const parts = [
    [3_000_000, 3_000_100],
    [3_990_000, 4_000_001],
    [2_000_000, 2_300_000],
  ] as const;
  const reading = parts.map(([first, end]) => read(first, end));
  gate.isOpen = true;
  gate.next.resolve();
  for (const [index, part] of (await Promise.all(reading)).entries()) {
    const [first = 0, end = 0] = parts[index] ?? [];
    expect(Buffer.from(part.bytes).equals(bytes.subarray(first, end))).toBe(true);
    expect(part.received).toBeLessThan(first);
  }
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect([at.mostOpen, [...at.uses], lost]).toEqual([1, ["own"], []]);
});

test("what a client asked for that has left is not fetched out of turn", async () => {
  const { source, scripted, gate } = oneConnection();
  const clock = { now: 0 };
  const share = new LineShare(() => clock.now, SIZES);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  await until(() => fill.ahead.demand(3_000_000, 3_000_100) === "received", { what: "a turn" });
  clock.now += 5000;
  gate.isOpen = true;
  gate.next.resolve();
  await fill.stored;
  expect(scripted.offsets.toSorted((one, other) => one - other)).toEqual(scripted.offsets);
});
