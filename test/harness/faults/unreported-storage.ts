import { openStorage, type Storage } from "../../../src/cache/retention/storage.ts";

const ignored = (): void => {};

/** Opens a storage of which nobody is told anything. */
export function openUnreportedStorage(dataDirectory: string, maxSize = 1e9): Promise<Storage> {
  return openStorage(
    { dataDirectory, storage: { maxSize, minFree: 0, scrub: 0 }, upstreams: new Map() },
    {
      fewInodes: ignored,
      fullStateChanged: ignored,
      removed: ignored,
      unreadable: ignored,
      accessTimesNotWritten: ignored,
      limitMet: ignored,
      recordsLeft: ignored,
      metadataDamaged: ignored,
      failed: ignored,
    },
  );
}
