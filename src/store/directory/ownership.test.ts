import { expect, test } from "bun:test";
import {
  chown,
  lchown,
  link,
  lstat,
  mkdir,
  readFile,
  rename,
  symlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { openDataDirectory } from "./data-directory.ts";

const rootTest = test.skipIf(process.getuid?.() !== 0);

rootTest(
  "files that root created in another user's data directory belong to that user after it was closed",
  async () => {
    await using folder = await tempDir("owned");
    const data = folder.file("data");
    await mkdir(data);
    await lchown(data, 4321, 4322);
    const foreign = folder.file("registry");
    await writeFile(foreign, "adopted", { mode: 0o644 });

    const directory = await openDataDirectory(data);
    await mkdir(path.join(data, "blobs/sha256"), { recursive: true, mode: 0o700 });
    await writeFile(path.join(data, "blobs/sha256/own"), "copied", { mode: 0o600 });
    await link(foreign, path.join(data, "blobs/sha256/shared"));
    await symlink(foreign, path.join(data, "elsewhere"));
    await directory.close();

    const ownerOf = async (name: string): Promise<string> => {
      const { uid, gid } = await lstat(path.join(data, name));
      return `${name} ${uid}:${gid}`;
    };
    const names = ["lock", "format", "blobs", "blobs/sha256", "blobs/sha256/own"];
    const shared = ["blobs/sha256/shared", "elsewhere"];
    expect(await Promise.all([...names, ...shared].map(ownerOf))).toEqual([
      ...names.map((name) => `${name} 4321:4322`),
      ...shared.map((name) => `${name} 0:0`),
    ]);
  },
);

/** A data directory of another user, and a folder of root beside it. */
async function setUp() {
  const folder = await tempDir("owned");
  const [data, outside] = [folder.file("data"), folder.file("outside")];
  await mkdir(data);
  await mkdir(outside);
  await chown(data, 4321, 4322);
  await writeFile(path.join(outside, "file"), "root's");
  return { data, outside, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

rootTest("the owner of what a linked directory holds is not changed", async () => {
  await using at = await setUp();
  const directory = await openDataDirectory(at.data);
  await mkdir(path.join(at.data, "blobs"));
  await symlink(at.outside, path.join(at.data, "blobs/linked"));
  await symlink(path.join(at.outside, "file"), path.join(at.data, "format.txt"));
  await directory.close();
  expect((await lstat(at.outside)).uid).toBe(0);
  expect((await lstat(path.join(at.outside, "file"))).uid).toBe(0);
  expect((await lstat(path.join(at.data, "blobs"))).uid).toBe(4321);
});

const names = [
  "format",
  "lock",
  "lock.pid",
  "metadata.db",
  "blobs",
  "fills/sha256-aa",
  "sidecars/writing",
];

for (const name of names) {
  rootTest(`as root, another user's directory in which ${name} is a link is refused`, async () => {
    await using at = await setUp();
    const planted = path.join(at.data, name);
    await mkdir(path.dirname(planted), { recursive: true });
    await symlink(path.join(at.outside, "file"), planted);
    const error: unknown = await openDataDirectory(at.data).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: "DataDirectoryError", kind: "unsafe" });
    expect(String(error)).toContain(
      `the data directory ${at.data} belongs to the user with uid 4321, and ${planted} is neither a file nor a directory`,
    );
    expect(await readFile(path.join(at.outside, "file"), "utf8")).toBe("root's");
  });
}

rootTest("as root, a directory that another user replaced by a link is refused", async () => {
  await using at = await setUp();
  await rename(at.data, `${at.data}-moved`);
  await symlink(at.outside, at.data);
  await lchown(at.data, 4321, 4322);
  const error: unknown = await openDataDirectory(at.data).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ kind: "unsafe", path: at.data });
});

rootTest("as root, a link that root made to another user's directory is followed", async () => {
  await using at = await setUp();
  await symlink(at.data, `${at.data}-link`);
  const directory = await openDataDirectory(`${at.data}-link`);
  await directory.close();
  expect((await lstat(path.join(at.data, "format"))).uid).toBe(4321);
});
