import type { NearSources } from "../cache/fetch/near-sources.ts";
import type { AccessKeySettings, SharedStoreSettings } from "../config/cluster-settings.ts";
import type { Digest } from "../oci/digest.ts";
import type { Links } from "../store/metadata-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { ClusterProblemKind, ClusterProblems } from "./cluster-problems.ts";
import type { SharedStoreStatus } from "./cluster-status.ts";
import { type AccessKeySource, FileAccessKeys } from "./s3/access-keys.ts";
import { Bucket } from "./s3/bucket.ts";
import { S3Store, type S3StoreOptions } from "./s3/s3-store.ts";
import { WebIdentityKeys } from "./s3/web-identity.ts";
import { Distrusted } from "./shared-store/distrusted.ts";
import { SharedAdmin } from "./retention/shared-admin.ts";
import type { SharedObjectNews } from "./shared-store/object-news.ts";
import type { SharedStore } from "./shared-store/shared-store.ts";
import { SharedAddresses } from "./shared-store/shared-addresses.ts";
import { SharedStoreError, type SharedStoreProblem } from "./shared-store/shared-store-error.ts";
import { SharedStoreHealth } from "./shared-store/shared-store-health.ts";
import { SHARED_STORE_LIMITS, SharedStoreSources } from "./shared-store/shared-store-source.ts";
import { SharedSweep, type SharedSweepOptions } from "./shared-store/shared-sweep.ts";
import { type LocalBlobs, SharedWrites } from "./shared-store/shared-writes.ts";

/** How often it is looked whether a store that was away is back, in milliseconds. */
const LOOK_MS = 2000;

/**
 * Who reads a blob gives it up before that, and looks first whether it has arrived while this machine was busy: a
 * time-out of the connection does not.
 */
const OUTER_LIMITS = {
  firstByteMs: 2 * SHARED_STORE_LIMITS.firstByteMs,
  stallMs: 2 * SHARED_STORE_LIMITS.stallMs,
};

export interface SharedStoreOptions {
  readonly settings: SharedStoreSettings;
  readonly problems: ClusterProblems;
  readonly counters: ClusterCounters;
  readonly log: Log;
  readonly transport: NonNullable<S3StoreOptions["transport"]>;
}

/** What is written to the shared store. */
export type LocalContent = LocalBlobs & Pick<SharedSweepOptions, "records" | "isOwn">;

/** The shared store as one replica uses it. */
export interface OpenSharedStore extends Disposable {
  readonly store: SharedStore;
  /** The bucket, as the configuration has it. */
  readonly name: string;
  readonly near: NearSources;
  /** Where clients get large blobs; absent if they get all of this cache. */
  readonly addresses?: SharedAddresses;
  /** An upstream has sent a blob, which is stored here. */
  readonly fetched: (digest: Digest) => void;
  /**
   * From then on, blobs are written.
   *
   * @param news absent where nobody keeps account of the store's objects
   */
  start(local: LocalContent, news?: SharedObjectNews): void;
  status(): SharedStoreStatus;
  /** What operators can do with it where nobody keeps account of its objects. */
  admin(links: Pick<Links, "repositoriesOf">): SharedAdmin;
}

export function openSharedStore(options: SharedStoreOptions): OpenSharedStore {
  const { settings, problems, counters, log } = options;
  const closing = new DisposableStack();
  const store = s3StoreOf(settings, options.transport);
  closing.defer(() => store.close());
  const subject = sharedStoreName(settings);
  const health = new SharedStoreHealth({
    failed(operation, error) {
      counters.failed("store", error.problem.kind);
      const kind = problemKindOf(operation, error.problem);
      // It may be another one than before.
      for (const other of operation === "read" ? READ_PROBLEMS : WRITE_PROBLEMS) {
        if (other !== kind) problems.over(other, subject);
      }
      problems.notice(kind, subject, error.detail);
    },
    recovered(operation) {
      const kinds = operation === "read" ? READ_PROBLEMS : WRITE_PROBLEMS;
      for (const kind of kinds) problems.over(kind, subject);
    },
  });
  const distrusted = new Distrusted(store, (digest, verdict) => {
    if (verdict === "gone" || verdict === "wrong") {
      addresses?.gone(digest);
      told?.missing(digest);
    }
    if (verdict !== "wrong") return;
    counters.failed("store", "wrong-bytes");
    problems.notice("store-corrupt", subject, digest);
  });
  closing.defer(() => distrusted.close());
  const near = new SharedStoreSources({
    store,
    health,
    distrusted,
    onRead: (digest, isThere) => (isThere ? told?.used(digest) : told?.missing(digest)),
    onReceived: (bytes) => counters.received("store", bytes),
  });
  const { url, redirect } = settings;
  const addresses =
    redirect &&
    new SharedAddresses({
      store,
      health,
      distrusted,
      url,
      from: redirect.from,
      isStaying: async (digest) => told === undefined || told.isStaying(digest),
      onRedirected: () => counters.redirected(),
    });
  const look = (): Promise<void> => lookAt(store, health);
  void look();
  const timer = setInterval(() => {
    if (health.state === "away" && health.reads.admit()) void look();
  }, LOOK_MS).unref();
  closing.defer(() => clearInterval(timer));
  let writes: SharedWrites | undefined;
  let told: SharedObjectNews | undefined;
  return {
    store,
    name: subject,
    near,
    ...(addresses ? { addresses } : {}),
    fetched: (digest) => writes?.add(digest),
    start(local, news) {
      told = news;
      writes = new SharedWrites({
        news,
        store,
        local,
        health,
        events: {
          shared: ({ digest, size }, written) => {
            addresses?.seen(digest);
            if (!written) return;
            counters.wrote(written.milliseconds);
            log.debug({ digest, size }, "blob written to the shared store");
          },
          notShareable: ({ digest, size }) =>
            log.info(
              { digest, size },
              "a blob cannot be in the shared store: it is kept here only",
            ),
          left: (blobs) =>
            log.info(
              { blobs },
              "blobs were not written to the shared store yet: they are within six minutes of the next start",
            ),
          damaged: (digest) =>
            log.warn(
              { digest },
              "a stored blob is damaged, the shared store says: run entrepot fsck --repair",
            ),
        },
      });
      const { records, isOwn } = local;
      closing.use(writes);
      closing.use(new SharedSweep({ store, health, writes, records, isOwn, news }));
    },
    status: () => ({
      state: health.state,
      since: health.since,
      name: subject,
      backlog: writes?.backlog ?? 0,
    }),
    admin: (links) => new SharedAdmin({ store, links, maxSize: undefined }),
    [Symbol.dispose]: () => closing.dispose(),
  };
}

/** The bucket's URL with the prefix. */
export function sharedStoreName({ url }: SharedStoreSettings): string {
  return url.href.replace(/\/+$/, "");
}

/** Asks for something that every usable store answers, and that tells whether the bucket is there. */
async function lookAt(store: SharedStore, health: SharedStoreHealth): Promise<void> {
  try {
    for await (const _ of store.list()) break;
    health.readSucceeded();
  } catch (error) {
    if (error instanceof SharedStoreError) health.readFailed(error);
    else health.reads.abandoned();
  }
}

/** The object store, of which nothing is known yet. */
export function s3StoreOf(
  settings: SharedStoreSettings,
  transport?: S3StoreOptions["transport"],
): S3Store {
  const { region, ca, proxy } = settings;
  const bucket = new Bucket(settings);
  const keys = keysOf(bucket.name, settings.keys, { ca, proxy });
  const limits = OUTER_LIMITS;
  return new S3Store({ bucket, region, keys, ca, proxy, limits, ...(transport && { transport }) });
}

function keysOf(
  store: string,
  settings: AccessKeySettings,
  connection: Pick<S3StoreOptions, "ca" | "proxy">,
): AccessKeySource {
  return settings.kind === "files"
    ? new FileAccessKeys(store, settings)
    : new WebIdentityKeys(store, { ...settings, ...connection });
}

const READ_PROBLEMS = ["store-away", "store-missing", "store-refused"] as const;
const WRITE_PROBLEMS = ["store-read-only", "store-full"] as const;

/** What a failed request says of the store. */
export function problemKindOf(
  operation: "read" | "write",
  { kind }: SharedStoreProblem,
): ClusterProblemKind {
  switch (kind) {
    case "no-bucket":
    case "elsewhere":
    // Something else is there.
    case "invalid-response":
      return "store-missing";
    case "credentials":
    case "clock":
      return "store-refused";
    case "full":
      return "store-full";
    case "denied":
      return operation === "read" ? "store-refused" : "store-read-only";
    case "failed":
      return operation === "read" ? "store-away" : "store-read-only";
    default:
      return "store-away";
  }
}
