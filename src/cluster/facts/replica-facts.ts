import type { Cache } from "../../cache/cache.ts";
import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import type { Overrides } from "../../cache/tag-policy/overrides.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Tags } from "../../store/metadata-store.ts";
import type { TagHistory } from "../../store/tag-history.ts";
import type { PooledLimits } from "../../upstream/health/pooled-limits.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { ImageFacts } from "./image-facts.ts";
import { LimitFacts } from "./limit-facts.ts";
import { ManifestFacts } from "./manifest-facts.ts";
import { NewsReader } from "./news-reader.ts";
import { OrderFile } from "./order-file.ts";
import type { OrderReach } from "./order-answers.ts";
import { Orders } from "./orders.ts";
import { RecentPurges } from "./recent-purges.ts";
import { TagFacts } from "./tag-facts.ts";
import { TagsAgain } from "./tags-again.ts";
import type { GivenOrder } from "./timed-order.ts";

export interface ReplicaFactsOptions {
  readonly ledger: Ledger;
  /** What all replicas know, and who reads the ledger does not. */
  readonly secret: string;
  /** How many replicas are known, this one and those that do not answer included. */
  readonly replicas: () => number;
  /** An order of another replica cannot be carried out as it is. */
  readonly onRefused: (order: string, reason: string) => void;
  /** It is tried again, or found out otherwise. */
  readonly onFailed: (task: string, error: unknown) => void;
  /** The current time in milliseconds of the epoch, and of a monotonic clock. */
  readonly now?: () => number;
  readonly monotonicNow?: () => number;
}

/** What the facts of others are for. */
export interface FactsFollowed {
  readonly cache: Pick<Cache, "tagMoved">;
  readonly admin: Pick<StoreAdmin, "pinning" | "purge">;
  readonly overrides: Pick<Overrides, "all" | "get" | "put">;
  readonly metadata: {
    readonly tags: Pick<Tags, "all">;
    readonly tagHistory: Pick<TagHistory, "of">;
  };
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  /** Where orders are kept. */
  readonly orderFile: string;
}

/** What this replica tells the others, and does with what they tell. */
export class ReplicaFacts implements AsyncDisposable {
  readonly tagNews: TagFacts;
  readonly manifests: ManifestFacts;
  readonly images: ImageFacts;
  readonly limits: PooledLimits;
  readonly #options: ReplicaFactsOptions;
  readonly #limits: LimitFacts;
  readonly #purges = new RecentPurges();
  readonly #closing = new AsyncDisposableStack();
  #orders: Orders | undefined;

  constructor(options: ReplicaFactsOptions) {
    const { ledger, secret, now, monotonicNow } = options;
    this.#options = options;
    this.tagNews = new TagFacts({ ledger, purges: this.#purges, ...(now && { now }) });
    this.manifests = new ManifestFacts({ ledger, purges: this.#purges, ...(now && { now }) });
    this.images = new ImageFacts(ledger);
    this.#limits = new LimitFacts({ ledger, secret, ...(monotonicNow && { now: monotonicNow }) });
    this.#closing.defer(() => this.#limits.close());
    this.limits = this.#limits;
  }

  /** Begins to hear. */
  async follow(followed: FactsFollowed): Promise<void> {
    const { cache, admin, overrides, metadata, upstreams, orderFile } = followed;
    const { tags, tagHistory: histories } = metadata;
    const { ledger, replicas, onRefused, onFailed, now } = this.#options;
    const { file, isNew } = await OrderFile.open(orderFile, (error) =>
      onFailed("reading the orders that were kept", error),
    );
    const orders = new Orders({
      ledger,
      admin,
      overrides,
      file,
      purges: this.#purges,
      replicas,
      onRefused,
      onFailed,
      ...(now && { now }),
    });
    this.#closing.defer(() => orders.close());
    this.#orders = orders;
    if (isNew) {
      await orders.adoptPins().catch((error: unknown) => onFailed("keeping the pins", error));
    }
    const again = this.#closing.use(
      new TagsAgain({ tags, histories, upstreams, ledger, onFailed, ...(now && { now }) }),
    );
    ledger.hear(
      new NewsReader({
        upstreams,
        cache,
        tagFacts: this.tagNews,
        orders,
        limits: this.#limits,
        again,
        onFailed,
      }),
    );
  }

  /** Has the others do what an operator had done here. */
  async order(order: GivenOrder): Promise<OrderReach> {
    if (!this.#orders) throw new Error("the orders are not open yet");
    return this.#orders.give(order);
  }

  /** Asks the others what a purge would remove there. */
  async preview(pattern: string): Promise<OrderReach> {
    if (!this.#orders) throw new Error("the orders are not open yet");
    return this.#orders.preview(pattern);
  }

  /** Resolves once everything that was heard is done, or has to be tried again. */
  async settled(): Promise<void> {
    await this.#orders?.settled();
  }

  /** Does no more. The ledger is to be closed before. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync();
  }
}
