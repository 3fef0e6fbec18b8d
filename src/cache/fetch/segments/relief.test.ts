import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { until } from "../../../../test/harness/waiting.ts";
import { MemoryBlobStore } from "../../../store/memory/memory-blob-store.ts";
import {
  type Behaviour,
  sampleBlob,
  ScriptedSource,
  unreachable,
} from "../../cachetest/scripted-source.ts";
import { Fill } from "../../fill/fill.ts";
import { LineShare } from "./line-share.ts";
import { Relief } from "./relief.ts";
import type { Source } from "../source.ts";

const { bytes, digest } = sampleBlob(900_001);

/** A fill with one connection, which follows a script, and with a clock of its own. */
function setUp(script: Behaviour[], { hasRoom = true } = {}) {
  const clock = { now: 0 };
  const scripted = new ScriptedSource(bytes, script);
  const opened: string[] = [];
  /** Called before a request is answered. */
  const answer = { before: async (_signal: AbortSignal): Promise<void> => {} };
  const source: Source = {
    upstream: scripted.upstream,
    name: scripted.name,
    hasRoom,
    open: async (offset, signal, end, use) => {
      opened.push(`${use} ${offset}`);
      await answer.before(signal);
      return scripted.open(offset, signal, end);
    },
  };
  const share = new LineShare(() => clock.now);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  const received = (count: number) =>
    until(() => fill.received === count, { what: `${count} bytes` });
  return { clock, scripted, opened, answer, fill, received };
}

/** Rejects when it is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}

test.concurrent(
  "where the connection stalls, another one goes on, and no byte comes twice",
  async () => {
    const { clock, scripted, opened, fill, received } = setUp([
      { hangsAfter: 100_000 },
      { hangsAfter: 200_000 },
      {},
    ]);
    await received(100_000);
    clock.now += 3000;
    await received(300_000);
    clock.now += 3000;
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(opened).toEqual(["own 0", "extra 100000", "extra 300000"]);
    expect(scripted.sent).toBe(bytes.length);
  },
);

test.concurrent("where a request for the rest is not answered, another one is", async () => {
  const { clock, answer, opened, fill, received } = setUp([{ breaksAfter: 100_000 }]);
  await fill.started;
  answer.before = aborted;
  await received(100_000);
  await until(() => opened.length === 2, { what: "a request for the rest" });
  answer.before = async () => {};
  clock.now += 3000;
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(opened).toEqual(["own 0", "own 100000", "extra 100000"]);
});

test.concurrent(
  "a connection that goes on after all is the download's, whatever becomes of the other one",
  async () => {
    const gate = Promise.withResolvers<void>();
    const { clock, answer, opened, fill, received } = setUp([{ breaksAfter: 100_000 }]);
    await fill.started;
    answer.before = () => gate.promise;
    await received(100_000);
    await until(() => opened.length === 2, { what: "a request for the rest" });
    let isAborted = false;
    answer.before = (signal) => {
      signal.addEventListener("abort", () => (isAborted = true));
      return aborted(signal);
    };
    clock.now += 3000;
    await until(() => opened.length === 3, { what: "another request" });
    gate.resolve();
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect([opened.length, isAborted]).toEqual([3, true]);
  },
);

test.concurrent.each<[string, Behaviour]>([
  ["is refused", { fault: unreachable("reg.test") }],
  ["would bring all from the first byte on", { ignoresOffset: true }],
  ["would bring another blob", { size: 900_002 }],
])("a connection that stalls is waited for if another one %s", async (_, behaviour) => {
  const { clock, opened, fill, received } = setUp([{ hangsAfter: 100_000 }, behaviour, {}]);
  await received(100_000);
  clock.now += 3000;
  await until(() => opened.length === 2, { what: "another request" });
  expect(fill.received).toBe(100_000);
  clock.now += 6000;
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(fill.attempt).toBe(0);
});

test.concurrent(
  "where the upstream allows no further connection, the one that stalls is ended, and the next one goes on",
  async () => {
    const { clock, scripted, opened, fill, received } = setUp([{ hangsAfter: 100_000 }], {
      hasRoom: false,
    });
    await received(100_000);
    clock.now += 3000;
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect([opened, scripted.sent]).toEqual([["own 0", "own 100000"], bytes.length]);
  },
);

/** A download whose connection and whose further ones all hang. */
function hanging(isWanted = true) {
  const clock = { now: 0 };
  let asked = 0;
  const relief = new Relief({
    now: () => clock.now,
    isWanted: () => isWanted,
    hasRoom: () => true,
  });
  const beside = async (): Promise<undefined> => void (asked += 1);
  const own = (): Promise<never> => new Promise(() => {});
  void relief.opening(new AbortController().signal, { offset: 0, own, beside });
  /** How often another connection was asked for, after so many seconds. */
  const askedAfter = async (seconds: number): Promise<number> => {
    for (let look = 0; look < seconds * 2; look += 1) {
      clock.now += 500;
      relief.look();
      await setImmediate();
    }
    return asked;
  };
  return askedAfter;
}

test.concurrent("another connection is tried less and less often", async () => {
  const askedAfter = hanging();
  expect(await askedAfter(2.5)).toBe(0);
  expect(await askedAfter(0.5)).toBe(1);
  expect(await askedAfter(2.5)).toBe(1);
  expect(await askedAfter(0.5)).toBe(2);
  expect(await askedAfter(24)).toBe(4);
});

test.concurrent(
  "no other connection is tried while no client waits, or for something else",
  async () => {
    expect(await hanging(false)(60)).toBe(0);
  },
);
