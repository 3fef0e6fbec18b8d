import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { digestNumber } from "../../store/storetest/sample-names.ts";
import { newOrderId } from "../ledger/facts.ts";
import { OrderFile } from "./order-file.ts";
import type { TimedPatternOrder } from "./timed-order.ts";

const order = (kind: TimedPatternOrder["kind"], pattern: string, at: number): TimedPatternOrder => {
  return { kind, id: newOrderId(), pattern, platforms: [], at };
};

async function opened(path: string) {
  const failed: unknown[] = [];
  const { file, isNew } = await OrderFile.open(path, (error) => failed.push(error));
  return { file, isNew, failed };
}

test("orders outlast their process, those that are to be told in the order in which they were given", async () => {
  await using dir = await tempDir();
  const path = dir.file("orders.json");
  const { file, isNew } = await opened(path);
  expect(isNew).toBe(true);
  const [purge, pin, unpin] = [
    order("purge", "a", 1),
    order("pin", "b", 2),
    order("unpin", "b", 3),
  ];
  await Promise.all([file.given([purge]), file.given([pin]), file.given([unpin])]);
  const again = await opened(path);
  expect(again.isNew).toBe(false);
  // The unpin has taken back the pin.
  expect(again.file.untold).toEqual([purge, unpin]);
  expect(again.file.purges).toMatchObject([{ pattern: "a", at: 1 }]);
  for (const known of [purge, pin, unpin]) expect(again.file.isKnown(known)).toBe(true);
  // One that was given before, and comes late.
  expect(again.file.isKnown(order("pin", "b", 2))).toBe(true);
  expect(again.file.isKnown(order("pin", "b", 4))).toBe(false);
  expect(again.file.isKnown(order("purge", "b", 1))).toBe(false);
  await again.file.told(purge);
  expect((await opened(path)).file.untold).toEqual([unpin]);
});

test("orders of overrides outlast their process, an end counts, and an earlier version passes over them", async () => {
  await using dir = await tempDir();
  const path = dir.file("orders.json");
  const { file } = await opened(path);
  const purge = order("purge", "a", 1);
  const override = {
    id: crypto.randomUUID(),
    kind: "rollback",
    pattern: "reg.test/a:b",
    digest: digestNumber(1),
    reason: "r",
    by: "ops",
    since: 2,
  } as const;
  const kept = { kind: "override", id: newOrderId(), override, at: 2 } as const;
  const by = { by: "ops", reason: "over" };
  const end = { ...kept, id: newOrderId(), override: { ...override, ended: { at: 1, ...by } } };
  await file.given([purge, kept]);
  const again = await opened(path);
  expect(again.file.untold).toEqual([purge, kept]);
  expect(again.file.isKnown(kept)).toBe(true);
  expect(again.file.isKnown({ ...kept, id: newOrderId(), at: 1 })).toBe(true);
  expect(again.file.isKnown({ ...kept, id: newOrderId(), at: 3 })).toBe(false);
  // Whenever that was.
  expect(again.file.isKnown({ ...end, at: 1 })).toBe(false);
  await again.file.done({ ...end, at: 1 });
  expect((await opened(path)).file.isKnown({ ...kept, id: newOrderId(), at: 3 })).toBe(true);
  const { untold }: { untold: unknown[] } = JSON.parse(readFileSync(path, "utf8"));
  expect(untold).toEqual([purge]);
});

test.each(["", "{", "[]", '{"untold":[{"kind":"reboot"}],"known":[]}', "null"])(
  "what is no such file counts as none: %j",
  async (text) => {
    await using dir = await tempDir();
    const path = dir.file("orders.json");
    writeFileSync(path, text);
    const { file, isNew, failed } = await opened(path);
    expect([file.untold, isNew, failed]).toEqual([[], true, []]);
  },
);

test("what cannot be read or written keeps nobody from working", async () => {
  await using dir = await tempDir();
  const path = dir.file("orders.json");
  mkdirSync(path);
  writeFileSync(`${path}/full`, "");
  const { file, isNew, failed } = await opened(path);
  expect([isNew, failed.length]).toEqual([false, 1]);
  const purge = order("purge", "a", 1);
  const error = await file.given([purge]).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(Error);
  expect(file.untold).toEqual([purge]);
});

test("the file stays small, whatever is ordered", async () => {
  await using dir = await tempDir();
  const path = dir.file("orders.json");
  const { file } = await opened(path);
  await file.given(Array.from({ length: 10_000 }, (_, at) => order("purge", `p${at % 5000}`, at)));
  expect(file.untold.length).toBe(4096);
  expect(readFileSync(path).byteLength).toBeLessThan(4 * 2 ** 20);
});
