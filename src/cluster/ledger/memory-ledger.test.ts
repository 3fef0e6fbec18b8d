import { test } from "bun:test";
import { ledgerConformance } from "../../../test/harness/replicas/ledger-conformance.ts";
import { tagLedgerConformance } from "../../../test/harness/replicas/tag-ledger-conformance.ts";
import type { EmptyLedger } from "../../../test/harness/replicas/two-replicas.ts";
import { MemoryLedger, SharedMemory } from "./memory-ledger.ts";

const makeEmpty = async (): Promise<EmptyLedger> => {
  const shared = new SharedMemory();
  return {
    open: async (id) => new MemoryLedger(shared, id),
    async [Symbol.asyncDispose]() {},
  };
};

ledgerConformance("in memory", makeEmpty, test);
tagLedgerConformance("in memory", makeEmpty, test);
