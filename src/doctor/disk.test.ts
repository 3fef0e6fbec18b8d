import { expect, test } from "bun:test";
import { chown, mkdir } from "node:fs/promises";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { diskFindings } from "./disk.ts";
import { thisMachine } from "./machine.ts";

test.skipIf(process.getuid?.() !== 0)("a folder of another owner is a note", async () => {
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
    `blobs/sha256 is owned by user 0, but the data directory by user 4321, who cannot use it → if the cache runs as user 4321, run \`chown -R 4321 ${dir.path}\``,
  ]);
});

test("less free space than storage.minFree is a problem", async () => {
  await using dir = await tempDir("disk");
  const [space] = diskFindings(dir.path, thisMachine, 1e18);
  expect(space).toMatchObject({
    state: "problem",
    found: expect.stringMatching(
      / free of .*, which is below storage\.minFree \(.*\): nothing is stored$/,
    ),
    advice: "free some space, or lower storage.minFree",
  });
});
