import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { mustRun } from "../harness/processes.ts";
import { realTest } from "../harness/real-components.ts";
import { withSystemFault } from "../harness/faults/system-faults.ts";
import type { TempDir } from "../harness/temp-dir.ts";
import { until } from "../harness/waiting.ts";
import { offlineNode, serveNamespaces, startWatching } from "./offline-node.ts";
import { PROGRAM, entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

const STATE = "var/lib/entrepot/node";
const JOURNAL = `${STATE}/journal.json`;
const RENAMES = ["rename", "renameat", "renameat2"];
const options = (dir: TempDir): string[] => ["--root", dir.path];
const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];
/** Names that only a write or a removal in progress has. */
const leftovers = (dir: TempDir): string[] =>
  Object.keys(tree(dir.path)).filter((path) => path.includes("entrepot-new"));

realTest(
  "an apply on a read-only /etc leaves no journal, and says that nothing changed",
  async () => {
    await using dir = await offlineNode();
    const before = tree(dir.file("etc"));
    await mustRun(["mount", "--bind", dir.file("etc"), dir.file("etc")]);
    try {
      await mustRun(["mount", "-o", "remount,bind,ro", dir.file("etc")]);
      const { code, text } = await entrepotNode(["apply", ...desired, ...options(dir)]);
      expect(code).toBe(1);
      expect(text).toContain("the file system is read-only\nAll changes were reverted.");
      expect(readdirSync(dir.file(STATE))).toEqual(["lock"]);
      expect(await entrepotNode(["rollback", ...options(dir)])).toMatchObject({ code: 0 });
    } finally {
      await mustRun(["umount", dir.file("etc")]);
    }
    expect(tree(dir.file("etc"))).toEqual(before);
  },
);

realTest("a disk that is full at the last write of an apply or a rollback is told of", async () => {
  await using dir = await offlineNode();
  const before = tree(dir.file("etc"));
  // An apply writes the journal before its first change and after its last one.
  const full = (verb: string, when: string, ...more: string[]) => {
    const paths = [dir.file(`${STATE}/.journal.json.entrepot-new`)];
    const fault = { calls: RENAMES, paths, error: "ENOSPC", when };
    const program = withSystemFault(fault, [PROGRAM]);
    return entrepotNode([verb, ...more, ...options(dir)], { program });
  };
  const applied = await full("apply", "2+", ...desired);
  expect(applied.code).toBe(1);
  expect(applied.text).toMatch(/But the journal could not be completed: .*no space left on device/);
  expect(leftovers(dir)).toEqual([]);
  expect(readFileSync(dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml"), "utf8")).toContain(
    "http://cache:5000",
  );
  const check = await entrepotNode(["check", ...options(dir)]);
  expect(check.text).toContain("Wired to http://cache:5000 for ghcr.io.");
  expect(check.text).toContain("An apply was interrupted");
  expect(await entrepotNode(["apply", ...desired, ...options(dir)])).toMatchObject({ code: 0 });

  const config = dir.file("etc/containerd/config.toml");
  const wired = readFileSync(config, "utf8");
  writeFileSync(config, `# mine\n${wired}`);
  // A file that was edited stays in the journal, whose last write fails.
  const partial = await full("rollback", "2+");
  expect(partial).toMatchObject({ code: 1, text: expect.stringContaining("Not finished: ") });
  expect(leftovers(dir)).toEqual([]);
  writeFileSync(config, wired);
  expect(await entrepotNode(["rollback", ...options(dir)])).toMatchObject({ code: 0 });
  expect(tree(dir.file("etc"))).toEqual(before);
});

realTest("a failed write leaves no half of a file", async () => {
  await using dir = await offlineNode();
  const before = tree(dir.file("etc"));
  const paths = [dir.file("etc/containerd/.config.toml.entrepot-new")];
  const program = withSystemFault({ calls: ["fsync"], paths, error: "EIO" }, [PROGRAM]);
  const failed = await entrepotNode(["apply", ...desired, ...options(dir)], { program });
  expect(failed).toMatchObject({
    code: 1,
    text: expect.stringContaining("All changes were reverted."),
  });
  expect(tree(dir.file("etc"))).toEqual(before);
  expect(existsSync(dir.file(JOURNAL))).toBe(false);
});

realTest("a watcher removes what a killed one left, and its last words are true", async () => {
  await using server = serveNamespaces(() => ["ghcr.io", "quay.io"]);
  await using dir = await offlineNode();
  const args = ["apply", "--cache", server.url.origin, ...options(dir)];
  expect(await entrepotNode(args)).toMatchObject({ code: 0 });
  const certs = dir.file("etc/containerd/certs.d");
  const wired = tree(certs);
  // Killed in mid-write, and between hiding a directory and removing it.
  writeFileSync(`${certs}/ghcr.io/.hosts.toml.entrepot-new`, "half");
  mkdirSync(`${certs}/.quay.io.entrepot-new`);
  writeFileSync(`${certs}/.quay.io.entrepot-new/hosts.toml`, "old");
  const lines: string[] = [];
  {
    await using watcher = startWatching(dir);
    await until(() => leftovers(dir).length === 0, { what: "the leftovers to be removed" });
    expect(tree(certs)).toEqual(wired);
    await server.stop(true);
    await until(() => !existsSync(`${certs}/quay.io`), { what: "the cache to be removed" });
    await until(() => watcher.lines.some((line) => line.startsWith("removed ")), {
      what: "the removal to be reported",
    });
    watcher.stop();
    await until(() => watcher.lines.some((line) => line.startsWith("stopping")), {
      what: "the watcher to stop",
    });
    lines.push(...watcher.lines);
  }
  expect(lines.at(-1)).toContain("the cache stays removed from 2 files");
  // The next watcher knows that the cache was removed, and not by somebody else.
  const check = await entrepotNode(["check", ...options(dir)]);
  expect(check.text).toContain("for ghcr.io, quay.io, but a watcher has removed it for now.");
  expect(check.text).toContain("entrepot node watch has removed");
  expect(check.text).not.toContain("not as entrepot left it");
});
