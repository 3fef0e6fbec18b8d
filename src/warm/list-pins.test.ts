import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { parseImageReference, type ImageReference } from "../oci/image-reference.ts";
import { ListPins } from "./list-pins.ts";
import { StateFile } from "./state-file.ts";

function image(text: string): ImageReference {
  const parsed = parseImageReference(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

const [A, B, C] = [image("a:1"), image("b:1"), image("c:1")];

/** Pins in memory, and two lists that pin. */
async function lists() {
  const dir = await tempDir();
  const pins = new Map<string, number>();
  const clock = { now: 100 };
  const pinning = {
    saved: async () => Array.from(pins, ([pattern, since]) => ({ pattern, since, platforms: [] })),
    pin: async (pattern: string, _: readonly string[] = [], since = clock.now) => {
      pins.set(pattern, since);
      return { pattern, since, platforms: [], images: 0 };
    },
    unpin: async (pattern: string) => void pins.delete(pattern),
  };
  const file = dir.file("warm-pins.json");
  return {
    pins: () => [...pins.keys()].map((pattern) => pattern.slice("docker.io/library/".length)),
    pinning,
    clock,
    file,
    open: () => new ListPins(new StateFile(file), pinning, () => clock.now),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

test("a pin tells for which lists it was made, and none of one that a person has made", async () => {
  await using parts = await lists();
  const listPins = parts.open();
  await listPins.pin("one", A, []);
  await listPins.pin("two", A, []);
  const [pin] = await parts.pinning.saved();
  expect(pin && listPins.listsOf(pin)).toEqual(["one", "two"]);
  expect(pin && listPins.listsOf({ ...pin, since: pin.since + 1 })).toEqual([]);
});

test("what a list has no use for any more is unpinned, also after a restart", async () => {
  await using at = await lists();
  const before = at.open();
  for (const one of [A, B]) await before.pin("base", one, []);
  await before.pin("other", B, []);
  const after = at.open();
  await after.keepOnly("base", [C]);
  // The other list wants it, too.
  expect(at.pins()).toEqual(["b:1"]);
  await after.configure(new Set(["base"]));
  expect(at.pins()).toEqual([]);
});

test("what a person has pinned stays, whether it was before or after", async () => {
  await using at = await lists();
  await at.pinning.pin("docker.io/library/a:1", [], 1);
  const subject = at.open();
  await subject.pin("base", A, []);
  await subject.pin("base", B, []);
  at.clock.now = 200;
  await at.pinning.pin("docker.io/library/b:1");
  await subject.pin("base", C, []);
  await subject.keepOnly("base", []);
  expect(at.pins()).toEqual(["a:1", "b:1"]);
});

test.each(["", "[]", "{", '{"base":{"a":"b"}}'])("a damaged file %p says nothing", async (text) => {
  await using at = await lists();
  writeFileSync(at.file, text);
  const subject = at.open();
  await subject.configure(new Set(["base"]));
  await subject.pin("base", A, []);
  expect(at.pins()).toEqual(["a:1"]);
});

test("a list that goes while it is warmed pins nothing any more, until it is back", async () => {
  await using at = await lists();
  const subject = at.open();
  await subject.configure(new Set(["base", "other"]));
  await subject.pin("base", A, []);
  await subject.configure(new Set(["other"]));
  await subject.pin("base", B, []);
  expect(at.pins()).toEqual([]);
  await subject.configure(new Set(["base"]));
  await subject.pin("base", B, []);
  expect(at.pins()).toEqual(["b:1"]);
});
