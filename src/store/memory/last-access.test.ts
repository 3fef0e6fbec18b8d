import { describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber } from "../storetest/sample-names.ts";
import { LastAccess } from "./last-access.ts";

const HOUR = 3_600_000;
const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];

/** Records what is written, one map for each writing. */
function recorder(): {
  touch(times: ReadonlyMap<Digest, number>): Promise<void>;
  writes: Map<Digest, number>[];
} {
  const writes: Map<Digest, number>[] = [];
  return { writes, touch: async (times) => void writes.push(new Map(times)) };
}

describe("use times", () => {
  test("are written once for many uses, the latest of each", async () => {
    const contents = recorder();
    const lastAccess = new LastAccess(contents, { interval: HOUR });
    for (let at = 1; at <= 1000; at += 1) lastAccess.touch(one, at);
    lastAccess.touch(two, 5);
    lastAccess.touch(one, 7);
    expect(contents.writes).toEqual([]);
    await lastAccess.flush();
    await lastAccess.flush();
    expect(contents.writes).toEqual([
      new Map([
        [one, 1000],
        [two, 5],
      ]),
    ]);
    await lastAccess.close();
  });

  test("are written after a while by themselves", async () => {
    const written = Promise.withResolvers<ReadonlyMap<Digest, number>>();
    const lastAccess = new LastAccess(
      { touch: async (times) => written.resolve(times) },
      { interval: 1 },
    );
    lastAccess.touch(one, 1);
    expect(await written.promise).toEqual(new Map([[one, 1]]));
    await lastAccess.close();
  });

  test("are written at the end", async () => {
    const contents = recorder();
    const lastAccess = new LastAccess(contents, { interval: HOUR });
    lastAccess.touch(three, 3);
    await lastAccess.close();
    expect(contents.writes).toEqual([new Map([[three, 3]])]);
  });

  test("take no more memory than allowed, even where the index does not keep up", async () => {
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

  test("that could not be written are reported, and the next ones are written", async () => {
    const failure = new Error("the disk is full");
    const reported = Promise.withResolvers<unknown>();
    const contents = recorder();
    let failing = true;
    const lastAccess = new LastAccess(
      {
        touch: async (times) => {
          if (failing) throw failure;
          await contents.touch(times);
        },
      },
      { interval: 1, onError: reported.resolve },
    );
    lastAccess.touch(one, 1);
    expect(await reported.promise).toBe(failure);
    failing = false;
    lastAccess.touch(two, 2);
    await lastAccess.close();
    expect(contents.writes).toEqual([new Map([[two, 2]])]);
  });
});
