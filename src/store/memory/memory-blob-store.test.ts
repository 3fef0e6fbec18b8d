import { blobStoreConformance } from "../storetest/blob-store-conformance.ts";
import { MemoryBlobStore } from "./memory-blob-store.ts";

blobStoreConformance("MemoryBlobStore", async () => ({
  store: new MemoryBlobStore(),
  close: async () => undefined,
}));
