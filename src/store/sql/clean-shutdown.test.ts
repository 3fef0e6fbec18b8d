import { expect, test } from "bun:test";
import { copyFile, mkdtemp, open, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../oci/fault.ts";
import { rejection } from "../storetest/blob-store-conformance.ts";
import { digestNumber } from "../storetest/metadata-conformance.ts";
import { IndexError, openIndex } from "./open-metadata.ts";
import { isSealed } from "./clean-shutdown.ts";

const ROWS = 2000;

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "entrepot-seal-"));
  try {
    await work(join(folder, "index.db"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeIndex(path: string): Promise<void> {
  const index = await openIndex(path);
  for (let at = 0; at < ROWS; at += 1) {
    await index.contents.put({ digest: digestNumber(at), size: at }, at);
  }
  await index.close();
}

/** Writes over the pages behind the first ones, in the same file. */
async function spoil(path: string): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  await file.write(Buffer.alloc(size - 40_960), 0, size - 40_960, 40_960);
  await file.close();
}

async function copyOver(path: string): Promise<void> {
  await copyFile(path, `${path}.new`);
  await rename(`${path}.new`, path);
}

test("an index that was closed is sealed, and open again it is not", () =>
  inFolder(async (path) => {
    await makeIndex(path);
    expect(isSealed(path)).toBe(true);
    const index = await openIndex(path);
    expect(isSealed(path)).toBe(false);
    await index.close();
    expect(isSealed(path)).toBe(true);
  }));

test.each([
  ["was written to, and its times were set back", spoil],
  ["is a copy of itself", copyOver],
  ["has a journal beside it", async (path: string) => writeFile(`${path}-wal`, "")],
  ["is gone", async (path: string) => rm(path)],
])("no seal counts where the file %s", (_, change) =>
  inFolder(async (path) => {
    await makeIndex(path);
    const { atime, mtime } = await stat(path);
    await change(path);
    if (await Bun.file(path).exists()) await utimes(path, atime, mtime);
    expect(isSealed(path)).toBe(false);
  }),
);

test("a process that is killed leaves no seal", () =>
  inFolder(async (path) => {
    await makeIndex(path);
    const program = `
      import { openIndex } from ${JSON.stringify(join(import.meta.dir, "open-metadata.ts"))};
      const index = await openIndex(${JSON.stringify(path)});
      await index.contents.remove([${JSON.stringify(digestNumber(1))}]);
      console.log("written");
      await Promise.withResolvers().promise;
    `;
    const child = Bun.spawn([process.execPath, "-e", `setInterval(() => {}, 1000);${program}`], {
      stdout: "pipe",
    });
    await child.stdout.getReader().read();
    child.kill("SIGKILL");
    await child.exited;
    expect(isSealed(path)).toBe(false);
    const index = await openIndex(path);
    expect((await index.contents.total()).count).toBe(ROWS - 1);
    await index.close();
  }));

test("damage that shows while it is open is found at the next start", () =>
  inFolder(async (path) => {
    await makeIndex(path);
    const index = await openIndex(path);
    await spoil(path);
    const error = await rejection(index.contents.page(ROWS));
    expect(error instanceof Fault && error.message).toContain("malformed");
    await index.close();
    expect(isSealed(path)).toBe(false);
    const refused = await rejection(openIndex(path));
    expect(refused instanceof IndexError && refused.kind).toBe("damaged");
  }));
