import { expect, test } from "bun:test";
import { digestNumber } from "../../store/storetest/sample-names.ts";
import { BrokenResponses } from "./broken-responses.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const blob = digestNumber(1);

/** Broken responses, and which looks they caused. */
function setUp() {
  const looks: [first: number, length: number][] = [];
  const verified: string[] = [];
  const pending: (() => void)[] = [];
  const broken = new BrokenResponses({
    lookAt: (_, first, length) => {
      looks.push([first, length]);
      const { promise, resolve } = Promise.withResolvers<void>();
      pending.push(resolve);
      return promise;
    },
    verifySoon: (digest) => void verified.push(digest),
  });
  /** Ends the look in progress, until none is left. */
  const endLooks = async (): Promise<void> => {
    await Promise.resolve();
    for (let end = pending.pop(); end; end = pending.pop()) {
      end();
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    }
  };
  return { broken, looks, verified, endLooks };
}

test("a blob is read where its response broke off, and the next request waits for that", async () => {
  const { broken, looks, endLooks } = setUp();
  expect(broken.askedFor(blob, "node", 0)).toBeUndefined();
  broken.brokeOff({ digest: blob, first: 0, at: 3 * MIB, isExact: true });
  expect(broken.askedFor(digestNumber(2), "node", 0)).toBeUndefined();
  const look = broken.askedFor(blob, "node", 0);
  expect(look).toBeDefined();
  await endLooks();
  await look;
  expect(looks).toEqual([[2 * MIB, MIB + 128 * KIB]]);
  expect(broken.askedFor(blob, "node", 0)).toBeUndefined();
});

test("a client that asks for the rest of what it was sent has it read there first", async () => {
  const { broken, looks, endLooks } = setUp();
  broken.sentTo(blob, "node");
  expect(broken.askedFor(blob, "another node", 5 * MIB)).toBeUndefined();
  const look = broken.askedFor(blob, "node", 5 * MIB);
  expect(look).toBeDefined();
  await endLooks();
  expect(looks).toEqual([[5 * MIB, 128 * KIB]]);
});

test("a thousand clients that leave cause few reads, of one blob or of many", async () => {
  const one = setUp();
  for (let client = 0; client < 1000; client += 1) {
    one.broken.brokeOff({ digest: blob, first: 0, at: client, isExact: true });
    await one.endLooks();
  }
  expect(one.looks).toHaveLength(4);
  expect(one.verified).toEqual([]);
  const many = setUp();
  for (let client = 0; client < 1000; client += 1) {
    many.broken.brokeOff({ digest: digestNumber(client), first: 0, at: 1, isExact: true });
  }
  await many.endLooks();
  expect(many.looks).toHaveLength(16);
});

test("a blob whose responses break off again and again somewhere is verified", async () => {
  const { broken, verified } = setUp();
  for (let times = 0; times < 3; times += 1) {
    expect(verified).toEqual([]);
    broken.brokeOff({ digest: blob, first: 0, at: 1, isExact: false });
  }
  expect(verified).toEqual([blob]);
});

test("a blob that one client asks for again and again is verified: its digest may be wrong", () => {
  const { broken, verified } = setUp();
  for (let times = 0; times < 4; times += 1) {
    expect(verified).toEqual([]);
    expect(broken.askedFor(blob, "node", 0)).toBeUndefined();
    broken.sentTo(blob, "node");
  }
  expect(verified).toEqual([blob]);
});
