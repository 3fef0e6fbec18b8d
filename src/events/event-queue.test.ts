import { expect, test } from "bun:test";
import { appendFile, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { type TempDir, tempDir } from "../../test/harness/temp-dir.ts";
import type { Event } from "./event.ts";
import { EventQueue, MAX_QUEUED } from "./event-queue.ts";

const eventOf = (number: number): Event => ({
  id: `evt_${number}`,
  type: "test",
  at: number,
  data: { message: `event ${number}` },
});

function open(dir: TempDir, errors: unknown[] = []) {
  return EventQueue.open({ path: dir.file("ops.jsonl"), onError: (error) => errors.push(error) });
}

/** The ids of all events, which are taken out. */
function drain(queue: EventQueue): string[] {
  const ids: string[] = [];
  for (let event = queue.first; event; event = queue.first) {
    ids.push(event.id);
    queue.remove(event.id);
  }
  return ids;
}

test("what is queued is there after a crash, in its order, and with its bytes", async () => {
  await using dir = await tempDir("events");
  await using queue = await open(dir);
  for (const number of [1, 2, 3, 4]) queue.add(eventOf(number));
  queue.remove("evt_2");
  await queue.written();
  // The process ends without closing the queue, in the middle of a line.
  await appendFile(dir.file("ops.jsonl"), '{"add":{"id":"evt_5","ty');
  await using again = await open(dir);
  expect(again.first).toEqual(eventOf(1));
  expect(drain(again)).toEqual(["evt_1", "evt_3", "evt_4"]);
});

test("a queue is bounded: the oldest event goes, and the file does not grow", async () => {
  await using dir = await tempDir("events");
  await using queue = await open(dir);
  for (let number = 0; number < 10 * MAX_QUEUED; number += 1) queue.add(eventOf(number));
  expect([queue.size, queue.dropped]).toEqual([MAX_QUEUED, 9 * MAX_QUEUED]);
  await queue.written();
  const lines = (await readFile(dir.file("ops.jsonl"), "utf8")).split("\n").length;
  expect(lines).toBeLessThan(4 * MAX_QUEUED + 2);
  expect(queue.first?.id).toBe(`evt_${9 * MAX_QUEUED}`);
});

test("a file with lines of others has what is readable of it", async () => {
  await using dir = await tempDir("events");
  const lines = [
    "{}",
    "nonsense",
    JSON.stringify({ add: eventOf(1) }),
    '{"add":{"id":7}}',
    "[]",
    "",
  ];
  await writeFile(dir.file("ops.jsonl"), lines.join("\n"));
  await using queue = await open(dir);
  expect(drain(queue)).toEqual(["evt_1"]);
});

test("what cannot be written stays in memory, and is written once it can be", async () => {
  await using dir = await tempDir("events");
  const errors: unknown[] = [];
  await rm(dir.file("ops.jsonl"), { force: true });
  await mkdir(dir.file("ops.jsonl"));
  await using queue = await open(dir, errors);
  queue.add(eventOf(1));
  await queue.written();
  expect([queue.first?.id, errors.length > 0]).toEqual(["evt_1", true]);
  await rm(dir.file("ops.jsonl"), { recursive: true });
  queue.add(eventOf(2));
  await queue.written();
  await using again = await open(dir);
  expect(drain(again)).toEqual(["evt_1", "evt_2"]);
});

test("a link in the place of the file is replaced, never written through", async () => {
  await using dir = await tempDir("events");
  await writeFile(dir.file("target"), "of somebody else");
  for (const name of ["ops.jsonl", "ops.jsonl.new"])
    await symlink(dir.file("target"), dir.file(name));
  await using queue = await open(dir);
  queue.add(eventOf(1));
  await queue.written();
  expect(await readFile(dir.file("target"), "utf8")).toBe("of somebody else");
  expect(((await stat(dir.file("ops.jsonl"))).mode & 0o777).toString(8)).toBe("600");
});
