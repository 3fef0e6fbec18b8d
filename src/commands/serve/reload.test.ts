import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { createLog } from "../../telemetry/log.ts";
import { Reload } from "./reload.ts";

async function started(text: string) {
  const dir = await tempDir("reload");
  const config = dir.file("entrepot.yaml");
  const write = (changed: string) => writeFile(config, changed);
  await write(text);
  const log = createLog({ format: "json", level: "error" });
  const reload = new Reload({ load: { flags: { config }, env: {} }, log });
  return {
    reload,
    write,
    async [Symbol.asyncDispose]() {
      reload.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test("what changed before the cache had started is taken up", async () => {
  await using at = await started("upstreams: { reg.test: {} }\n");
  await at.write("upstreams: { reg.test: {}, new.test: {} }\n");
  at.reload.now();
  const taken: string[][] = [];
  at.reload.onChange(({ upstreams }) => taken.push([...upstreams.keys()]));
  expect(taken).toEqual([["reg.test", "new.test"]]);
});

test("what needs a restart stays as it runs until then", async () => {
  await using at = await started("storage: { maxSize: 10GiB }\nadminToken: 0123456789abcdef\n");
  const { storage, adminToken } = at.reload.settings;
  await at.write("storage: { maxSize: 20GiB }\nadminToken: fedcba9876543210\n");
  at.reload.now();
  expect(at.reload.settings.storage).toEqual(storage);
  expect(at.reload.settings.adminToken).toBe(adminToken ?? "");
});
