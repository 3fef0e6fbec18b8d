import { blobStoreConformance } from "../storetest/blob-store-conformance.ts";
import { MemoryBlobs } from "./memory-blob-store.ts";

blobStoreConformance("memory", async () => ({
  store: new MemoryBlobs(),
  close: async () => undefined,
}));
