import { afterAll, beforeAll } from "bun:test";
import { type Postgres, startPostgres } from "../../../test/harness/postgres.ts";
import { real, realTest } from "../../../test/harness/real-components.ts";
import { ledgerConformance } from "../../../test/harness/ledger-conformance.ts";
import { TestLedger } from "../../../test/harness/postgres-ledger.ts";

let postgres: Postgres;
beforeAll(async () => {
  if (real.available) postgres = await startPostgres();
});
afterAll(async () => postgres?.[Symbol.asyncDispose]());

ledgerConformance(
  "in PostgreSQL",
  async () => {
    const url = await postgres.database();
    return {
      open: (id) => new TestLedger(url, id).isUp(),
      async [Symbol.asyncDispose]() {},
    };
  },
  realTest,
);
