import { NoticedHolds } from "../../../cache/tag-policy/noticed-holds.ts";
import { TagAccounts } from "../../../cache/tag-policy/tag-accounts.ts";
import { TagOrders } from "../../../cache/tag-policy/tag-orders.ts";
import type { Overrides } from "../../../cache/tag-policy/overrides.ts";
import type { TagPolicy } from "../../../cache/tag-policy/tag-policy.ts";
import type { HoldObserver } from "../../../cache/tag-policy/hold-observer.ts";
import type { Storage } from "../../../cache/retention/storage.ts";
import type { PolicyRule } from "../../../config/policies/policy-settings.ts";
import type { Settings } from "../../../config/settings.ts";
import { imageName } from "../../../oci/image-reference.ts";
import type { Digest } from "../../../oci/digest.ts";
import type { Operation } from "../../../server/api/operation.ts";
import { overrideOperations } from "../../../server/api/operations/overrides.ts";
import { tagHistoryOperations } from "../../../server/api/operations/tag-history.ts";
import type { RepositoryRef } from "../../../store/repository-ref.ts";
import type { ClusterParts } from "../cluster-parts.ts";
import { type OpenTagPolicy, openTagPolicy, type TagPolicyParts } from "../open-tag-policy.ts";
import type { Log } from "../../../telemetry/log.ts";

export interface TagDecisionsOptions {
  readonly settings: Pick<Settings, "policies" | "adminTokens">;
  readonly storage: Pick<Storage, "metadata" | "overrides">;
  readonly tags: OpenTagPolicy;
  /** Absent if this is the only replica. */
  readonly cluster?: Pick<ClusterParts, "tellOverride"> | undefined;
  readonly log: Log;
}

/** What operators see of tags that are held, and what they decide of them. */
export class TagDecisions implements HoldObserver {
  readonly #log: Log;
  readonly #held: NoticedHolds;
  readonly #accounts: TagAccounts;
  readonly #options: TagDecisionsOptions;
  #rules: readonly PolicyRule[] = [];
  #areTokensNeeded = false;

  constructor(options: TagDecisionsOptions) {
    const { settings, storage, tags, log } = options;
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
    this.#held = new NoticedHolds({
      accounts: this.#accounts,
      onHeld: ({ repo, tag, hold }) => {
        const image = imageName({ ...repo, tag });
        this.#log.warn({ image, digest: hold.digest, because: hold.because }, `held: ${hold.text}`);
      },
      onReleased: ({ repo, tag }, by) => {
        const image = imageName({ ...repo, tag });
        this.#log.info({ image, ...(by ? { by: by.by } : {}) }, `no longer held: ${image}`);
      },
    });
    this.configure(settings);
  }

  configure({ policies, adminTokens }: TagDecisionsOptions["settings"]): void {
    this.#options.tags.configure(policies ? { policies } : {});
    this.#rules = policies ?? [];
    this.#areTokensNeeded = adminTokens !== undefined;
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

  get operations(): Operation[] {
    const { storage, tags, cluster } = this.#options;
    const tellReplicas = cluster?.tellOverride;
    const { overrides } = tags;
    const orders = new TagOrders({
      overrides,
      accounts: this.#accounts,
      isStored: this.#isStored,
    });
    const { verifications } = storage.metadata;
    return [
      ...tagHistoryOperations({
        accounts: this.#accounts,
        held: this.#held,
        verifications,
        verifyRules: () => this.#rules.flatMap(({ verify }) => (verify ? [verify] : [])),
      }),
      ...overrideOperations({ overrides, orders, tellReplicas, proven: this.#proven }),
    ];
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
