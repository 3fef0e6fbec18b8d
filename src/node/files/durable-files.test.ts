import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { DurableFiles } from "./durable-files.ts";
import { NodeFiles, newFile } from "./node-files.ts";

test("removals below a path where a regular file has replaced the directory do nothing", async () => {
  await using dir = await tempDir();
  mkdirSync(dir.file("etc"));
  writeFileSync(dir.file("etc/certs.d"), "foreign");
  const durable = new DurableFiles(new NodeFiles(dir.path));
  durable.removeTemporaryFiles("/etc/certs.d/ghcr.io/hosts.toml");
  durable.remove("/etc/certs.d/ghcr.io/hosts.toml", true);
  durable.removeDirectory("/etc/certs.d");
  expect(readFileSync(dir.file("etc/certs.d"), "utf8")).toBe("foreign");
});

test("a link to a file in a directory that does not exist yet is written through, and removed again", async () => {
  await using dir = await tempDir();
  mkdirSync(dir.file("etc"));
  symlinkSync("../real/a.conf", dir.file("etc/b.conf"));
  const durable = new DurableFiles(new NodeFiles(dir.path));
  durable.write("/etc/b.conf", newFile("text"));
  expect(readFileSync(dir.file("etc/b.conf"), "utf8")).toBe("text");
  expect(readdirSync(dir.file("real"))).toEqual(["a.conf"]);
  durable.remove("/etc/b.conf", true);
  expect(existsSync(dir.file("real"))).toBe(false);
});

test("a directory in the place of a file is named as such", async () => {
  await using dir = await tempDir();
  mkdirSync(dir.file("etc/a.conf"), { recursive: true });
  writeFileSync(dir.file("file"), "");
  const durable = new DurableFiles(new NodeFiles(dir.path));
  const directory = "there is a directory where a file has to be";
  expect(() => durable.write("/etc/a.conf", newFile(""))).toThrow(directory);
  const file = "there is a file where one of its directories has to be";
  expect(() => durable.write("/file/a.conf", newFile(""))).toThrow(file);
  expect(readdirSync(dir.file("etc"))).toEqual(["a.conf"]);
});
