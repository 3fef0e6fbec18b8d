import type { PinnedBlobs } from "../cache/retention/pinned-blobs.ts";
import { withTimeout } from "../cache/with-timeout.ts";
import type { DatabaseSettings } from "../config/database-settings.ts";
import type { MetadataStore } from "../store/metadata-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { ClusterProblems } from "./cluster-problems.ts";
import type { LeaderStatus, SharedStoreStatus } from "./cluster-status.ts";
import { SqlLease } from "./objects/sql-lease.ts";
import { SqlObjectLedger } from "./objects/sql-object-ledger.ts";
import { SqlObjectNews } from "./objects/sql-object-news.ts";
import { LedgerAwayError } from "./ledger/ledger.ts";
import { describeDatabaseError } from "./database/database-error.ts";
import { openDatabase } from "./database/pool.ts";
import type { LedgerTables } from "./database/tables.ts";
import { KeptObjects } from "./retention/kept-objects.ts";
import { ObjectReports } from "./retention/object-reports.ts";
import { RetentionReporter } from "./retention-reporter.ts";
import { SharedAdmin } from "./retention/shared-admin.ts";
import { SharedRetention } from "./retention/shared-retention.ts";
import type { SharedStore } from "./shared-store/shared-store.ts";

/** Statements about a few objects, and the lease. Nothing waits for them but what happens behind requests. */
const NEWS = { connections: 2, statementMs: 3000 };
/** Of the leader and of operators, about a thousand objects at once. */
const UPKEEP = { connections: 2, statementMs: 10_000 };
/** Of the leader and of operators, about all objects. */
const PATIENT = { connections: 1, statementMs: 120_000 };
/** How long the rest may take to be told at the end. */
const FAREWELL_MS = 1000;

export interface RetentionOptions {
  readonly database: DatabaseSettings;
  /** Throws while the ledger is not to be asked: it is away, or too new. */
  readonly assertUp: () => void;
  readonly store: SharedStore;
  /** For messages: the bucket, as the configuration has it. */
  readonly subject: string;
  /** In bytes. */
  readonly maxSize: number | undefined;
  /** The id of this replica. */
  readonly replica: string;
  readonly metadata: Pick<MetadataStore, "links" | "pins">;
  readonly pinned: PinnedBlobs;
  readonly problems: ClusterProblems;
  readonly counters: ClusterCounters;
  readonly log: Log;
}

/** What stays in the shared store, as one replica takes part in it. */
export interface OpenRetention extends AsyncDisposable {
  readonly reports: ObjectReports;
  readonly admin: SharedAdmin;
  readonly leader: () => LeaderStatus | undefined;
  /** What the store holds, as far as it is known. */
  readonly figures: () => Pick<SharedStoreStatus, "usedBytes" | "blobs" | "maxSize">;
}

export function openRetention(options: RetentionOptions): OpenRetention {
  const { database, assertUp, store, maxSize, replica, metadata, pinned, log } = options;
  const closing = new AsyncDisposableStack();
  const news = openDatabase<LedgerTables>(database, { ...NEWS, assertUp });
  const upkeep = openDatabase<LedgerTables>(database, { ...UPKEEP, assertUp });
  const patient = openDatabase<LedgerTables>(database, { ...PATIENT, assertUp });
  const objects = new SqlObjectLedger(upkeep.db, patient.db);
  const told = new SqlObjectNews(news.db);
  const events = new RetentionReporter(options);
  const onError = (error: unknown): void =>
    log.debug({ err: error }, "the ledger of the shared store was not told; it is told later");
  const leadership = closing.use(new SqlLease({ db: news.db, replica }));
  const retention = closing.use(
    new SharedRetention({ objects, store, maxSize, leadership, events }),
  );
  closing.use(
    new KeptObjects({
      objects: told,
      pins: metadata.pins,
      blobs: (pins, signal) => pinned.blobs(pins, signal),
      onError,
    }),
  );
  const reports = closing.use(new ObjectReports({ objects: told, onError }));
  return {
    reports,
    admin: new SharedAdmin({
      store,
      maxSize,
      links: metadata.links,
      upkeep: {
        objects,
        evictor: retention.evictor,
        leadership,
        describe: (error) =>
          error instanceof LedgerAwayError
            ? error.message
            : `the ledger failed: ${describeDatabaseError(error)}`,
      },
    }),
    leader: () => {
      const { leader: id } = leadership;
      return id === undefined ? undefined : { id, isThis: id === replica };
    },
    figures: () => {
      const { totals } = retention;
      const limit = maxSize === undefined ? {} : { maxSize };
      if (!totals) return limit;
      const { here, going } = totals;
      return {
        usedBytes: here.bytes + going.bytes,
        blobs: here.objects + going.objects,
        ...limit,
      };
    },
    async [Symbol.asyncDispose]() {
      // A database that hangs is left, with what was to be told.
      const closed = closing.disposeAsync();
      await withTimeout(FAREWELL_MS, closed);
      await Promise.all([news, upkeep, patient].map((one) => one.close()));
      await closed;
    },
  };
}
