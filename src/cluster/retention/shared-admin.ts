import type { Digest } from "../../oci/digest.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import type { Links, RepositoryRef } from "../../store/metadata-store.ts";
import type { SharedStore } from "../shared-store/shared-store.ts";
import type {
  Leadership,
  ListedObject,
  ObjectCount,
  ObjectLedger,
  ObjectTotals,
} from "../objects/object-ledger.ts";
import type { SharedEvictor } from "./shared-evictor.ts";
import { SharedVerification, type SharedVerified } from "./shared-verification.ts";

/** In how many of its repositories an object is listed. */
const MAX_REPOSITORIES = 3;

/** An object of the shared store in a list for operators. Times are in milliseconds since the epoch. */
export interface SharedObjectEntry {
  readonly digest: Digest;
  readonly size: number;
  readonly stored: number;
  readonly used: number;
  readonly state: ListedObject["state"];
  readonly pinned: boolean;
  /** Some of the repositories in which this replica knows it, such as `docker.io/library/nginx`. */
  readonly repositories: readonly string[];
}

export interface SharedCollected extends ObjectCount {
  /** What it holds, and may. In bytes. */
  readonly here: number;
  readonly maxSize: number;
  /** The replica that deletes what was marked, if one is known to lead. */
  readonly leader?: string;
}

export interface SharedAdminOptions {
  readonly store: SharedStore;
  /** Without a ledger, the store can be verified, and nothing else. */
  readonly upkeep?: {
    readonly objects: ObjectLedger;
    readonly evictor: SharedEvictor;
    readonly leadership: Leadership & { readonly leader?: string | undefined };
    /** What is said of an error of the ledger. */
    readonly describe?: (error: unknown) => string;
  };
  /** In bytes. */
  readonly maxSize: number | undefined;
  readonly links: Pick<Links, "repositoriesOf">;
}

const NO_LEDGER = "the replicas have no database that knows what is in the shared store";

/** The operations of an operator on the shared store. */
export class SharedAdmin {
  readonly #options: SharedAdminOptions;

  constructor(options: SharedAdminOptions) {
    this.#options = options;
  }

  async totals(): Promise<ObjectTotals | undefined> {
    return this.#options.upkeep?.objects.totals();
  }

  /**
   * A page of the objects in order of their digests, after `last`: there may be millions.
   *
   * @param limit at most `MAX_OBJECTS`
   * @throws RefusedError if there is no ledger
   */
  async list(limit: number, last?: Digest): Promise<SharedObjectEntry[]> {
    const { objects } = this.#upkeep();
    const { links } = this.#options;
    const page = await this.#asked(objects.page(limit, last));
    const now = Date.now();
    return Promise.all(
      page.map(async ({ digest, size, storedAgo, usedAgo, state, isKept }) => ({
        digest,
        size,
        stored: Math.round(now - storedAgo),
        used: Math.round(now - usedAgo),
        state,
        pinned: isKept,
        repositories: (await links.repositoriesOf(digest, MAX_REPOSITORIES)).map(nameOf),
      })),
    );
  }

  /**
   * Marks what exceeds the store's limit now; the leader deletes it after the grace period.
   *
   * @throws RefusedError if there is no ledger or no limit
   */
  async collect(dryRun: boolean, signal: AbortSignal): Promise<SharedCollected> {
    const { objects, evictor, leadership } = this.#upkeep();
    const { maxSize } = this.#options;
    if (maxSize === undefined) {
      throw new RefusedError(
        "invalid-argument",
        "the shared store has no limit",
        "set cluster.store.maxSize",
      );
    }
    const marked = await this.#asked(evictor.collect(maxSize, dryRun, signal));
    const { here } = await this.#asked(objects.totals());
    const { leader } = leadership;
    return { ...marked, here: here.bytes, maxSize, ...(leader === undefined ? {} : { leader }) };
  }

  /** Verifies every object. */
  async verify(options: {
    readonly repair: boolean;
    readonly rate?: number | undefined;
    readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
    readonly signal: AbortSignal;
  }): Promise<SharedVerified> {
    const { store, upkeep } = this.#options;
    return new SharedVerification({ store, objects: upkeep?.objects, ...options }).run();
  }

  async #asked<Value>(answer: Promise<Value>): Promise<Value> {
    try {
      return await answer;
    } catch (cause) {
      const describe = this.#options.upkeep?.describe;
      throw describe ? new Error(describe(cause), { cause }) : cause;
    }
  }

  #upkeep(): NonNullable<SharedAdminOptions["upkeep"]> {
    const { upkeep } = this.#options;
    if (!upkeep) throw new RefusedError("invalid-argument", NO_LEDGER, "set cluster.database");
    return upkeep;
  }
}

function nameOf({ upstream, repository }: RepositoryRef): string {
  return `${upstream}/${repository}`;
}
