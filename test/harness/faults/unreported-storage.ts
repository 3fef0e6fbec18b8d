import { storageSettings } from "../../../src/config/settings.ts";
import { openStorage, type Storage } from "../../../src/cache/retention/storage.ts";

const ignored = (): void => {};

/** Opens a storage of which nobody is told anything. */
export function openUnreportedStorage(dataDirectory: string, maxSize = 1e9): Promise<Storage> {
  const storage = storageSettings({ maxSize, minFree: 0, scrub: 0 });
  return openStorage(
    { dataDirectory, storage, upstreams: new Map() },
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
