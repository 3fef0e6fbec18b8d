import { blobStoreConformance } from "./blobs-conformance.ts";
import { MemoryBlobs } from "./memory-blobs.ts";

blobStoreConformance("memory", async () => ({
  store: new MemoryBlobs(),
  close: async () => undefined,
}));
