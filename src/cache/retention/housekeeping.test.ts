import { expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { until } from "../../../test/harness/waiting.ts";
import { digestOf } from "../../oci/digest.ts";
import { repositoryRef } from "../../store/storetest/sample-names.ts";
import { Housekeeping } from "./housekeeping.ts";
import { openStorage } from "./storage.ts";

test("the sidecar file of a blob that is being downloaded is not pruned", async () => {
  await using dir = await tempDir("housekeeping");
  const ignored = (): void => {};
  await using storage = await openStorage(
    {
      dataDirectory: dir.file("data"),
      storage: { maxSize: 1e9, minFree: 0, scrub: 0 },
      upstreams: new Map(),
    },
    {
      fewInodes() {},
      fullStateChanged: ignored,
      removed: ignored,
      unreadable: ignored,
      accessTimesNotWritten: ignored,
      metadataDamaged: ignored,
      failed: ignored,
    },
  );
  const { sidecars } = storage;
  const repo = repositoryRef("reg.test", "app");
  const [downloading, gone] = [digestOf(Buffer.from("now")), digestOf(Buffer.from("never"))];
  for (const digest of [downloading, gone]) await sidecars.confirm(digest, repo);
  await using _ = new Housekeeping(storage, (digest) => digest === downloading, 0, {
    rebuilt: ignored,
    reconciled: ignored,
    restored: ignored,
    scrubbed: ignored,
    scrubEnded: ignored,
    corrupt: ignored,
    failed: ignored,
  });
  // It is counted at the end of a prune.
  await until(() => sidecars.bytes === 4096, { what: "the first prune" });
  expect(await sidecars.read(gone)).toBeUndefined();
  expect(await sidecars.read(downloading)).toBeDefined();
});
