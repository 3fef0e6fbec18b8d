import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../../test/harness/waiting.ts";
import { ExtentJournal } from "./extent-journal.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "entrepot-journal-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a journal grows by a line for 256 KiB, and for a MiB once it is long, however many transfers take turns", async () => {
  const path = join(folder, "turns");
  const journal = new ExtentJournal(path);
  await journal.begin(0);
  const size = 16 * GIB;
  const step = MIB / 8;
  for (let done = 0; done < size / 8; done += step) {
    for (let transfer = 0; transfer < 8; transfer += 1) {
      const first = (transfer * size) / 8 + done;
      journal.record({ first, end: first + step });
    }
  }
  await journal.close();
  const lines = (await Bun.file(`${path}.extents`).text()).split("\n");
  expect(lines.length).toBeLessThan(1.1 * (32_768 + 8 * 1024));
  expect([...((await journal.read(size)) ?? [])]).toEqual([{ first: 0, end: size }]);
});

test("the rest of a gap is recorded soon, however short it is", async () => {
  const path = join(folder, "gap");
  const journal = new ExtentJournal(path);
  await journal.begin(10);
  journal.record({ first: 10, end: 20 });
  const recorded = async () => (await new ExtentJournal(path).read(GIB))?.endFrom(0) === 20;
  await until(recorded, { what: "the gap to be recorded" });
  await journal.close();
});

test("what is small is not kept back for ever", async () => {
  const path = join(folder, "small");
  const journal = new ExtentJournal(path);
  await journal.begin(0);
  for (let first = MIB; first < GIB; first += MIB) {
    journal.record({ first, end: first + MIB / 2 });
  }
  // What another process finds after a crash, once the disk has what was written.
  const begun = journal.begin(0);
  await begun;
  const lost = 1023 - ((await new ExtentJournal(path).read(GIB))?.count ?? 0);
  expect(lost).toBeLessThan(32);
  await journal.close();
});

test.each([
  ["upwards", (index: number) => index * 10],
  ["downwards", (index: number) => 1e9 - index * 10],
])("a journal of more pieces than a download has, %s, is none", async (name, at) => {
  const path = join(folder, name);
  const lines = Array.from({ length: 200_000 }, (_, index) => `${at(index)} ${at(index) + 5}\n`);
  await appendFile(`${path}.extents`, lines.join(""));
  const reading = new ExtentJournal(path).read(1e9).catch(String);
  expect(await reading).toContain("is not a journal");
});
