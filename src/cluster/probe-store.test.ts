import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { probeSharedStore } from "./probe-store.ts";

/** What the doctor says of a store that does not permit requests of a method. */
async function probed(denied: string): Promise<unknown> {
  await using dir = await tempDir("probe-store");
  const keyFile = dir.file("key");
  await writeFile(keyFile, "key");
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch({ method, url }) {
      if (method === denied && !url.includes("list-type")) {
        return new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 });
      }
      return new Response("<ListBucketResult></ListBucketResult>");
    },
  });
  return await probeSharedStore({
    url: new URL("bucket", server.url),
    isPathStyle: true,
    region: "us-east-1",
    keys: { kind: "files", accessKeyFile: keyFile, secretKeyFile: keyFile },
  });
}

test("each permission that the keys of a shared store lack is told as what it is", async () => {
  expect(await probed("PUT")).toEqual({
    kind: "store-read-only",
    reason: "it does not permit s3:PutObject (AccessDenied)",
  });
  expect(await probed("HEAD")).toMatchObject({ kind: "store-refused" });
  expect(await probed("POST")).toEqual({
    kind: "store-undeletable",
    reason: "it does not permit s3:DeleteObject (AccessDenied)",
  });
});
