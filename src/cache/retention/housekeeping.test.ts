import { expect, test } from "bun:test";
import { rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { openUnreportedStorage } from "../../../test/harness/faults/unreported-storage.ts";
import { until } from "../../../test/harness/waiting.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import type { HousekeepingEvents } from "./housekeeping-events.ts";
import { Housekeeping } from "./housekeeping.ts";

const ignored = (): void => {};
const noEvents: HousekeepingEvents = {
  rebuilt: ignored,
  vanished: ignored,
  reconciled: ignored,
  restored: ignored,
  scrubbed: ignored,
  scrubEnded: ignored,
  corrupt: ignored,
  failed: ignored,
};

test("the sidecar file of a blob that is being downloaded is not pruned", async () => {
  await using dir = await tempDir("housekeeping");
  await using storage = await openUnreportedStorage(dir.file("data"));
  const { sidecars } = storage;
  const repo = repositoryRef("reg.test", "app");
  const [downloading, gone] = [digestOf(Buffer.from("now")), digestOf(Buffer.from("never"))];
  for (const digest of [downloading, gone]) await sidecars.confirm(digest, repo);
  await using _ = new Housekeeping(storage, (digest) => digest === downloading, 0, noEvents);
  // It is counted at the end of a prune.
  await until(() => sidecars.bytes === 4096, { what: "the first prune" });
  expect(await sidecars.read(gone)).toBeUndefined();
  expect(await sidecars.read(downloading)).toBeDefined();
});

test("a pull that is in progress when a cache starts keeps its links", async () => {
  await using dir = await tempDir("housekeeping");
  await using storage = await openUnreportedStorage(dir.file("data"));
  const { links } = storage.metadata;
  const repo = repositoryRef("reg.test", "app");
  const [layer, evicted] = [digestOf(Buffer.from("layer")), digestOf(Buffer.from("evicted"))];
  await links.add(repo, [{ digest: evicted, size: 7 }], Date.now() - 2 * 3_600_000);
  await links.add(repo, [{ digest: layer, size: 5 }]);
  await using _ = new Housekeeping(storage, () => false, 0, noEvents);
  const isPruned = async (): Promise<boolean> => (await links.get(repo, evicted)) === undefined;
  await until(isPruned, { what: "the first prune" });
  expect(await links.get(repo, layer)).toEqual({ digest: layer, size: 5 });
});

test("what a rebuild could not read is restored once it can be read", async () => {
  await using dir = await tempDir("housekeeping");
  const repo = repositoryRef("reg.test", "app");
  const data = dir.file("data");
  let digest: Digest;
  {
    await using storage = await openUnreportedStorage(data);
    digest = await storeBytes(storage.store, sampleBytes(100));
    await storage.sidecars.record(digest, { mediaType: OCI_MANIFEST, repo, tag: tag("1"), at: 1 });
  }
  const hex = digest.slice("sha256:".length);
  const path = join(data, "sidecars/sha256", hex.slice(0, 2), `${hex}.json`);
  await rename(path, dir.file("aside"));
  // A link to itself cannot be opened, whoever tries it.
  await symlink(path, path);
  await writeFile(join(data, "metadata.db"), "not a database".repeat(1000));
  await using storage = await openUnreportedStorage(data);
  let unreadable: number | undefined;
  await using _ = new Housekeeping(storage, () => false, 0, {
    ...noEvents,
    rebuilt: (rebuilt) => ({ unreadable } = rebuilt),
  });
  await until(() => unreadable !== undefined, { what: "the rebuild" });
  expect(unreadable).toBe(1);
  expect(await storage.metadata.tags.list(repo)).toEqual([]);
  await rm(path);
  await rename(dir.file("aside"), path);
  await until(async () => (await storage.metadata.tags.list(repo)).length > 0, {
    what: "the tag to be restored",
  });
});
