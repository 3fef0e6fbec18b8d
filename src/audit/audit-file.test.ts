import { expect, test } from "bun:test";
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rmdir,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { type TempDir, tempDir } from "../../test/harness/temp-dir.ts";
import { AuditFile } from "./audit-file.ts";

function open(dir: TempDir, settings: { maxSize?: number; keep?: number } = {}) {
  const errors: unknown[] = [];
  const file = new AuditFile(
    { file: dir.file("logs", "audit.jsonl"), maxSize: 1e6, keep: 3, ...settings },
    (error) => errors.push(error),
  );
  const read = (name = "audit.jsonl") => readFile(dir.file("logs", name), "utf8");
  const names = async () => (await readdir(dir.file("logs"))).toSorted();
  return { file, errors, read, names };
}

test("a file is replaced as it has its size, and so many older ones are kept", async () => {
  await using dir = await tempDir("audit");
  const { file, read, names } = open(dir, { maxSize: 10, keep: 2 });
  for (const text of ["first line\n", "second line\n", "third line\n", "4\n"]) {
    file.write(text);
    await file.flush();
  }
  await file[Symbol.asyncDispose]();
  expect(await names()).toEqual(["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
  expect([await read(), await read("audit.jsonl.1"), await read("audit.jsonl.2")]).toEqual([
    "4\n",
    "third line\n",
    "second line\n",
  ]);
});

test("a file of an earlier process is continued, and one that was moved away is begun anew", async () => {
  await using dir = await tempDir("audit");
  await mkdir(dir.file("logs"));
  await writeFile(dir.file("logs", "audit.jsonl"), "before\n");
  const { file, read } = open(dir);
  file.write("first\n");
  await file.flush();
  await rename(dir.file("logs", "audit.jsonl"), dir.file("logs", "moved"));
  file.write("second\n");
  await file[Symbol.asyncDispose]();
  expect([await read("moved"), await read()]).toEqual(["before\nfirst\n", "second\n"]);
});

test("a line that a crash or a full disk has torn is ended, so that the next one is whole", async () => {
  await using dir = await tempDir("audit");
  await mkdir(dir.file("logs"));
  await writeFile(dir.file("logs", "audit.jsonl"), '{"whole":1}\n{"torn":"é');
  const { file, read } = open(dir);
  file.write("first\n");
  await file.flush();
  await appendFile(dir.file("logs", "audit.jsonl"), "torn again");
  file.write("second\n");
  await file[Symbol.asyncDispose]();
  expect(await read()).toBe('{"whole":1}\n{"torn":"é\nfirst\ntorn again\nsecond\n');
});

test("a file that was copied and emptied, as copytruncate does, is not replaced before it has its size", async () => {
  await using dir = await tempDir("audit");
  const { file, read, names } = open(dir, { maxSize: 20 });
  file.write("fifteen bytes.\n");
  await file.flush();
  await truncate(dir.file("logs", "audit.jsonl"), 0);
  file.write("after\n");
  await file.flush();
  file.write("once more\n");
  await file[Symbol.asyncDispose]();
  expect(await names()).toEqual(["audit.jsonl"]);
  expect(await read()).toBe("after\nonce more\n");
});

test("lines wait while they cannot be written, and those that are too many are counted", async () => {
  await using dir = await tempDir("audit");
  await mkdir(dir.file("logs", "audit.jsonl"), { recursive: true });
  const { file, errors, read } = open(dir, { maxSize: 1e9 });
  file.write("waiting\n");
  await file.flush();
  expect(errors).toHaveLength(1);
  for (let count = 0; count < 6; count += 1) file.write(`${"x".repeat(1024 * 1024)}\n`);
  await file.flush();
  expect([file.dropped, errors.length > 1]).toEqual([3, true]);
  await rmdir(dir.file("logs", "audit.jsonl"));
  await file[Symbol.asyncDispose]();
  expect((await read()).startsWith("waiting\nxxx")).toBe(true);
});

test("a link in the place of the file is not followed", async () => {
  await using dir = await tempDir("audit");
  await mkdir(dir.file("logs"));
  await writeFile(dir.file("target"), "of somebody else\n");
  await symlink(dir.file("target"), dir.file("logs", "audit.jsonl"));
  const { file, errors } = open(dir);
  file.write("line\n");
  await file[Symbol.asyncDispose]();
  expect(errors).toHaveLength(1);
  expect(await readFile(dir.file("target"), "utf8")).toBe("of somebody else\n");
});
