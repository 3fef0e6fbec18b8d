import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { volumeFolder } from "./volume-folder.ts";

let dir: TempDir;
const path = process.env["PATH"];

/** Programs that answer as `docker volume inspect` and `podman volume inspect` do. */
beforeAll(async () => {
  dir = await tempDir("volume");
  await mkdir(dir.file("bin"));
  for (const name of ["hub", "other", "bound", "empty", "hub/ghcr"]) await mkdir(dir.file(name));
  await symlink("/etc", dir.file("hub/out"));
  const volume = (name: string, folder: string, options?: object): string =>
    `${name}) echo '${JSON.stringify([{ Name: name, Driver: "local", Mountpoint: dir.file(folder), Options: options ?? null, Scope: "local" }])}';;`;
  const engine = async (name: string, cases: readonly string[]): Promise<void> => {
    const script = `#!/bin/sh
printf '%s,' "$@" >> ${dir.file(`${name}-args`)}
case "$3" in
${cases.join("\n")}
*) echo "[]"; echo "no such volume" >&2; exit 1;;
esac
`;
    await writeFile(dir.file("bin", name), script);
    await chmod(dir.file("bin", name), 0o755);
  };
  const bind = { type: "none", o: "bind", device: dir.file("bound") };
  await engine("docker", [
    volume("hub", "hub"),
    volume("both", "hub"),
    volume("two", "hub"),
    volume("bound", "gone", bind),
    volume("gone", "gone"),
    volume("share", "empty", { type: "nfs", o: "addr=10.0.0.1,rw", device: ":/export\u202e" }),
    volume("plugin", "hub").replace(dir.file("hub"), "").replace('"local"', '"rclone"'),
    volume("asked", "hub").replace('"Name":"asked"', '"Name":"another\\u001b"'),
    "odd) echo nonsense;;",
    "long) yes nonsense | head -c 2000000;;",
    "killed) kill -9 $$;;",
    "silent) exit 3;;",
    // What it starts has its output, and outlives it.
    `hung) trap "" TERM; sleep 20 & echo $! > ${dir.file("sleeper")}; wait;;`,
  ]);
  await engine("podman", [volume("both", "hub"), volume("two", "other")]);
  process.env["PATH"] = `${dir.file("bin")}:/bin`;
});

afterAll(async () => {
  process.env["PATH"] = path;
  await dir[Symbol.asyncDispose]();
});

test.each([
  ["hub", "", "hub"],
  ["hub", "ghcr", "hub/ghcr"],
  ["both", "", "hub"],
  // Docker mounts it at its mountpoint only while a container uses it.
  ["bound", "", "bound"],
])("the folder of the volume %s with the subpath %j is %s", async (name, subpath, folder) => {
  expect(await volumeFolder(name, subpath)).toBe(dir.file(folder));
});

test.each([
  ["none", "", "docker: no such volume; podman: no such volume"],
  ["two", "", "and podman another one at"],
  ["gone", "", "which this machine cannot read: no such file or directory"],
  [
    "share",
    "",
    "the volume share is :/export\\u202e, which docker mounts only while a container uses it",
  ],
  ["plugin", "", "docker: its driver, rclone, has no folder on this machine"],
  ["hub", "nowhere", "which this machine cannot read: no such file or directory"],
  ["hub", "out", "out leads out of the volume hub"],
  ["asked", "", "docker: it answered with another\\u001b"],
  ["odd", "", "its answer is not that of `volume inspect`"],
  ["long", "", "docker: its answer is not that of `volume inspect`"],
  ["killed", "", "docker: it was ended by SIGKILL"],
  ["silent", "", "docker: it ended with exit code 3"],
  ["--help", "", "is no name of a volume"],
  ["$(id)", "", "is no name of a volume"],
  ["a\nb", "", "a\\u000ab is no name of a volume"],
])("the volume %j with the subpath %j is rejected", async (name, subpath, message) => {
  const rejected: unknown = await volumeFolder(name, subpath).catch((error: unknown) => error);
  expect(rejected).toMatchObject({ name: "CommandError" });
  expect(String(rejected)).toContain(message);
});

test("an engine that hangs is not waited for, nor what it has started", async () => {
  const rejected: unknown = await volumeFolder("hung", "", 300).catch((error: unknown) => error);
  const sleeper = Number(await readFile(dir.file("sleeper"), "utf8"));
  // Throws if it has ended.
  process.kill(sleeper, "SIGKILL");
  expect(String(rejected)).toContain("docker: it did not answer within 300 ms");
});

test("an engine gets the name as one argument", async () => {
  await volumeFolder("hub");
  expect(await readFile(dir.file("podman-args"), "utf8")).toEndWith("volume,inspect,hub,");
});
