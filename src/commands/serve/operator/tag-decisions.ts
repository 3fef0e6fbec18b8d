import { NoticedHolds } from "../../../cache/tag-policy/noticed-holds.ts";
import { RuleTrial } from "../../../cache/tag-policy/rule-trial.ts";
import { TagAccounts } from "../../../cache/tag-policy/tag-accounts.ts";
import { TagOrders } from "../../../cache/tag-policy/tag-orders.ts";
import type { Overrides } from "../../../cache/tag-policy/overrides.ts";
import type { TagPolicy } from "../../../cache/tag-policy/tag-policy.ts";
import type { HoldObserver } from "../../../cache/tag-policy/hold-observer.ts";
import type { Storage } from "../../../cache/retention/storage.ts";
import type { PolicyRule, VerifyRule } from "../../../config/policies/policy-settings.ts";
import type { Settings } from "../../../config/settings.ts";
import type { Digest } from "../../../oci/digest.ts";
import { imageName } from "../../../oci/image-reference.ts";
import { DAY_MS, type History } from "../../../store/history-store.ts";
import type { Jobs } from "../../../server/api/jobs/job-table.ts";
import type { Operation } from "../../../server/api/operation.ts";
import { overrideOperations } from "../../../server/api/operations/overrides.ts";
import { policyTestOperations } from "../../../server/api/operations/policy-tests.ts";
import { MAX_FAILED, tagHistoryOperations } from "../../../server/api/operations/tag-history.ts";
import type { RepositoryRef } from "../../../store/repository-ref.ts";
import type { ClusterParts } from "../cluster-parts.ts";
import type { DownloadThread } from "../../../upstream/download-thread/download-thread.ts";
import { type OpenTagPolicy, openTagPolicy, type TagPolicyParts } from "../open-tag-policy.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { Status } from "../../../api/status.ts";
import { holdGauges } from "./hold-gauges.ts";
import { HoldNews } from "./hold-news.ts";
import type { OperatorNews } from "./operator-news.ts";

export interface TagDecisionsOptions {
  readonly settings: Pick<Settings, "policies" | "adminTokens">;
  readonly storage: Pick<Storage, "metadata" | "overrides">;
  readonly tags: OpenTagPolicy;
  /** Absent if this is the only replica. */
  readonly cluster?: Pick<ClusterParts, "tellOverride"> | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly news: Pick<OperatorNews, "events">;
}

/** How often it is looked whether what was held still is, in milliseconds. */
const LOOK_MS = 60_000;
/** How many records of what was pulled in the last day are looked at after a start. */
const MAX_RECALLED = 20_000;
const NONE_FAILING: ReadonlyMap<"observe" | "enforce", number> = new Map([
  ["observe", 0],
  ["enforce", 0],
]);

/** What operators see of tags that are held, and what they decide of them. */
export class TagDecisions implements HoldObserver, Disposable {
  readonly #log: Log;
  readonly #news: HoldNews;
  readonly #timer: Timer;
  /** Once it is known what was held before the start. */
  readonly #recalled: Promise<void>;
  /** By the mode of the rule, how many digests have signatures that fail. */
  #failing: ReadonlyMap<"observe" | "enforce", number> = NONE_FAILING;
  readonly #held: NoticedHolds;
  readonly #accounts: TagAccounts;
  readonly #options: TagDecisionsOptions;
  #rules: readonly PolicyRule[] = [];
  #areTokensNeeded = false;

  constructor(options: TagDecisionsOptions) {
    const { settings, storage, tags, log, metrics, news } = options;
    const { overrides, tagPolicy: policy } = tags;
    this.#options = options;
    this.#log = log;
    const { tagHistory, verifications } = storage.metadata;
    this.#accounts = new TagAccounts({
      history: tagHistory,
      overrides,
      verifications,
      policy,
      rules: () => this.#rules,
      isStored: this.#isStored,
    });
    this.#news = new HoldNews({ tell: news.events.tell, log });
    this.#held = new NoticedHolds({
      accounts: this.#accounts,
      onHeld: this.#news.held,
      onLost: this.#news.lost,
      onReleased: this.#news.released,
    });
    holdGauges(metrics, {
      heldTags: () => this.#held.count,
      failing: () => this.#failing,
      overrides,
    });
    this.#timer = setInterval(() => void this.#look(), LOOK_MS).unref();
    this.configure(settings);
    this.#recalled = this.#recall(storage.metadata.history).catch((error: unknown) =>
      log.debug({ error: String(error) }, "what was held could not be looked up"),
    );
  }

  configure({ policies, adminTokens }: TagDecisionsOptions["settings"]): void {
    this.#options.tags.configure(policies ? { policies } : {});
    this.#rules = policies ?? [];
    this.#areTokensNeeded = adminTokens !== undefined;
  }

  /**
   * Pulls are served.
   *
   * @param thread receives blobs, as signatures are: to start it takes longer than to verify one
   */
  serving(thread: Pick<DownloadThread, "current"> | undefined): void {
    this.#options.tags.prepare();
    if (this.#rules.some(({ verify = { mode: "off" } }) => verify.mode !== "off")) {
      void thread?.current();
    }
  }

  /** What the status says; undefined where nothing is held. */
  get status(): Status["held"] {
    const tags = this.#held.count;
    const unverified = [...this.#failing.values()].reduce((sum, count) => sum + count, 0);
    return tags + unverified === 0 ? undefined : { tags, unverified };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  get overrides(): Overrides {
    return this.#options.tags.overrides;
  }

  /** What the cache asks and tells. */
  get policies(): { readonly tagPolicy: TagPolicy; readonly holdObserver: HoldObserver } {
    return { tagPolicy: this.#options.tags.tagPolicy, holdObserver: this };
  }

  held(...[repo, tag, hold]: Parameters<HoldObserver["held"]>): void {
    this.#held.held(repo, tag, hold);
  }

  lost(...[repo, tag, hold, lost]: Parameters<HoldObserver["lost"]>): void {
    this.#held.lost(repo, tag, hold, lost);
  }

  /** @param settle has what was pulled until now be written */
  operations(settle: () => Promise<void>, jobs: Jobs): Operation[] {
    const { storage, tags, cluster } = this.#options;
    const tellReplicas = cluster?.tellOverride;
    const { overrides } = tags;
    const orders = new TagOrders({
      overrides,
      accounts: this.#accounts,
      isStored: this.#isStored,
    });
    const { history, tagHistory, verifications } = storage.metadata;
    return [
      ...tagHistoryOperations({
        accounts: this.#accounts,
        held: this.#held,
        verifications,
        verifyRules: () => this.#verifyRules(),
      }),
      ...policyTestOperations({
        trial: new RuleTrial({ history, tagHistory, overrides, verifications }),
        verifier: tags.trialVerifier,
        jobs,
        rules: () => this.#rules,
        settle,
      }),
      ...overrideOperations({
        overrides,
        orders,
        tellReplicas,
        proven: this.#proven,
        onOrder: this.#news.ordered,
      }),
    ];
  }

  async #recall(history: Pick<History, "tagPulls">): Promise<void> {
    if (this.#rules.length === 0 && this.overrides.all.length === 0) return;
    const pulls = await history.tagPulls(Date.now() - DAY_MS, MAX_RECALLED);
    await this.#held.recall(
      new Map(pulls.map((one) => [imageName({ ...one.repo, tag: one.tag }), one])).values(),
    );
  }

  /** What is held no more is told, and the signatures that fail are counted. */
  async #look(): Promise<void> {
    this.#options.tags.prepare();
    try {
      await this.#recalled;
      await this.#held.current();
      const { verifications } = this.#options.storage.metadata;
      const failing = new Map(NONE_FAILING);
      for (const { mode, revision } of this.#verifyRules()) {
        if (mode === "off") continue;
        const { length } = await verifications.failed([revision], MAX_FAILED);
        failing.set(mode, (failing.get(mode) ?? 0) + length);
      }
      this.#failing = failing;
    } catch (error) {
      this.#log.debug({ error: String(error) }, "what is held could not be looked at");
    }
  }

  #verifyRules(): VerifyRule[] {
    const rules = this.#rules.flatMap(({ verify }) => (verify ? [verify] : []));
    // The same keys may be named by several rules.
    return [...new Map(rules.map((rule) => [rule.revision, rule])).values()];
  }

  readonly #isStored = async (repo: RepositoryRef, digest: Digest): Promise<boolean> => {
    const { links, blobs } = this.#options.storage.metadata;
    const link = await links.get(repo, digest);
    return link?.confirmed === true && (await blobs.get(digest)) !== undefined;
  };

  /** The port has let the request in: what it sent was accepted. */
  readonly #proven = ({ headers }: Request): string | undefined => {
    if (!this.#areTokensNeeded) return undefined;
    return headers.has("authorization") ? "the admin token" : "a session of the admin token";
  };
}

/** @throws Fault if the overrides cannot be read: without them, tags would be what operators do not want */
export async function openTagDecisions(
  options: Omit<TagDecisionsOptions, "tags"> & TagPolicyParts,
): Promise<TagDecisions> {
  return new TagDecisions({ ...options, tags: await openTagPolicy(options) });
}
