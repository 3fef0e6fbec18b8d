import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DurableFiles } from "./durable-files.ts";
import { FakeFiles } from "../nodetest/fake-files.ts";
import { NodeFiles, OverlaidFiles, readText } from "./node-files.ts";

const root = mkdtempSync(join(tmpdir(), "entrepot-files-"));
afterAll(() => rmSync(root, { recursive: true }));

const state = (text: string) => ({
  bytes: new TextEncoder().encode(text),
  mode: 0o640,
  uid: 0,
  gid: 0,
});

test("symbolic links are resolved inside the root, and writes follow them", () => {
  mkdirSync(join(root, "etc"));
  mkdirSync(join(root, "real/containerd"), { recursive: true });
  writeFileSync(join(root, "real/config"), "inside");
  symlinkSync("/real/containerd", join(root, "etc/containerd"));
  symlinkSync("../../../../../../real/config", join(root, "real/containerd/config.toml"));
  const files = new NodeFiles(root);
  expect(files.resolve("/etc/containerd/config.toml")).toBe(join(root, "real/config"));
  expect(readText(files, "/etc/containerd/config.toml")).toBe("inside");
  expect(files.resolve("/etc/containerd/../../../x")).toBe(join(root, "x"));
  new DurableFiles(files).write("/etc/containerd/config.toml", state("written"));
  expect(readFileSync(join(root, "real/config"), "utf8")).toBe("written");
  symlinkSync("/etc/loop", join(root, "etc/loop"));
  expect(() => files.read("/etc/loop")).toThrow("too many symbolic links");
});

test("an overlay shows the original files and hides directories that did not exist", () => {
  const now = new FakeFiles({
    "/c/a/hosts.toml": "wired",
    "/c/b/hosts.toml": "wired",
    "/c/b/x.crt": "foreign",
  });
  const before = new OverlaidFiles(
    now,
    new Map([
      ["/c/a/hosts.toml", undefined],
      ["/c/b/hosts.toml", undefined],
      ["/c/d/hosts.toml", state("original")],
    ]),
  );
  expect(before.isDirectory("/c/a")).toBe(false);
  expect(before.isDirectory("/c/b")).toBe(true);
  expect(before.list("/c/b")).toEqual(["x.crt"]);
  expect(before.isDirectory("/c/d")).toBe(true);
  expect(readText(before, "/c/d/hosts.toml")).toBe("original");
  expect(before.read("/c/a/hosts.toml")).toBeUndefined();
});
