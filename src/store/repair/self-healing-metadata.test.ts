import { expect, test } from "bun:test";
import { open } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { until } from "../../../test/harness/waiting.ts";
import { rejection } from "../storetest/writing.ts";
import { SelfHealingMetadata } from "./self-healing-metadata.ts";
import { metadataConformance } from "../storetest/metadata-conformance.ts";
import { digestNumber, repositoryRef } from "../storetest/sample-names.ts";
import { openMetadata } from "../sql/open-metadata.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const digest = digestNumber(1);

metadataConformance("SelfHealingMetadata", async () => {
  const metadata = new SelfHealingMetadata(await openMetadata(":memory:"), () =>
    openMetadata(":memory:"),
  );
  return { metadata, close: () => metadata.close() };
});

/** Creates a database of 2,000 blob records, more than its first pages hold. */
async function fill(path: string): Promise<void> {
  const metadata = await openMetadata(path);
  for (let at = 0; at < 2000; at += 1) {
    await metadata.blobs.put({ digest: digestNumber(at), size: 1 }, at);
  }
  await metadata.close();
}

/** Overwrites all pages but the first ones, in the same file. */
async function overwritePages(path: string): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  await file.write(Buffer.alloc(size - 8192, 7), 0, size - 8192, 8192);
  await file.close();
}

test("all calls that find the damage are repeated on one replacement", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  await fill(path);
  let replaced = 0;
  const metadata = new SelfHealingMetadata(await openMetadata(path), async (damaged) => {
    replaced += 1;
    await damaged.close().catch(() => {});
    return openMetadata(dir.file(`replacement-${replaced}.db`));
  });
  await overwritePages(path);
  const { revision } = metadata;
  const results = await Promise.all([
    metadata.blobs.page(2000),
    metadata.links.add(nginx, [{ digest }]),
    metadata.blobs.total(1),
    metadata.blobs.page(10),
  ]);
  expect(results).toEqual([[], undefined, { count: 0, bytes: 0, diskBytes: 0 }, []]);
  expect(replaced).toBe(1);
  expect(metadata.revision).toBeGreaterThan(revision);
  expect(await metadata.links.get(nginx, digest)).toEqual({ digest });

  await metadata.close();
});

test("a database that cannot be opened again is tried again, though not at each call", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  await fill(path);
  const reopened = await openMetadata(path);
  await overwritePages(path);
  let attempts = 0;
  let isDiskBroken = true;
  const metadata = new SelfHealingMetadata(reopened, async (damaged) => {
    attempts += 1;
    await damaged.close().catch(() => {});
    if (isDiskBroken) throw new Error("the disk is broken");
    return openMetadata(":memory:");
  });
  for (let calls = 0; calls < 3; calls += 1) {
    expect(String(await rejection(metadata.blobs.page(2000)))).toContain("the disk is broken");
  }
  expect(attempts).toBe(1);
  isDiskBroken = false;
  const page = () => metadata.blobs.page(2000).catch(() => undefined);
  expect(await until(page, { what: "the database to be opened again" })).toEqual([]);
  expect(attempts).toBe(2);
  await metadata.close();
});
