import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { takeLock } from "../../src/node/files/lock.ts";
import { until } from "../harness/waiting.ts";
import { image, saysItServes, startWatching } from "./offline-node.ts";
import { PROGRAM, entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

const JOURNAL = "var/lib/entrepot/node/journal.json";

test("after an apply that was cut short, a cache that fails is taken out all the same", async () => {
  await using dir = await image();
  await using server = saysItServes(() => ["ghcr.io", "quay.io"]);
  const words = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(words)).toMatchObject({ code: 0 });
  // As it is on the disk until the last write of an apply.
  const done = readFileSync(dir.file(JOURNAL), "utf8");
  const open = done.replace(`"unfinished": null`, `"unfinished": "apply"`);
  expect(open).not.toBe(done);
  writeFileSync(dir.file(JOURNAL), open);
  const certs = dir.file("etc/containerd/certs.d");
  const wired = tree(certs);

  const running = takeLock(dir.file("var/lib/entrepot/node"), "state");
  await using watcher = startWatching(dir);
  const told = (line: string) => (): boolean => watcher.said.some((it) => it.includes(line));
  await until(told("is at work here"), { what: "the watcher to see that one runs" });
  expect(told("cut short")()).toBe(false);
  running[Symbol.dispose]();
  await until(told("an apply was cut short"), { what: "the watcher to see that none runs" });
  expect(tree(certs)).toEqual(wired);

  await server.stop(true);
  const quay = dir.file("etc/containerd/certs.d/quay.io");
  await until(() => !existsSync(quay), { what: "the cache to be out" });
  expect(tree(certs)["ghcr.io/hosts.toml"]).not.toContain(server.url.origin);
  expect(await entrepotNode(["rollback", "--root", dir.path])).toMatchObject({ code: 0 });
  expect(existsSync(certs)).toBe(false);
});

test("a journal that is damaged for a while is told once, and ends no watcher", async () => {
  await using dir = await image();
  await using server = saysItServes(() => ["ghcr.io"]);
  const words = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(words)).toMatchObject({ code: 0 });
  const journal = readFileSync(dir.file(JOURNAL), "utf8");
  const hosts = dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml");
  await using watcher = startWatching(dir);
  writeFileSync(dir.file(JOURNAL), journal.slice(0, 100));
  const told = (line: string) => (): boolean => watcher.said.some((it) => it.includes(line));
  await until(told("it is no JSON"), { what: "the watcher to tell of it" });
  writeFileSync(dir.file(JOURNAL), journal);
  await server.stop(true);
  await until(() => !readFileSync(hosts, "utf8").includes(server.url.origin), {
    what: "the cache to be out",
  });
  expect(watcher.said.filter((line) => line.includes("no JSON"))).toHaveLength(1);
  const check = await entrepotNode(["check", "--root", dir.path]);
  expect(check).toMatchObject({ code: 1, text: expect.stringContaining("is taken out of it") });
});

test("a rollback while the watcher looks at a new list is the last word", async () => {
  await using dir = await image();
  const path = dir.file("etc/containerd/config.toml");
  const table = `[plugins."io.containerd.grpc.v1.cri".registry]`;
  writeFileSync(path, `version = 2\n${table}\nconfig_path = "/etc/containerd/certs.d"\n`);
  const before = tree(dir.file("etc"));
  const root = ["--root", dir.path];
  let serves = ["ghcr.io"];
  let isRollbackDue = false;
  let asked = 0;
  await using server = saysItServes(() => {
    asked += 1;
    if (isRollbackDue) {
      isRollbackDue = false;
      serves = ["ghcr.io", "quay.io"];
      const { exitCode } = Bun.spawnSync([PROGRAM, "node", "rollback", ...root]);
      expect(exitCode).toBe(0);
    }
    return serves;
  });
  const words = ["apply", "--cache", server.url.origin, ...root];
  expect(await entrepotNode(words)).toMatchObject({ code: 0 });
  await using watcher = startWatching(dir);
  isRollbackDue = true;
  const { said } = watcher;
  await until(() => said.some((line) => line.includes("nothing is wired here")), {
    what: "the watcher to see the rollback",
  });
  expect(tree(dir.file("etc"))).toEqual(before);
  expect(asked).toBeGreaterThan(1);
});
