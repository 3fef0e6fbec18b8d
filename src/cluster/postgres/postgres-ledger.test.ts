import { afterAll, beforeAll } from "bun:test";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { real, realTest } from "../../../test/harness/real-components.ts";
import { ledgerConformance } from "../../../test/harness/replicas/ledger-conformance.ts";
import { tagLedgerConformance } from "../../../test/harness/replicas/tag-ledger-conformance.ts";
import type { EmptyLedger } from "../../../test/harness/replicas/two-replicas.ts";
import { TestLedger } from "../../../test/harness/replicas/postgres-ledger.ts";
import { until } from "../../../test/harness/waiting.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";

let postgres: Postgres;
beforeAll(async () => {
  if (real.available) postgres = await startPostgres();
});
afterAll(async () => postgres?.[Symbol.asyncDispose]());

const makeEmpty = async (): Promise<EmptyLedger> => {
  const url = await postgres.database();
  return {
    open: (id) => new TestLedger(url, id).isUp(),
    async [Symbol.asyncDispose]() {},
  };
};

ledgerConformance("in PostgreSQL", makeEmpty, realTest);
tagLedgerConformance("in PostgreSQL", makeEmpty, realTest);

realTest("of many tags that are asked for at once, each gets its own answer", async () => {
  const url = await postgres.database();
  const [a, b] = [new TestLedger(url, "http://a"), new TestLedger(url, "http://b")];
  await Promise.all([a.isUp(), b.isUp()]);
  const repo = repositoryRef("reg.test", "app");
  const tags = Array.from({ length: 200 }, (_, index) => tag(`t${index}`));
  for (const [index, one] of tags.entries()) {
    if (index % 3 > 0) {
      a.tell({ kind: "tag", repo, tag: one, digest: digestNumber(index), ageMs: 1000 });
    }
    if (index % 3 === 2) a.tell({ kind: "tag-removed", repo, tag: one, ageMs: 0 });
  }
  const expected = tags.map((_, index) => (index % 3 === 1 ? digestNumber(index) : undefined));
  const digests = async (): Promise<boolean> => {
    const answers = await Promise.all(tags.map((one) => b.tag(repo, one)));
    return Bun.deepEquals(
      answers.map((answer) => answer?.digest),
      expected,
    );
  };
  await until(digests, { what: "all tags to be known" });
  await Promise.all([a.close(), b.close()]);
});
