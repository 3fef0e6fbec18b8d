import { expect, test } from "bun:test";
import {
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import {
  currentFile,
  freshBundle,
  bundlesFolder,
  readCurrent,
  root,
  runtime,
  stateOf,
} from "../scripts/fresh-bundle.mjs";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { until } from "./harness/waiting.ts";

const SERVE = "src/commands/serve/serve.ts";
const PARTS = ["src", "scripts", "bin", "package.json", "tsconfig.json", "bunfig.toml"];

/** A separate checkout that shares the node_modules of this one. */
async function checkout(dir: TempDir): Promise<string> {
  const folder = `${dir.file("checkout")}/`;
  for (const part of PARTS) await cp(join(root, part), join(folder, part), { recursive: true });
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** The output of `entrepot serve --help`, which shows what code runs. */
async function firstLines(folder: string): Promise<string> {
  const { code, stdout, stderr } = await run([join(folder, "bin/entrepot"), "serve", "--help"]);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
}

/** Edits a source without changing its size and times, as `cp -p` does. */
async function replaceInSource(folder: string, from: string, to: string): Promise<void> {
  const path = join(folder, SERVE);
  const { atime, mtime } = await stat(path);
  await writeFile(path, (await readFile(path, "utf8")).replace(from, to));
  await utimes(path, atime, mtime);
}

test("the bundle runs while it is up to date with its sources, and otherwise the sources run", async () => {
  await using dir = await tempDir("bundle");
  const folder = await checkout(dir);
  const bundle = join(bundlesFolder(folder), "made-by-hand/serve.js");
  const files = [SERVE, "package.json", ".cache/serve/made-by-hand/serve.js"];
  const write = async (change = {}): Promise<void> => {
    await mkdir(join(bundlesFolder(folder), "made-by-hand"), { recursive: true });
    await writeFile(bundle, `console.log("run from the bundle");`);
    const state = stateOf(folder, files);
    const record = { folder, bun: runtime(), name: "made-by-hand", files, state, ...change };
    await writeFile(currentFile(folder), JSON.stringify(record));
  };
  await write();
  expect(await firstLines(folder)).toBe("run from the bundle\n");
  const help = await run([join(folder, "bin/entrepot"), "--help"]);
  expect(help.stdout).toContain("Usage: entrepot [options] [command]");

  await replaceInSource(folder, "run the cache", "run new cache");
  expect(await firstLines(folder)).toContain("run new cache");

  for (const [what, change] of [
    ["another Bun", () => write({ bun: "1.0.0" })],
    ["a checkout that was moved", () => write({ folder: "/elsewhere/" })],
    ["an incomplete record", async () => writeFile(currentFile(folder), `{"folder":"${folder}"}`)],
    ["a truncated record", async () => writeFile(currentFile(folder), `{"folder":`)],
    ["a deleted bundle", async () => rm(bundle)],
    ["a modified bundle", async () => writeFile(bundle, `console.log("another one");`)],
    [
      "a source replaced by an older file",
      async () => {
        await cp(join(folder, SERVE), dir.file("old"), { preserveTimestamps: true });
        await rename(dir.file("old"), join(folder, SERVE));
      },
    ],
  ] as const) {
    await write();
    expect(freshBundle(folder), what).toBe(bundle);
    await change();
    expect(freshBundle(folder), what).toBeUndefined();
  }
  await write();
  await rm(bundle);
  expect(await firstLines(folder)).toContain("run new cache");
}, 60_000);

test("two concurrent builds, after one that was killed, make a bundle of the current sources", async () => {
  await using dir = await tempDir("bundle");
  const folder = await checkout(dir);
  const make = (): Bun.Subprocess =>
    Bun.spawn([process.execPath, join(folder, "scripts/bundle.mjs")], { stdio: ["ignore", 2, 2] });
  const killed = make();
  const hasBegun = async (): Promise<boolean> => (await readdir(bundlesFolder(folder))).length > 0;
  await until(hasBegun, { what: "a build to start" });
  killed.kill("SIGKILL");
  await killed.exited;
  expect(freshBundle(folder)).toBeUndefined();

  await replaceInSource(folder, "run the cache", "run own cache");
  const codes = await Promise.all([make().exited, make().exited]);
  expect(codes).toEqual([0, 0]);
  expect(freshBundle(folder)).toBeString();
  expect(readCurrent(folder)?.files).toContain(SERVE);
  expect(await firstLines(folder)).toContain("run own cache");

  await replaceInSource(folder, "run own cache", "run any cache");
  expect(freshBundle(folder)).toBeUndefined();
}, 60_000);

test("a checkout that is not writable runs from its sources", async () => {
  await using dir = await tempDir("bundle");
  const folder = await checkout(dir);
  // A file in place of the folder stops root as well, unlike missing permissions.
  await writeFile(join(folder, ".cache"), "");
  const { code, stderr } = await run(["node", join(folder, "scripts/bundle.mjs")]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(await firstLines(folder)).toContain("run the cache");
}, 60_000);
