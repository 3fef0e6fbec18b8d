import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { offlineNode } from "./offline-node.ts";
import { entrepotNode } from "./program.ts";

setDefaultTimeout(60_000);

const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];

async function outputOf(...args: readonly string[]): Promise<{ code: number; changed?: boolean }> {
  const { code, text } = await entrepotNode([...args, "--json", "--runtime", "containerd"]);
  const { changed } = JSON.parse(text) as { changed?: boolean };
  return { code, ...(changed === undefined ? {} : { changed }) };
}

test("programs are told whether something is to change, by the exit code and in JSON", async () => {
  await using dir = await offlineNode();
  const root = ["--root", dir.path];
  const plan = ["plan", "--detailed-exitcode", ...desired, ...root];
  expect(await outputOf(...plan)).toEqual({ code: 2, changed: true });
  expect(await outputOf("plan", ...desired, ...root)).toEqual({ code: 0, changed: true });
  expect(await outputOf("apply", ...desired, ...root)).toEqual({ code: 0, changed: true });
  expect(await outputOf(...plan)).toEqual({ code: 0, changed: false });
  expect(await outputOf("apply", ...desired, ...root)).toEqual({ code: 0, changed: false });
  expect(await outputOf("check", ...root)).toMatchObject({ changed: false });
  expect(await outputOf("rollback", ...root)).toEqual({ code: 0, changed: true });
  expect(await outputOf("rollback", ...root)).toEqual({ code: 0, changed: false });
});

test("what keeps a plan from being made is never taken for changes", async () => {
  await using dir = await offlineNode();
  const plan = ["plan", "--detailed-exitcode", ...desired];
  const codeOf = async (...args: string[]): Promise<number> => (await entrepotNode(args)).code;
  expect(await codeOf(...plan, "--root", dir.file("none"))).toBe(1);
  expect(await codeOf(...plan, "--root", dir.path, "--misspelt")).toBe(1);
  expect(await codeOf("plan", ...desired, "--root", dir.path, "--misspelt")).toBe(2);
  writeFileSync(dir.file("etc/containerd/config.toml"), "version = [");
  expect(await codeOf(...plan, "--root", dir.path)).toBe(1);
});

test("runtimes that were found and not named are listed, with whether one of them changes", async () => {
  await using dir = await offlineNode();
  const { code, text } = await entrepotNode([
    "plan",
    "--detailed-exitcode",
    "--json",
    ...desired,
    "--root",
    dir.path,
  ]);
  expect(JSON.parse(text)).toMatchObject({ changed: true, runtimes: [{ command: "plan" }] });
  expect(code).toBe(2);
});

test("of several runtimes, the last lines say how each ended", async () => {
  await using dir = await offlineNode();
  for (const [path, text] of [
    ["usr/bin/podman", ""],
    ["usr/bin/containerd", ""],
    ["etc/containers/registries.conf", "not = [valid"],
  ] as const) {
    mkdirSync(dirname(dir.file(path)), { recursive: true });
    writeFileSync(dir.file(path), text);
  }
  const { code, text } = await entrepotNode(["apply", ...desired, "--root", dir.path]);
  expect(code).toBe(1);
  // Standard error, with the reason, comes after it here.
  expect(text).toContain("\ncontainerd  changed\nPodman      failed: see above\n");
});
