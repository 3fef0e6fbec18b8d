import { expect, test } from "bun:test";
import { chown, mkdir } from "node:fs/promises";
import { tempDir } from "../../test/harness/places.ts";
import { diskFindings } from "./disk.ts";
import { thisMachine } from "./machine.ts";

test.skipIf(process.getuid?.() !== 0)("folders that the cache's user cannot enter", async () => {
  await using dir = await tempDir("disk");
  const notes = (): string[] =>
    diskFindings(dir.path, thisMachine)
      .filter(({ advice }) => advice?.includes("chown"))
      .map(({ found, advice }) => `${found} → ${advice}`);
  await mkdir(dir.file("blobs/sha256"), { recursive: true });
  expect(notes()).toEqual([]);
  await chown(dir.path, 4321, 4321);
  await chown(dir.file("blobs"), 4321, 4321);
  expect(notes()).toEqual([
    `blobs/sha256 is of user 0, and the folder of user 4321, who cannot use it → if the cache runs as user 4321: chown -R 4321 ${dir.path}`,
  ]);
});

test("a disk on which less is free than is to stay free", async () => {
  await using dir = await tempDir("disk");
  const [space] = diskFindings(dir.path, thisMachine, 1e18);
  expect(space).toMatchObject({
    state: "problem",
    found: expect.stringMatching(/ free of .*, and .* are to stay free: nothing is stored$/),
    advice: "free some, or set storage.minFree to less",
  });
});
