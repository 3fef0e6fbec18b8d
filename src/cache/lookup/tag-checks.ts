import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import { HIT, MISS, REPLACED } from "../cache-status.ts";
import type { FreshnessWindow, ResolvedTag } from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import type { Upstream } from "../upstream.ts";
import { keyOf, type ManifestStore } from "./manifest-store.ts";
import type { Patience } from "./patience.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { TagNews } from "./tag-news.ts";
import type { TagRecords } from "./tag-records.ts";

/** Of immutable tags: always fresh. */
const ALWAYS_FRESH: FreshnessWindow = { from: -Infinity, until: Infinity };

/** Tags that others said have moved. Of one that is forgotten, the record is as stale as before. */
const MAX_MOVED = 4096;

/** Tags of which nothing is known here or elsewhere are not asked for again for so long, in milliseconds. */
const UNKNOWN_MS = 1000;

/** How long a check takes at most, in milliseconds: a record that is so much younger than another check is of a later one. */
const LONGEST_CHECK_MS = 30_000;

export interface TagChecksOptions {
  readonly records: TagRecords;
  readonly manifests: ManifestStore;
  readonly access: RepositoryAccess;
  readonly patience: Patience;
  /** Absent if this is the only replica. */
  readonly news: TagNews | undefined;
  readonly now: () => number;
}

/** That a tag points elsewhere than its record said, as another replica found. */
interface Move {
  /** Absent if the tag was removed. */
  readonly digest: Digest | undefined;
  /** When its upstream was asked, or later. */
  readonly at: number;
  /** When the record was really checked: it was made stale. */
  readonly checkedAt: number;
}

/**
 * The checks of tags: those of this replica, which it records and tells, and those of others, which it
 * believes as its own. Of two checks the later one holds. A tag that another replica saw move is stale
 * here, so that it is asked for again; what it pointed to stays, for nothing else can be served if that fails.
 */
export class TagChecks {
  readonly #options: TagChecksOptions;
  readonly #questions = new SingleFlight<ResolvedTag | undefined>();
  readonly #moves = new LRUCache<string, Move>(growingTo(MAX_MOVED));
  readonly #unknown: LRUCache<string, true>;

  constructor(options: TagChecksOptions) {
    this.#options = options;
    const perf = { now: options.now };
    this.#unknown = new LRUCache({
      ...growingTo(MAX_MOVED),
      ttl: UNKNOWN_MS,
      perf,
      ttlResolution: 0,
    });
  }

  /** The upstream was asked at `askedAt`, and said that the tag points to this digest. */
  async checked(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    {
      digest,
      askedAt,
      source,
    }: {
      readonly digest: Digest;
      readonly askedAt: number;
      /** The host that said so, where that is known. */
      readonly source?: string | undefined;
    },
  ): Promise<void> {
    const { records, news, now } = this.#options;
    news?.told(repo, tag, digest, Math.max(0, now() - askedAt), source);
    if (news && (await this.#wasOvertaken(upstream, repo, tag, { digest, checkedAt: askedAt })))
      return;
    await records.put(repo, tag, { digest, checkedAt: now(), ...(source ? { source } : {}) });
  }

  /** The upstream was asked at `askedAt`, and said that there is no such tag. */
  async missing(repo: RepositoryRef, tag: Tag, askedAt: number): Promise<void> {
    const { records, news, now } = this.#options;
    await records.remove(repo, tag);
    news?.removed(repo, tag, Math.max(0, now() - askedAt));
  }

  /** Another replica found that a tag moved, or was removed: without a digest. */
  async moved(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    { digest, ageMs }: { readonly digest: Digest | undefined; readonly ageMs: number },
  ): Promise<void> {
    if (matchesAny(upstream.settings.immutableTags, tag)) return;
    const now = this.#options.now();
    const at = now - ageMs;
    const record = await this.#options.records.get(repo, tag);
    const checkedAt = this.#checkedAt(repo, tag, record) ?? -Infinity;
    if (digest === record?.digest || checkedAt > at + LONGEST_CHECK_MS) return;
    this.#moves.set(keyOf(repo, tag), { digest, at, checkedAt });
    const staleAt = staleSince(upstream, now);
    if (!record || record.checkedAt <= staleAt) return;
    await this.#options.records.put(repo, tag, { ...record, checkedAt: staleAt });
  }

  /**
   * Where a tag points as another replica found, if that is fresh and newer than what is known here.
   * `undefined` if the upstream has to be asked.
   */
  async toldByOthers(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    record?: TagRecord,
  ): Promise<ResolvedTag | undefined> {
    const { news } = this.#options;
    // Where nothing stays fresh, what others found is of no use.
    if (!news || freshness(upstream, tag, { checkedAt: 0 }).until === 0) return undefined;
    const key = keyOf(repo, tag);
    if (!record && this.#unknown.has(key)) return undefined;
    return this.#questions.run(key, async () => {
      // What was refused here shows nothing before this replica is given something itself.
      if (await this.#options.access.isRefused(repo)) return undefined;
      const askedAt = this.#options.now();
      const told = await news.known(repo, tag);
      if (!told) {
        if (!record) this.#unknown.set(key, true);
        return undefined;
      }
      const { digest } = told;
      const known = { digest, checkedAt: askedAt - Math.max(0, told.ageMs) };
      const { from, until } = freshness(upstream, tag, known);
      const now = this.#options.now();
      if (now < from || now >= until) return undefined;
      if (this.#isOutdated(repo, tag, record, known)) return undefined;
      return this.#adopt(upstream, repo, tag, { record, known });
    });
  }

  /**
   * Whether others learnt of another digest while the upstream was answering. Then what is recorded is stale,
   * so that it is asked again.
   */
  async #wasOvertaken(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    own: TagRecord,
  ): Promise<boolean> {
    const { records, now } = this.#options;
    const key = keyOf(repo, tag);
    const record = await records.get(repo, tag);
    const move = this.#moves.get(key);
    if (!this.#isOutdated(repo, tag, record, own)) {
      this.#moves.delete(key);
      return false;
    }
    const { digest } = record ?? own;
    const at = now();
    this.#moves.set(key, { digest, at, ...move, checkedAt: at });
    await records.put(repo, tag, { digest, checkedAt: staleSince(upstream, at), seenAt: at });
    return true;
  }

  /** Whether another check may have been later, and said otherwise. */
  #isOutdated(
    repo: RepositoryRef,
    tag: Tag,
    record: TagRecord | undefined,
    { digest, checkedAt }: TagRecord,
  ): boolean {
    const move = this.#moves.get(keyOf(repo, tag));
    if (move && move.digest !== digest && checkedAt < move.at) return true;
    const recorded = this.#checkedAt(repo, tag, record) ?? -Infinity;
    return digest !== record?.digest && checkedAt < recorded;
  }

  /** Brings in the manifest first: a tag must never point to what cannot be served. */
  async #adopt(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    { record, known }: { readonly record: TagRecord | undefined; readonly known: TagRecord },
  ): Promise<ResolvedTag | undefined> {
    const { digest, checkedAt } = known;
    const { manifests, patience, records, access } = this.#options;
    const stored = await manifests.get(repo, digest);
    const fetched = stored ? undefined : this.#fetch(upstream, repo, digest);
    const manifest =
      stored ?? (fetched && (await (record ? patience.wait(upstream, fetched) : fetched)));
    if (!manifest) return undefined;
    // More may have been learnt while it was fetched.
    const current = await records.get(repo, tag);
    if (this.#isOutdated(repo, tag, current, known)) return undefined;
    const isSame = current?.digest === digest;
    const latest = isSame ? Math.max(current.checkedAt, checkedAt) : checkedAt;
    this.#moves.delete(keyOf(repo, tag));
    await records.put(repo, tag, { digest, checkedAt: latest, source: "replica" });
    await access.answeredBefore(upstream, repo, Math.max(0, this.#options.now() - checkedAt));
    const fetchStatus = record ? REPLACED : MISS;
    return { digest, cacheStatus: stored ? HIT : fetchStatus, manifest };
  }

  /** `undefined` if it cannot be had: then the upstream is asked for the tag. */
  async #fetch(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<ResolvedTag["manifest"]> {
    try {
      return await this.#options.manifests.fetch(upstream, repo, digest);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return undefined;
    }
  }

  /** When a record was checked, also if it was made stale since. */
  #checkedAt(repo: RepositoryRef, tag: Tag, record: TagRecord | undefined): number | undefined {
    const move = this.#moves.get(keyOf(repo, tag));
    if (!record) return undefined;
    return Math.max(record.checkedAt, move?.checkedAt ?? -Infinity);
  }
}

export function freshness(
  { settings }: Upstream,
  tag: Tag,
  { checkedAt }: Pick<TagRecord, "checkedAt">,
): FreshnessWindow {
  if (matchesAny(settings.immutableTags, tag)) return ALWAYS_FRESH;
  // It has a start, so that a record from the future (the clock was set back) is not fresh for ever.
  return { from: checkedAt, until: checkedAt + settings.tagTtl };
}

/** When a record was last checked that is stale now. */
function staleSince({ settings }: Upstream, now: number): number {
  return now - settings.tagTtl;
}
