import { afterAll, expect } from "bun:test";
import { startPostgres } from "../../test/harness/replicas/postgres.ts";
import { realTest } from "../../test/harness/real-components.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { openUnreportedStorage } from "../../test/harness/faults/unreported-storage.ts";
import { failureOf, until } from "../../test/harness/waiting.ts";
import { parseDatabaseUrl } from "../config/cluster/database-url.ts";
import { digestOf } from "../oci/digest.ts";
import { createLog } from "../telemetry/log.ts";
import { ClusterCounters } from "./cluster-counters.ts";
import { ClusterProblems } from "./cluster-problems.ts";
import { LedgerAwayError } from "./ledger/ledger.ts";
import { openRetention } from "./open-retention.ts";
import { migrateLedger } from "./database/migrations.ts";
import { openDatabase } from "./database/pool.ts";
import type { LedgerTables } from "./database/tables.ts";
import { MemorySharedStore } from "./shared-store/memory-shared-store.ts";

const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

realTest(
  "replicas keep account of what is stored, and neither waits for a database that hangs",
  async () => {
    const postgres = closing.use(await startPostgres());
    const settings = parseDatabaseUrl(await postgres.database());
    if (typeof settings === "string") throw new Error(`the URL ${settings}`);
    const { db, ...database } = openDatabase<LedgerTables>(settings, {
      connections: 1,
      statementMs: 10_000,
    });
    await migrateLedger(db);
    await database.close();
    const dir = closing.use(await tempDir("open-retention"));
    const storage = closing.use(await openUnreportedStorage(dir.file("data")));
    const log = createLog({ level: "silent", format: "json" });
    let isAway = false;
    const open = (replica: string) =>
      openRetention({
        database: settings,
        assertUp: () => {
          if (isAway) throw new LedgerAwayError("the ledger is away: it hangs");
        },
        store: new MemorySharedStore(),
        subject: "https://s3.test/bucket",
        maxSize: 1000,
        replica,
        metadata: storage.metadata,
        pinned: storage.pinned,
        problems: new ClusterProblems(log),
        counters: new ClusterCounters(),
        log,
      });
    const [one, two] = [open("one"), open("two")];
    const digest = digestOf(new Uint8Array(10));
    (await one.reports.claim(digest))?.stored(10);
    await one.reports.flush();
    expect(await two.admin.list(9)).toMatchObject([{ digest, size: 10, state: "here" }]);
    expect(await two.reports.isStaying(digest)).toBe(true);
    const lead = (): number => [one, two].filter((each) => each.leader()?.isThis).length;
    await until(() => lead() > 0, { what: "a leader" });
    expect(lead()).toBe(1);

    await postgres.freeze();
    try {
      one.reports.used(digest);
      // Once it is known to be away, nothing is asked.
      isAway = true;
      expect(await two.reports.isStaying(digest)).toBe(false);
      expect(await two.reports.claim(digest)).toBeDefined();
      expect(await failureOf(two.admin.list(9))).toBe("the ledger is away: it hangs");
      isAway = false;
      await Promise.all([one, two].map((replica) => replica[Symbol.asyncDispose]()));
    } finally {
      await postgres.thaw();
    }
  },
);
