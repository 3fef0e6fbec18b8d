import { expect, test } from "bun:test";
import { stat, writeFile } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { clusterSecret } from "./cluster-secret.ts";

test("the secret of a folder is made once, for its owner only", async () => {
  await using dir = await tempDir("local-cluster");
  const folder = dir.file("new/folder");
  const secret = clusterSecret(folder);
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(clusterSecret(folder)).toBe(secret);
  expect((await stat(dir.file("new/folder/cluster-secret"))).mode & 0o777).toBe(0o600);
});

test("a folder that cannot be made, and an empty secret, are said with what to do", async () => {
  await using dir = await tempDir("local-cluster");
  await writeFile(dir.file("file"), "");
  expect(() => clusterSecret(dir.file("file/sub"))).toThrow(
    /^\S+ cannot be used: .*: give --local-cluster another --data$/,
  );
  await writeFile(dir.file("cluster-secret"), " \n");
  expect(() => clusterSecret(dir.path)).toThrow("is no secret: remove it, and a new one is made");
});

test("the data directory of a single cache is refused", async () => {
  await using dir = await tempDir("local-cluster");
  await writeFile(dir.file("metadata.db"), "");
  expect(() => clusterSecret(dir.path)).toThrow(
    `${dir.path} is the data directory of a single cache: give --local-cluster another --data`,
  );
});
