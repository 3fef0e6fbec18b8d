import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { accessMode } from "../../config/access/access-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault, isRefusal } from "../../oci/fault.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { AccessRecord, Link, RepositoryRef } from "../../store/metadata-store.ts";
import type { FreshnessWindow } from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import type { Upstream } from "../upstream.ts";
import type { NegativeCache } from "./negative-cache.ts";
import { Patience } from "./patience.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** How many repositories are kept in memory, about 3 MB. */
const MAX_ENTRIES = 10_000;
/** Answers are written at most this often, in milliseconds: an older time has the upstream asked earlier. */
const WRITE_INTERVAL_MS = 60_000;
/** How long an upstream that did not answer is not asked again, in milliseconds. */
const RETRY_MS = 5000;

interface KnownAccess extends AccessRecord {
  /** When the record was written. */
  readonly writtenAt: number;
  /** When the upstream was last asked in vain. */
  readonly triedAt: number;
}

/**
 * Whether the content of a repository may still be shown. A 401 or 403 is an answer and no outage: access
 * that was taken away ends `tagTtl` and `revokedAfter` after the upstream last answered for the
 * repository. Tags are asked for anyway; where nobody asks for a tag, a question by digest is asked when
 * that time is over.
 *
 * In a refused repository no link is confirmed: everything is asked for, also while the upstream is down,
 * until it answers well for anything of the repository. Refusals outlast restarts.
 */
export class RepositoryAccess {
  readonly #metadata: Pick<PullMetadata, "links" | "access">;
  readonly #negativeCache: NegativeCache;
  readonly #now: () => number;
  readonly #isDivided: (upstream: UpstreamName) => boolean;
  readonly #known = new LRUCache<string, KnownAccess>(growingTo(MAX_ENTRIES));
  readonly #questions = new SingleFlight<true>();
  readonly #blobQuestions = new SingleFlight<number | undefined>();
  readonly #patience = new Patience();

  /** @param isDivided whether some may see a part of an upstream alone */
  constructor(
    metadata: Pick<PullMetadata, "links" | "access">,
    negativeCache: NegativeCache,
    now: () => number,
    isDivided: (upstream: UpstreamName) => boolean = () => false,
  ) {
    this.#isDivided = isDivided;
    this.#metadata = metadata;
    this.#negativeCache = negativeCache;
    this.#now = now;
  }

  /**
   * The link of a digest; only claimed if the repository is refused. Where not everybody may see all of an
   * upstream, what another repository shows proves nothing either: whoever may see this one, and push to it,
   * could name any digest in a manifest.
   */
  async link(repo: RepositoryRef, digest: Digest): Promise<Link | undefined> {
    const link = await this.#metadata.links.get(repo, digest);
    if (!link?.confirmed) return link;
    const isForeign = link.isConfirmedElsewhere && this.#isDivided(repo.upstream);
    return isForeign || (await this.isRefused(repo)) ? { ...link, confirmed: false } : link;
  }

  async isRefused(repo: RepositoryRef): Promise<boolean> {
    return (this.#known.get(repositoryKey(repo)) ?? (await this.#load(repo))).isRefused;
  }

  /** Whether content may still be served to which the upstream refuses access, and last gave it at `since`. */
  mayOutlive({ settings }: Upstream, since: number): boolean {
    const age = this.#now() - since;
    return age >= 0 && age < settings.tagTtl + settings.revokedAfter;
  }

  /**
   * The upstream gave something of the repository, some milliseconds ago, as somebody shows who may be another
   * replica. Returns whether content may be shown for that.
   */
  async answeredBefore(upstream: Upstream, repo: RepositoryRef, ago: number): Promise<boolean> {
    if (ago > 0) {
      // Of the two, nobody can say which came later.
      if (await this.isRefused(repo)) return false;
      if (ago >= upstream.settings.tagTtl + upstream.settings.revokedAfter) return false;
    }
    await this.answered(repo, ago);
    return true;
  }

  /** How long ago the upstream last answered for the repository, in milliseconds. */
  async answeredAgo(repo: RepositoryRef): Promise<number> {
    const { answeredAt } = this.#known.get(repositoryKey(repo)) ?? (await this.#load(repo));
    return Math.max(0, this.#now() - answeredAt);
  }

  /** The upstream gave something of the repository, now or some milliseconds ago. */
  async answered(repo: RepositoryRef, ago = 0): Promise<void> {
    const key = repositoryKey(repo);
    const now = this.#now() - ago;
    const known = this.#known.get(key) ?? (ago > 0 ? await this.#load(repo) : undefined);
    if (ago > 0 && known && known.answeredAt >= now) return;
    const sinceWrite = known && !known.isRefused ? now - known.writtenAt : -1;
    const isWritten = sinceWrite >= 0 && sinceWrite < WRITE_INTERVAL_MS;
    const record = { answeredAt: now, isRefused: false };
    const writtenAt = known && isWritten ? known.writtenAt : now;
    this.#known.set(key, { ...record, writtenAt, triedAt: -Infinity });
    if (!isWritten) await this.#metadata.access.put(repo, record);
  }

  /**
   * The upstream refuses something of the repository. That is recorded once it has given nothing of it
   * for so long that it cannot be about that one thing, or a mistake.
   */
  async refused(upstream: Upstream, repo: RepositoryRef): Promise<void> {
    // There, each client is told what it may see: a refusal is about one of them.
    if (accessMode(upstream.settings.access, repo.repository) === "upstream") return;
    const key = repositoryKey(repo);
    const known = this.#known.get(key) ?? (await this.#load(repo));
    if (known.isRefused || this.mayOutlive(upstream, known.answeredAt)) return;
    this.#known.set(key, { ...known, isRefused: true });
    const { answeredAt } = known;
    await this.#metadata.access.put(repo, { answeredAt, isRefused: true });
  }

  /**
   * Asks the upstream before a stored blob is shown, unless its link is confirmed and the upstream has
   * answered for the repository not long ago.
   *
   * @returns while it may be shown without asking
   * @throws Fault
   */
  async showBlob(
    asker: "GET" | "HEAD",
    upstream: Upstream,
    repo: RepositoryRef,
    { digest, confirmed }: Link,
  ): Promise<FreshnessWindow | undefined> {
    if (confirmed) {
      const { registry } = upstream;
      return this.#check(upstream, repo, () => registry.probeBlob(repo.repository, digest));
    }
    await this.askForBlob(asker, upstream, repo, digest);
    return undefined;
  }

  /**
   * Asks the upstream whether this repository has the blob, and confirms its link if so. Returns its
   * size, if the upstream sent it.
   *
   * @throws Fault if the repository does not have it, or the upstream denies access
   */
  askForBlob(
    asker: "GET" | "HEAD",
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<number | undefined> {
    const what = blobKey(repo, digest);
    const { askedAs } = upstream.registry;
    const ask = async (): Promise<number | undefined> => {
      // An earlier question may have been answered since the caller looked.
      const link = await this.link(repo, digest);
      if (link?.confirmed) return link.size;
      const { size } = await this.#negativeCache.run(
        { asker, what, askedAs },
        upstream.settings.tagTtl,
        () => upstream.registry.probeBlob(repo.repository, digest),
      );
      await this.answered(repo);
      // Without the size: only manifests and verified blobs are trusted for it.
      await this.#metadata.links.add(repo, [{ digest, confirmed: true }]);
      return size;
    };
    return this.#blobQuestions.run(`${asker} ${what}`, ask, askedAs);
  }

  /**
   * Asks the upstream before a stored manifest is shown, unless it has answered for the repository not
   * long ago.
   *
   * @returns while it may be shown without asking
   * @throws Fault if the upstream refuses access
   */
  showManifest(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<FreshnessWindow | undefined> {
    const { registry } = upstream;
    const { repository } = repo;
    return this.#check(
      upstream,
      repo,
      async () =>
        (await registry.headManifest(repository, digest)) ??
        (await registry.getManifest(repository, digest)),
    );
  }

  /** Asks a question if the last answer is too old. Without an answer, content is shown. */
  async #check(
    upstream: Upstream,
    repo: RepositoryRef,
    question: () => Promise<unknown>,
  ): Promise<FreshnessWindow | undefined> {
    const key = repositoryKey(repo);
    const known = this.#known.get(key) ?? (await this.#load(repo));
    if (this.mayOutlive(upstream, known.answeredAt)) return windowOf(upstream, known);
    const sinceTry = this.#now() - known.triedAt;
    if ((sinceTry >= 0 && sinceTry < RETRY_MS) || upstream.registry.isUnhealthy) return undefined;
    const isImpatient = this.#patience.isOver(upstream);
    const ask = (): Promise<true> => this.#ask(upstream, repo, question);
    const asking = this.#questions.run(key, ask, upstream.registry.askedAs);
    if (isImpatient) {
      asking.catch(() => {});
      return undefined;
    }
    try {
      if (!(await this.#patience.wait(upstream, asking))) return undefined;
    } catch (error) {
      if (!(error instanceof Fault) || isRefusal(error)) throw error;
      return undefined;
    }
    return windowOf(upstream, this.#known.get(key) ?? known);
  }

  async #ask(
    upstream: Upstream,
    repo: RepositoryRef,
    question: () => Promise<unknown>,
  ): Promise<true> {
    try {
      await question();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (isRefusal(error)) await this.refused(upstream, repo);
      // What was deleted there is kept here: the question is about access alone.
      if (error.detail.kind !== "not-found") {
        const known = this.#known.get(repositoryKey(repo)) ?? (await this.#load(repo));
        this.#known.set(repositoryKey(repo), { ...known, triedAt: this.#now() });
        throw error;
      }
    }
    await this.answered(repo);
    return true;
  }

  async #load(repo: RepositoryRef): Promise<KnownAccess> {
    const record = await this.#metadata.access.get(repo);
    const { answeredAt, isRefused } = record ?? { answeredAt: 0, isRefused: false };
    const loaded = { answeredAt, isRefused, writtenAt: answeredAt, triedAt: -Infinity };
    // Somebody else may have learnt more meanwhile.
    const known = this.#known.get(repositoryKey(repo)) ?? loaded;
    if (record) this.#known.set(repositoryKey(repo), known);
    return known;
  }
}

function windowOf({ settings }: Upstream, { answeredAt }: AccessRecord): FreshnessWindow {
  return { from: answeredAt, until: answeredAt + settings.tagTtl + settings.revokedAfter };
}

function repositoryKey({ upstream, repository }: RepositoryRef): string {
  return `${upstream}/${repository}`;
}

/** Apart from manifests' keys: that a repository has no manifest of a digest says nothing about blobs. */
export function blobKey(repo: RepositoryRef, digest: Digest): string {
  return `blob ${repositoryKey(repo)}@${digest}`;
}
