import { describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber } from "../storetest/sample-names.ts";
import { LastAccess } from "./last-access.ts";

const HOUR = 3_600_000;
const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];

/** Blob records that keep what is written to them, one map for each write. */
function recorder(): {
  touch(times: ReadonlyMap<Digest, number>): Promise<void>;
  writes: Map<Digest, number>[];
} {
  const writes: Map<Digest, number>[] = [];
  return { writes, touch: async (times) => void writes.push(new Map(times)) };
}

describe("access times", () => {
  test("are written once for many accesses, the latest of each blob", async () => {
    const blobs = recorder();
    const lastAccess = new LastAccess(blobs, { interval: HOUR });
    for (let at = 1; at <= 1000; at += 1) lastAccess.touch(one, at);
    lastAccess.touch(two, 5);
    lastAccess.touch(one, 7);
    expect(blobs.writes).toEqual([]);
    await lastAccess.flush();
    await lastAccess.flush();
    expect(blobs.writes).toEqual([
      new Map([
        [one, 1000],
        [two, 5],
      ]),
    ]);
    await lastAccess.close();
  });

  test("are written periodically", async () => {
    const written = Promise.withResolvers<ReadonlyMap<Digest, number>>();
    const lastAccess = new LastAccess(
      { touch: async (times) => written.resolve(times) },
      { interval: 1 },
    );
    lastAccess.touch(one, 1);
    expect(await written.promise).toEqual(new Map([[one, 1]]));
    await lastAccess.close();
  });

  test("are written by `close`", async () => {
    const blobs = recorder();
    const lastAccess = new LastAccess(blobs, { interval: HOUR });
    lastAccess.touch(three, 3);
    await lastAccess.close();
    expect(blobs.writes).toEqual([new Map([[three, 3]])]);
  });

  test("do not exceed the limit in memory, even when the database does not keep up", async () => {
    const gate = Promise.withResolvers<void>();
    const writes: number[] = [];
    const slow = {
      touch: async (times: ReadonlyMap<Digest, number>) => {
        writes.push(times.size);
        await gate.promise;
      },
    };
    const lastAccess = new LastAccess(slow, { interval: HOUR, limit: 10 });
    for (let at = 0; at < 100; at += 1) lastAccess.touch(digestNumber(at), at);
    expect(writes).toEqual([10]);
    gate.resolve();
    await lastAccess.close();
    expect(writes).toEqual([10, 10]);
  });

  test("that cannot be written are reported, and later ones are written", async () => {
    const failure = new Error("the disk is full");
    const reported = Promise.withResolvers<unknown>();
    const blobs = recorder();
    let failing = true;
    const lastAccess = new LastAccess(
      {
        touch: async (times) => {
          if (failing) throw failure;
          await blobs.touch(times);
        },
      },
      { interval: 1, onError: reported.resolve },
    );
    lastAccess.touch(one, 1);
    expect(await reported.promise).toBe(failure);
    failing = false;
    lastAccess.touch(two, 2);
    await lastAccess.close();
    expect(blobs.writes).toEqual([new Map([[two, 2]])]);
  });
});
