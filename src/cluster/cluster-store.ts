import type { PinnedBlobs } from "../cache/retention/pinned-blobs.ts";
import type { ClusterSettings } from "../config/cluster-settings.ts";
import type { Digest } from "../oci/digest.ts";
import type { MetadataStore } from "../store/metadata-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { ClusterProblems } from "./cluster-problems.ts";
import type { LeaderStatus, SharedStoreStatus } from "./cluster-status.ts";
import { rendezvousOrder } from "./members/order.ts";
import type { Members } from "./members/members.ts";
import type { OpenRetention, openRetention } from "./open-retention.ts";
import type {
  LocalContent,
  OpenSharedStore,
  openSharedStore,
  SharedStoreOptions,
} from "./open-shared-store.ts";
import type { SharedAdmin } from "./retention/shared-admin.ts";

/** What opens the shared store, loaded where one is configured. */
export interface StoreParts {
  readonly openStore: typeof openSharedStore;
  /** Set where a database is configured, too. */
  readonly openRetention?: typeof openRetention | undefined;
}

export interface ClusterStoreOptions extends StoreParts {
  readonly store: SharedStoreOptions["settings"];
  readonly database: ClusterSettings["database"];
  /** Throws while the ledger is not to be asked. */
  readonly assertLedgerUp: () => void;
  readonly members: () => Members;
  readonly problems: ClusterProblems;
  readonly counters: ClusterCounters;
  readonly log: Log;
  readonly transport: SharedStoreOptions["transport"];
}

/** What this replica has written to the shared store. */
export interface SharedContent extends Omit<LocalContent, "isOwn"> {
  readonly metadata: Pick<MetadataStore, "links" | "pins">;
  readonly pinned: PinnedBlobs;
}

/** The shared store of this replica, and its part in keeping it within its limit. */
export class ClusterStore implements AsyncDisposable {
  readonly open: OpenSharedStore;
  readonly #options: ClusterStoreOptions;
  readonly #closing = new AsyncDisposableStack();
  #retention: OpenRetention | undefined;
  #admin: SharedAdmin | undefined;

  constructor(options: ClusterStoreOptions) {
    this.#options = options;
    const { store: settings, openStore } = options;
    this.open = this.#closing.use(openStore({ ...options, settings }));
  }

  /** What operators can do with it; absent before `share`. */
  get admin(): SharedAdmin | undefined {
    return this.#admin;
  }

  /** To be told what is served; absent where nobody keeps account of that. */
  get used(): ((digest: Digest) => void) | undefined {
    if (!this.#options.openRetention) return undefined;
    return (digest) => this.#retention?.reports.used(digest);
  }

  /** Begins to write blobs. */
  share({ metadata, pinned, ...local }: SharedContent): void {
    const { members } = this.#options;
    this.#retention = this.#openRetention(metadata, pinned);
    this.#admin = this.#retention?.admin ?? this.open.admin(metadata.links);
    const isOwn = async (digest: Digest): Promise<boolean> => {
      const living = members().living();
      if (living.length < 2) return true;
      const { id } = members().self;
      const upstreams = await metadata.links.upstreams(digest);
      return upstreams.some((upstream) => rendezvousOrder(living, upstream, digest)[0]?.id === id);
    };
    this.open.start({ ...local, isOwn }, this.#retention?.reports);
  }

  status(): SharedStoreStatus {
    return { ...this.open.status(), ...this.#retention?.figures() };
  }

  leader(): LeaderStatus | undefined {
    return this.#retention?.leader();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync();
  }

  #openRetention(
    metadata: SharedContent["metadata"],
    pinned: PinnedBlobs,
  ): OpenRetention | undefined {
    const { database, openRetention, members, store: settings, ...told } = this.#options;
    const { assertLedgerUp: assertUp } = told;
    if (!database || !openRetention) return undefined;
    const { store, name: subject } = this.open;
    const { id: replica } = members().self;
    const { maxSize } = settings;
    const parts = { store, subject, replica, metadata, pinned, ...told };
    return this.#closing.use(openRetention({ database, assertUp, maxSize, ...parts }));
  }
}
