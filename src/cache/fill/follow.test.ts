import { describe, expect, test } from "bun:test";
import { repositoryRef } from "../../store/storetest/sample-names.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { LineShare } from "../fetch/segments/line-share.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";

const MIB = 1024 * 1024;

describe("a follower", () => {
  test("far ahead of the fill reads ranged transfers, also of its end", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const gate = Promise.withResolvers<void>();
    const source = new ScriptedSource(bytes);
    const fill = new Fill(digest, new MemoryBlobStore(), {
      upstream: repositoryRef("reg.test", "app").upstream,
      name: source.name,
      open: async (offset, signal) => {
        const transfer = await source.open(offset, signal);
        return { ...transfer, body: transfer.body.pipeThrough(gated(gate.promise)) };
      },
    });
    await fill.started;
    const first = 500_000;
    const opened: number[] = [];
    const openAhead = (from: number) => {
      opened.push(from);
      const window = new ScriptedSource(bytes.slice(0, from + 200_000));
      return window.open(from, AbortSignal.timeout(60_000));
    };
    const reader = follow(fill, {
      first,
      end: bytes.length,
      openAhead,
      giveUp: () => {},
    }).getReader();
    let received = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received += value.length;
    }
    expect(received).toBe(bytes.length - first);
    expect(fill.available).toBe(0);
    expect(opened).toEqual([500_000, 700_000, 900_000]);
    gate.resolve();
    await fill.stored;
  });

  test("that reads apart and then from the fill gets each byte from its place", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const gate = Promise.withResolvers<void>();
    const source = new ScriptedSource(bytes);
    const share = new LineShare(undefined, { whole: MIB, first: MIB, min: 50_000, max: 70_000 });
    const fill = new Fill(
      digest,
      new MemoryBlobStore(),
      {
        upstream: source.upstream,
        name: source.name,
        async open(offset, signal, end, use) {
          const transfer = await source.open(offset, signal, end);
          if (use === "extra") return transfer;
          return { ...transfer, body: transfer.body.pipeThrough(gated(gate.promise)) };
        },
      },
      { size: MIB, share },
    );
    await fill.started;
    const openAhead = (from: number) => {
      // From now on, the fill has connections for parts.
      share.limit = from === 600_000 ? 7 : 0;
      return new ScriptedSource(bytes.slice(0, from + 30_000)).open(from, fresh());
    };
    const reader = follow(fill, {
      first: 600_000,
      end: MIB,
      openAhead,
      giveUp: () => {},
    }).getReader();
    const received: Uint8Array[] = [];
    let length = 0;
    for (let chunk = await reader.read(); chunk.value; chunk = await reader.read()) {
      received.push(chunk.value);
      length += chunk.value.length;
      // Now it has none, and then again some.
      if (length === 100_000) share.limit = 0;
    }
    expect(Buffer.concat(received).equals(bytes.subarray(600_000))).toBe(true);
    gate.resolve();
    await fill.stored;
  });

  test("that leaves does not end the fill", async () => {
    const { bytes, digest } = sampleBlob(MIB);
    const fill = new Fill(digest, new MemoryBlobStore(), new ScriptedSource(bytes));
    await fill.started;
    const reader = follow(fill, { first: 0, end: bytes.length, giveUp: () => {} }).getReader();
    await reader.read();
    await reader.cancel();
    expect((await fill.stored).size).toBe(bytes.length);
  });
});

const fresh = () => new AbortController().signal;

function gated(gate: Promise<void>): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    async transform(chunk, controller) {
      await gate;
      controller.enqueue(chunk);
    },
  });
}
