import { objectLedgerConformance } from "../clustertest/object-ledger-conformance.ts";
import { MemoryObjectLedger } from "./memory-object-ledger.ts";

objectLedgerConformance("MemoryObjectLedger", async () => {
  let later = 0;
  const objects = new MemoryObjectLedger(() => later + performance.now());
  return {
    objects,
    clear: async () => objects.clear(),
    lead: async () => objects.lead(),
    later: async (milliseconds) => {
      later += milliseconds;
    },
    close: async () => {},
  };
});
