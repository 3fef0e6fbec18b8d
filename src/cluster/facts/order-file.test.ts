import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { newOrderId } from "../ledger/facts.ts";
import { OrderFile, type TimedOrder } from "./order-file.ts";

const order = (kind: TimedOrder["kind"], pattern: string, at: number): TimedOrder => {
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
