import { expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import type { Digest } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { RebuildMarker } from "../../store/repair/rebuild-marker.ts";
import { rebuildMetadata, restoreFromSidecars } from "../../store/repair/rebuild-metadata.ts";
import { SidecarFiles } from "../../store/sidecars/sidecar-files.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { DurableMetadata } from "./durable-metadata.ts";

const app = repositoryRef("reg.test", "app");
const latest = tag("latest");
const [A, B, C] = [digestNumber(1), digestNumber(2), digestNumber(3)];

interface Moves {
  readonly stored: MetadataStore;
  readonly metadata: DurableMetadata;
  readonly sidecars: SidecarFiles;
  /** The upstream says that the tag points to a digest. */
  readonly seen: (digest: Digest, checkedAt: number) => Promise<void>;
  /** What a database knows of the tag that is rebuilt by another process, from the files alone. */
  readonly rebuilt: () => Promise<TagStay[]>;
  /** The database itself. */
  readonly recovered: () => Promise<MetadataStore>;
}

async function moving(work: (moves: Moves) => Promise<void>): Promise<void> {
  await using dir = await tempDir("history");
  await mkdir(dir.file("sidecars"));
  const stored = await openMetadata(":memory:");
  const sidecars = new SidecarFiles(dir.path);
  const report = (fault: unknown) => {
    throw fault;
  };
  const metadata = new DurableMetadata(stored, {
    sidecars,
    onNotWritten: report,
    onNotRead: report,
  });
  const seen = async (digest: Digest, checkedAt: number) => {
    await metadata.links.add(app, [{ digest, confirmed: true, manifestType: OCI_MANIFEST }]);
    await metadata.manifestStored(app, { digest, mediaType: OCI_MANIFEST });
    await metadata.tags.put(app, latest, { digest, checkedAt, source: "reg.test" });
  };
  const recovered = async () => {
    const empty = await openMetadata(":memory:");
    const options = {
      store: new MemoryBlobStore(),
      metadata: empty,
      sidecars: new SidecarFiles(dir.path),
    };
    await rebuildMetadata(options);
    const { revision } = empty;
    await restoreFromSidecars(options, new AbortController().signal);
    expect(empty.revision).toBe(revision);
    return empty;
  };
  const rebuilt = async () => {
    const empty = await recovered();
    const stays = await empty.tagHistory.of(app, latest);
    await empty.close();
    return stays;
  };
  await work({ stored, metadata, sidecars, seen, rebuilt, recovered });
  await stored.close();
}

const stay = (digest: Digest, firstSeen: number, lastSeen = firstSeen): TagStay => {
  return { digest, firstSeen, lastSeen, source: "reg.test" };
};

test("a rebuilt database knows what a tag pointed to, as often as it moved", () =>
  moving(async ({ stored, metadata, seen, rebuilt }) => {
    await seen(A, 1);
    await metadata.tags.put(app, latest, { digest: A, checkedAt: 4 });
    await stored.tagHistory.served(app, latest, A, 3);
    await seen(B, 5);
    await seen(B, 6);
    await seen(A, 8);
    await seen(C, 9);
    await seen(C, 12);
    expect(await rebuilt()).toEqual([
      // Of the latest one, the last time is that at which it was written.
      stay(C, 9),
      stay(A, 8),
      stay(B, 5, 6),
      { ...stay(A, 1, 4), firstServed: 3 },
    ]);
  }));

test("when a digest was first there is known, also where no tag points to it", () =>
  moving(async ({ metadata, recovered }) => {
    const before = Date.now();
    await metadata.manifestStored(app, { digest: A, mediaType: OCI_MANIFEST });
    const after = Date.now();
    await metadata.manifestStored(repositoryRef("reg.test", "other"), {
      digest: A,
      mediaType: OCI_MANIFEST,
    });
    const database = await recovered();
    const seen = await database.tagHistory.digestSeen(app, A, after + 5000);
    expect(seen).toBeWithin(before, after + 1);
    await database.close();
  }));

test("the digest before is known also if its manifest was evicted", () =>
  moving(async ({ sidecars, seen, rebuilt }) => {
    await seen(A, 1);
    await seen(A, 2);
    await seen(B, 5);
    await sidecars.remove(A);
    expect(await rebuilt()).toEqual([stay(B, 5), stay(A, 1, 2)]);
  }));

test("while a database is being rebuilt, what a tag was is waited for", async () => {
  await using dir = await tempDir("history");
  const stored = await openMetadata(":memory:");
  const marker = new RebuildMarker(dir.file("metadata.db"));
  const metadata = new DurableMetadata(stored, {
    restoring: () => marker.restoring,
    onNotWritten: () => {},
    onNotRead: () => {},
  });
  expect(await metadata.tagHistory.of(app, latest)).toEqual([]);
  marker.begin();
  const asked = metadata.tagHistory.of(app, latest);
  await stored.tagHistory.add(app, latest, [stay(A, 1)]);
  // Of a database that was replaced once more, it is not the last one.
  const before = marker.started;
  marker.begin();
  marker.restored(before);
  expect(marker.restoring).toBeDefined();
  marker.restored(marker.started);
  expect(await asked).toEqual([stay(A, 1)]);
  expect(marker.restoring).toBeUndefined();
  // The next process goes on with it.
  const next = new RebuildMarker(dir.file("metadata.db"));
  expect(next.restoring).toBeDefined();
  next.restored(next.started);
  await stored.close();
});

test("a tag that is removed has been what it was", () =>
  moving(async ({ metadata, seen, rebuilt }) => {
    await seen(A, 1);
    await seen(B, 5);
    await metadata.tags.put(app, latest, { digest: B, checkedAt: 7 });
    await metadata.tags.remove(app, latest);
    expect(await rebuilt()).toEqual([stay(B, 5, 7), stay(A, 1)]);
  }));
