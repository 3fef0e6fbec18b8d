import { expect, test } from "bun:test";
import { open } from "node:fs/promises";
import { tempDir } from "../../../test/harness/places.ts";
import { rejection } from "../storetest/writing.ts";
import { SelfHealingMetadata } from "./self-healing-metadata.ts";
import { metadataConformance } from "../storetest/metadata-conformance.ts";
import { digestNumber, repositoryRef } from "../storetest/sample-names.ts";
import { openMetadata } from "../sql/open-metadata.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const digest = digestNumber(1);

metadataConformance("one that heals", async () => {
  const index = new SelfHealingMetadata(await openMetadata(":memory:"), () =>
    openMetadata(":memory:"),
  );
  return { metadata: index, close: () => index.close() };
});

/** An index of 2,000 contents, more than its first pages hold. */
async function fill(path: string): Promise<void> {
  const metadata = await openMetadata(path);
  for (let at = 0; at < 2000; at += 1) {
    await metadata.blobs.put({ digest: digestNumber(at), size: 1 }, at);
  }
  await metadata.close();
}

/** Writes over all but the first pages, in the same file. */
async function spoil(path: string): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  await file.write(Buffer.alloc(size - 8192, 7), 0, size - 8192, 8192);
  await file.close();
}

test("all who meet the damage are answered by one new index", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("metadata.db");
  await fill(path);
  let replaced = 0;
  const index = new SelfHealingMetadata(await openMetadata(path), async (damaged) => {
    replaced += 1;
    await damaged.close().catch(() => {});
    return openMetadata(dir.file(`index-${replaced}.db`));
  });
  await spoil(path);
  const { revision } = index;
  const answers = await Promise.all([
    index.blobs.page(2000),
    index.links.add(nginx, [{ digest }]),
    index.blobs.total(),
    index.blobs.page(10),
  ]);
  expect(answers).toEqual([[], undefined, { count: 0, bytes: 0 }, []]);
  expect(replaced).toBe(1);
  expect(index.revision).toBeGreaterThan(revision);
  expect(await index.links.get(nginx, digest)).toEqual({ digest });

  await index.close();
});

test("where the disk leaves no new index, it is not tried again and again", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("metadata.db");
  await fill(path);
  const reopened = await openMetadata(path);
  await spoil(path);
  let tried = 0;
  const index = new SelfHealingMetadata(reopened, async () => {
    tried += 1;
    throw new Error("the disk is broken");
  });
  expect(String(await rejection(index.blobs.page(2000)))).toContain("the disk is broken");
  expect(String(await rejection(index.blobs.page(2000)))).toContain("malformed");
  expect(tried).toBe(1);
  await index.close();
});
