import { test } from "bun:test";
import { ledgerConformance } from "../../../test/harness/replicas/ledger-conformance.ts";
import { MemoryLedger, SharedMemory } from "./memory-ledger.ts";

ledgerConformance(
  "in memory",
  async () => {
    const shared = new SharedMemory();
    return {
      open: async (id) => new MemoryLedger(shared, id),
      async [Symbol.asyncDispose]() {},
    };
  },
  test,
);
