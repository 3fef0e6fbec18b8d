import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { DurableFiles } from "./durable-files.ts";
import { NodeFiles } from "./node-files.ts";

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
