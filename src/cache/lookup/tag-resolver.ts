import { secondsText } from "../../oci/seconds-text.ts";
import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault, isRefusal, isUpstreamFault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import { SingleFlight } from "../single-flight.ts";
import { isTagDeleted } from "./deleted-tag.ts";
import type { HeadTrust } from "./head-trust.ts";
import { keyOf, type ManifestStore } from "./manifest-store.ts";
import type { Asker, NegativeCache } from "./negative-cache.ts";
import { COLLAPSED, HIT, MISS, REPLACED, REVALIDATED, staleAfter } from "../cache-status.ts";
import type { ResolvedTag, StoredManifest } from "../results.ts";
import type { Upstream } from "../upstream.ts";
import { type Patience, PATIENCE_MS } from "./patience.ts";
import { freshness, type TagChecks } from "./tag-checks.ts";
import { staleTag } from "./stale-tag.ts";
import type { TagRecords } from "./tag-records.ts";
import type { RepositoryAccess } from "./repository-access.ts";

export interface TagResolverOptions {
  readonly records: TagRecords;
  readonly checks: TagChecks;
  readonly manifests: ManifestStore;
  readonly negativeCache: NegativeCache;
  readonly trust: HeadTrust;
  readonly access: RepositoryAccess;
  readonly patience: Patience;
  readonly now: () => number;
}

export interface TagQuestion {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly asker: Asker;
  /** Called as soon as the registry is known to say what the tag is, by a HEAD or a GET; perhaps not at all. */
  readonly onNamed?: ((digest: Digest) => void) | undefined;
}

interface FetchedTag {
  readonly manifest: StoredManifest;
  /** When the upstream was asked. */
  readonly askedAt: number;
}

/**
 * Resolves tags to digests. A tag is fresh for the upstream's `tagTtl` after its last check, and
 * then revalidated with a HEAD request: single-flight, so once for all concurrent pulls. A HEAD that
 * names the known digest confirms it. After any other one, also one that fails, a GET of the tag decides:
 * only its digest is computed from bytes. A stale tag is served without confirmation, for at most
 * `staleFor`, if
 * - the upstream fails, or is in its cool-down after a failure or rate limit and therefore not asked
 *   (stale-if-error, RFC 5861 section 4), or
 * - the upstream takes longer than a second, or did so or failed the last time: the tag is then
 *   revalidated in the background (stale-while-revalidate, RFC 5861 section 3), or
 * - the upstream refuses access (401, 403), and the last check was no longer than `tagTtl` and
 *   `revokedAfter` ago.
 */
export class TagResolver {
  readonly #records: TagRecords;
  readonly #checks: TagChecks;
  readonly #manifests: ManifestStore;
  readonly #negativeCache: NegativeCache;
  readonly #trust: HeadTrust;
  readonly #access: RepositoryAccess;
  readonly #now: () => number;
  readonly #fetches = new SingleFlight<FetchedTag>();
  readonly #revalidations = new SingleFlight<ResolvedTag>();
  readonly #patience: Patience;

  constructor(options: TagResolverOptions) {
    this.#records = options.records;
    this.#checks = options.checks;
    this.#manifests = options.manifests;
    this.#negativeCache = options.negativeCache;
    this.#trust = options.trust;
    this.#access = options.access;
    this.#patience = options.patience;
    this.#now = options.now;
  }

  /**
   * The digest to which the tag points now, or pointed when it was last checked.
   *
   * @throws Fault if no usable record is stored and the upstream fails, or if the upstream says that
   *   the tag does not exist
   */
  async resolve(question: TagQuestion): Promise<ResolvedTag> {
    const { upstream, repo, tag } = question;
    const record = await this.#records.get(repo, tag);
    if (record) {
      const fresh = freshness(upstream, tag, record);
      const now = this.#now();
      const isFresh = now >= fresh.from && now < fresh.until;
      if (isFresh) return { digest: record.digest, cacheStatus: HIT, fresh };
    }
    const told = await this.#checks.toldByOthers(upstream, repo, tag, record);
    if (told) return told;
    if (!record) return this.#resolveUnknown(question);
    if (!this.#mayServeStale(upstream, record)) {
      return this.#revalidate(question, record);
    }
    return this.#revalidateOrServeStale(question, record);
  }

  /**
   * Fetches the manifest of a tag by GET, and records where the tag points.
   *
   * @throws Fault
   */
  async fetch(upstream: Upstream, repo: RepositoryRef, tag: Tag): Promise<StoredManifest> {
    const { manifest, askedAt } = await this.#fetch({ upstream, repo, tag, asker: "cache" });
    await this.#checks.checked(upstream, repo, tag, { ...manifest, askedAt });
    return manifest;
  }

  /** A request that others wait for already was sent before this call. */
  #fetch({ upstream, repo, tag, asker, onNamed }: TagQuestion): Promise<FetchedTag> {
    const fetch = async (): Promise<FetchedTag> => {
      const askedAt = this.#now();
      const options = { onNamed, isPrompt: asker === "judge" };
      return { manifest: await this.#manifests.fetch(upstream, repo, tag, options), askedAt };
    };
    return this.#fetches.run(keyOf(repo, tag), fetch, upstream.registry.askedAs);
  }

  /**
   * Records a tag that a HEAD named, after its manifest was fetched and verified: runtimes ask for the tag
   * by HEAD and for its digest by GET, and want the same with the upstream down. The record is stale from
   * the start, so that the upstream is asked where it can be. What has been learnt since the HEAD is kept.
   */
  async recordClaim(
    { settings }: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    digest: Digest,
  ): Promise<void> {
    // An immutable tag is never revalidated, so what only a HEAD said must not be recorded for it.
    if (matchesAny(settings.immutableTags, tag)) return;
    const seenAt = this.#now();
    const checkedAt = seenAt - settings.tagTtl;
    await this.#records.putIfUnknown(repo, tag, { digest, checkedAt, seenAt });
  }

  #mayServeStale({ settings }: Upstream, record: TagRecord): boolean {
    return settings.staleFor === undefined || this.#now() - record.checkedAt < settings.staleFor;
  }

  /** Resolves a tag of which nothing is stored. */
  async #resolveUnknown(question: TagQuestion): Promise<ResolvedTag> {
    const { upstream, repo, tag, asker } = question;
    const cacheStatus = this.#manifests.isFetching(repo, tag) ? COLLAPSED : MISS;
    const fetch = (): Promise<FetchedTag> => this.#fetchUnknown(question);
    const key = { asker, what: keyOf(repo, tag), askedAs: upstream.registry.askedAs };
    const { tagTtl } = upstream.settings;
    const { manifest, askedAt } = await this.#negativeCache.run(key, tagTtl, fetch);
    await this.#record(question, { manifest, askedAt });
    return { digest: manifest.digest, cacheStatus, manifest };
  }

  async #record({ upstream, repo, tag, asker }: TagQuestion, fetched: FetchedTag): Promise<void> {
    const { manifest, askedAt } = fetched;
    const recording = this.#checks.checked(upstream, repo, tag, { ...manifest, askedAt });
    // A verdict does not wait for the disk: it was by what the registry has just said.
    if (asker === "judge") recording.catch(() => {});
    else await recording;
  }

  /**
   * Fetches the manifest of a tag. At an upstream that counts pulls, a HEAD request, which is free,
   * comes first: the manifest may be stored already under another tag.
   */
  async #fetchUnknown(question: TagQuestion): Promise<FetchedTag> {
    const { upstream, repo, tag } = question;
    if (upstream.registry.budget) {
      const askedAt = this.#now();
      const digest = await this.#headDigest(upstream, repo, tag);
      const manifest = digest && (await this.#manifests.get(repo, digest));
      if (manifest) return { manifest, askedAt };
    }
    return this.#fetch(question);
  }

  async #revalidateOrServeStale(question: TagQuestion, record: TagRecord): Promise<ResolvedTag> {
    const { upstream } = question;
    const { name } = upstream.settings;
    if (upstream.registry.isUnhealthy) {
      return staleTag(
        record,
        `${name} failed or limited requests a moment ago; it is not asked again yet`,
      );
    }
    const isImpatient = this.#patience.isOver(upstream);
    const revalidation = this.#revalidate(question, record);
    if (isImpatient) {
      revalidation.catch(() => {});
      return staleTag(record, `${name} failed or was slow the last time; it is being asked again`);
    }
    try {
      const resolved = await this.#patience.wait(upstream, revalidation);
      if (resolved) return resolved;
    } catch (error) {
      if (!(error instanceof Fault) || !isUpstreamFault(error)) throw error;
      if (this.#isRevoked(upstream, record, error)) throw error;
      return { digest: record.digest, cacheStatus: staleAfter(error) };
    }
    const reason = `${name} did not answer within ${secondsText(PATIENCE_MS / 1000)}`;
    return staleTag(record, reason, { forwarded: true });
  }

  /** Asks the upstream where the tag points now, and fetches the manifest if the tag has moved. */
  #revalidate(question: TagQuestion, record: TagRecord): Promise<ResolvedTag> {
    const { upstream, repo, tag } = question;
    const revalidate = async (): Promise<ResolvedTag> => {
      const headAt = this.#now();
      try {
        const digest = await this.#headDigest(upstream, repo, tag);
        if (digest === record.digest && this.#isConfirmed(upstream, repo, tag)) {
          await this.#checks.checked(upstream, repo, tag, { digest, askedAt: headAt });
          return { digest, cacheStatus: REVALIDATED };
        }
        if (digest !== undefined) question.onNamed?.(digest);
        const { budget, isBudgetLow } = upstream.registry;
        // A GET counts as a pull there. What is stored is taken at the HEAD's word.
        const stored = digest && budget && (await this.#manifests.get(repo, digest));
        if (!stored && isBudgetLow) {
          const remaining = budget?.remaining ?? 0;
          const name = upstream.settings.name;
          return staleTag(
            record,
            `${name} allows only ${remaining} more requests, which are reserved for content that is not stored`,
            // It answered the HEAD request, which does not count as a pull.
            { forwarded: true, ...(digest ? { upstreamStatus: 200 } : {}) },
          );
        }
        // Store the manifest before the tag: a tag must never point to what cannot be served.
        const { manifest, askedAt } = stored
          ? { manifest: stored, askedAt: headAt }
          : await this.#fetch(question);
        this.#compare(upstream, repo, digest, manifest.digest);
        await this.#record(question, { manifest, askedAt });
        const cacheStatus = manifest.digest === record.digest ? REVALIDATED : REPLACED;
        return { digest: manifest.digest, cacheStatus, manifest };
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        if (error.detail.kind === "not-found" && (await isTagDeleted(upstream, repo))) {
          await this.#checks.missing(repo, tag, headAt);
        }
        // Here, since the client may have gone on without this answer.
        if (isRefusal(error)) await this.#access.refused(upstream, repo);
        throw error;
      }
    };
    return this.#revalidations.run(keyOf(repo, tag), revalidate, upstream.registry.askedAs);
  }

  /** Whether access was taken away, and not just a moment ago. */
  #isRevoked(upstream: Upstream, { checkedAt }: TagRecord, fault: Fault): boolean {
    return isRefusal(fault) && !this.#access.mayOutlive(upstream, checkedAt);
  }

  /**
   * Whether a HEAD that names the known digest is enough to confirm it. Where GETs count as pulls, it
   * always is.
   */
  #isConfirmed({ registry }: Upstream, repo: RepositoryRef, tag: Tag): boolean {
    return registry.budget !== undefined || this.#trust.mayConfirm(repo, tag);
  }

  /**
   * By HEAD request, which Docker Hub does not count as a pull. `undefined` if GET has to decide: the
   * HEAD fails or names no digest, or did so a moment ago.
   */
  async #headDigest(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
  ): Promise<Digest | undefined> {
    if (!this.#trust.isTrusted(repo)) return undefined;
    const head = await upstream.registry.headManifest(repo.repository, tag);
    if (head) await this.#access.answered(repo);
    return head?.digest;
  }

  /** Asks by GET from now on if HEAD did not name what GET gave, unless GETs count as pulls. */
  #compare(
    { registry }: Upstream,
    repo: RepositoryRef,
    named: Digest | undefined,
    given: Digest,
  ): void {
    if (named !== given && !registry.budget) this.#trust.doubt(repo);
  }
}
