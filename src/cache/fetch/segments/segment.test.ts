import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../../store/memory/memory-blob-store.ts";
import { sampleBlob, ScriptedSource } from "../../cachetest/scripted-source.ts";
import { withTimeout } from "../../with-timeout.ts";
import { receiveSegment } from "./segment.ts";

const { bytes, digest } = sampleBlob(900_001);
const sample = new ScriptedSource(bytes);

test("a disk that hangs has a slow sender wait", async () => {
  const writer = await new MemoryBlobStore().writer(digest);
  const disk = Promise.withResolvers<void>();
  writer.writeAhead = () => disk.promise;
  let sent = 0;
  let requested = Promise.withResolvers<boolean>();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        requested.resolve(true);
        await Bun.sleep(10);
        sent += 16_384;
        controller.enqueue(new Uint8Array(16_384));
      },
    },
    { highWaterMark: 0 },
  );
  const abort = new AbortController();
  const receiving = receiveSegment({
    writer,
    source: {
      upstream: sample.upstream,
      name: sample.name,
      open: async (start, _, end = Infinity) => ({ start, end, body, reportCorrupt: () => false }),
    },
    extent: { first: 1, end: 1e9 },
    use: "extra",
    size: 1e9,
    signal: abort.signal,
    checkVersion: () => {},
    onOpened: () => {},
    onReading: () => {},
    onReceived: () => {},
    onWritten: () => {},
  }).catch(String);
  while (await withTimeout(200, requested.promise)) {
    requested = Promise.withResolvers<boolean>();
    expect(sent).toBeLessThan(300_000);
  }
  disk.reject(new Error("gone"));
  expect(await receiving).toContain("gone");
});
