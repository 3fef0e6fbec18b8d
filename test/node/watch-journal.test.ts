import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { acquireLock } from "../../src/node/files/lock.ts";
import { until } from "../harness/waiting.ts";
import { offlineNode, serveNamespaces, startWatching } from "./offline-node.ts";
import { PROGRAM, entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

const JOURNAL = "var/lib/entrepot/node/journal.json";

test("a failing cache is removed even after an interrupted apply", async () => {
  await using dir = await offlineNode();
  await using server = serveNamespaces(() => ["ghcr.io", "quay.io"]);
  const args = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(args)).toMatchObject({ code: 0 });
  // The journal on disk until the last write of an apply.
  const finished = readFileSync(dir.file(JOURNAL), "utf8");
  const unfinished = finished.replace(`"unfinished": null`, `"unfinished": "apply"`);
  expect(unfinished).not.toBe(finished);
  writeFileSync(dir.file(JOURNAL), unfinished);
  const certs = dir.file("etc/containerd/certs.d");
  const wired = tree(certs);

  const lock = acquireLock(dir.file("var/lib/entrepot/node"), "state");
  await using watcher = startWatching(dir);
  const reported = (line: string) => (): boolean => watcher.lines.some((it) => it.includes(line));
  await until(reported("another entrepot node command is running"), {
    what: "the watcher to report the running command",
  });
  expect(reported("interrupted")()).toBe(false);
  lock[Symbol.dispose]();
  await until(reported("an apply was interrupted"), {
    what: "the watcher to report the interrupted apply",
  });
  expect(tree(certs)).toEqual(wired);

  await server.stop(true);
  const quay = dir.file("etc/containerd/certs.d/quay.io");
  await until(() => !existsSync(quay), { what: "the cache to be removed" });
  expect(tree(certs)["ghcr.io/hosts.toml"]).not.toContain(server.url.origin);
  expect(await entrepotNode(["rollback", "--root", dir.path])).toMatchObject({ code: 0 });
  expect(existsSync(certs)).toBe(false);
});

test("a watcher reports a damaged journal once and keeps running", async () => {
  await using dir = await offlineNode();
  await using server = serveNamespaces(() => ["ghcr.io"]);
  const args = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(args)).toMatchObject({ code: 0 });
  const journal = readFileSync(dir.file(JOURNAL), "utf8");
  const hosts = dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml");
  await using watcher = startWatching(dir);
  writeFileSync(dir.file(JOURNAL), journal.slice(0, 100));
  const reported = (line: string) => (): boolean => watcher.lines.some((it) => it.includes(line));
  await until(reported("it is not valid JSON"), { what: "the watcher to report it" });
  writeFileSync(dir.file(JOURNAL), journal);
  await server.stop(true);
  await until(() => !readFileSync(hosts, "utf8").includes(server.url.origin), {
    what: "the cache to be removed",
  });
  expect(watcher.lines.filter((line) => line.includes("not valid JSON"))).toHaveLength(1);
  const check = await entrepotNode(["check", "--root", dir.path]);
  expect(check).toMatchObject({
    code: 1,
    text: expect.stringContaining("entrepot node watch has removed"),
  });
});

test("a rollback wins over a watcher that has just received a new list of namespaces", async () => {
  await using dir = await offlineNode();
  const path = dir.file("etc/containerd/config.toml");
  const table = `[plugins."io.containerd.grpc.v1.cri".registry]`;
  writeFileSync(path, `version = 2\n${table}\nconfig_path = "/etc/containerd/certs.d"\n`);
  const before = tree(dir.file("etc"));
  const root = ["--root", dir.path];
  let serves = ["ghcr.io"];
  let isRollbackDue = false;
  let requests = 0;
  await using server = serveNamespaces(() => {
    requests += 1;
    if (isRollbackDue) {
      isRollbackDue = false;
      serves = ["ghcr.io", "quay.io"];
      const { exitCode } = Bun.spawnSync([PROGRAM, "node", "rollback", ...root]);
      expect(exitCode).toBe(0);
    }
    return serves;
  });
  const args = ["apply", "--cache", server.url.origin, ...root];
  expect(await entrepotNode(args)).toMatchObject({ code: 0 });
  await using watcher = startWatching(dir);
  isRollbackDue = true;
  const { lines } = watcher;
  await until(() => lines.some((line) => line.includes("this node is not wired")), {
    what: "the watcher to notice the rollback",
  });
  expect(tree(dir.file("etc"))).toEqual(before);
  expect(requests).toBeGreaterThan(1);
});
