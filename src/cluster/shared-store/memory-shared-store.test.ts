import { test } from "bun:test";
import { sharedStoreConformance } from "../clustertest/shared-store-conformance.ts";
import { MemorySharedStore } from "./memory-shared-store.ts";

sharedStoreConformance("MemorySharedStore", test, async () => new MemorySharedStore());
