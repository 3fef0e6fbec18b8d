import type { KnownImage } from "../../cache/held/image-news.ts";
import type { StayAges } from "../../cache/lookup/tag-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type {
  Fact,
  ManifestFact,
  News,
  Order,
  PartsFact,
  Preview,
  SeenFact,
  TagFact,
} from "./facts.ts";
import {
  type Ledger,
  LedgerAwayError,
  type LedgerHearer,
  type LedgerState,
  ORDERS_KEPT_MS,
} from "./ledger.ts";
import {
  agedBy,
  areOfOne,
  holds,
  type ImageRow,
  imagesAbove,
  isNews,
  type Limit,
  limitKey,
  manifestKey,
  replacesOrder,
  sightingsIn,
  tagKey,
  tagNews,
  type TagRow,
} from "./memory-rows.ts";
import { agesOfStays, mergeStays, type SeenStay, staysOfAges } from "./stays.ts";

/** What the replicas of one process share: the memory ledger's database. */
export class SharedMemory {
  readonly tags = new Map<string, TagRow>();
  readonly histories = new Map<string, readonly SeenStay[]>();
  readonly images = new Map<string, ImageRow>();
  readonly manifests = new Map<string, ManifestFact & { readonly seen: number }>();
  readonly limits = new Map<string, { readonly fact: Limit; readonly until: number }>();
  readonly orders = new Map<
    string,
    { readonly order: Order; readonly at: number; readonly change: number }
  >();
  readonly replicas = new Set<MemoryLedger>();
  /** Counts what replicas hear of. */
  changes = 0;

  /** @param now the ledger's clock, in milliseconds */
  constructor(readonly now: () => number = () => performance.now()) {}
}

/**
 * A ledger in memory, for tests and for replicas in one process. `away` and `back` are what can happen to
 * a ledger that is reached over a network.
 */
export class MemoryLedger implements Ledger {
  readonly id: string;
  readonly #shared: SharedMemory;
  readonly #untold: { readonly fact: Fact; readonly at: number }[] = [];
  #hearer: LedgerHearer | undefined;
  #hearing: Promise<void> = Promise.resolve();
  /** The last change that was heard of. */
  #heard = 0;
  #hasLost = false;
  #state: LedgerState = { state: "up", since: Date.now() };

  constructor(shared: SharedMemory, id: string) {
    this.#shared = shared;
    this.id = id;
  }

  get state(): LedgerState {
    return this.#state;
  }

  async tag(repo: RepositoryRef, tag: Tag): Promise<Pick<TagFact, "digest" | "ageMs"> | undefined> {
    const row = this.#isUp ? this.#shared.tags.get(tagKey(repo, tag)) : undefined;
    if (!row?.digest) return undefined;
    return { digest: row.digest, ageMs: this.#shared.now() - row.checked };
  }

  async history(repo: RepositoryRef, tag: Tag): Promise<readonly StayAges[] | undefined> {
    return this.#isUp ? agesOfStays(this.#staysOf(repo, tag), this.#shared.now()) : undefined;
  }

  async images(repo: RepositoryRef, digest: Digest): Promise<readonly KnownImage[]> {
    const { now } = this.#shared;
    if (!this.#isUp) return [];
    const images = imagesAbove(this.#shared, repo, digest, now());
    return images.toSorted((one, other) => other.tags.length - one.tags.length);
  }

  async manifest(
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<Pick<ManifestFact, "size" | "mediaType" | "ageMs"> | undefined> {
    const row = this.#isUp ? this.#shared.manifests.get(manifestKey(repo, digest)) : undefined;
    if (!row) return undefined;
    const { size, mediaType, seen } = row;
    return { size, mediaType, ageMs: this.#shared.now() - seen };
  }

  tell(fact: Fact): void {
    const at = this.#shared.now();
    if (this.#isUp) this.#record(fact, at);
    else this.#untold.push({ fact, at });
  }

  async order(order: Order): Promise<void> {
    if (!this.#isUp) throw new LedgerAwayError("the ledger is away");
    const { orders, now } = this.#shared;
    const at = now() - order.ageMs;
    if (orders.has(order.id) || this.#isSuperseded(order, at)) return;
    this.#shared.changes += 1;
    orders.set(order.id, { order, at, change: this.#shared.changes });
    this.#broadcast(order);
  }

  async preview(preview: Preview): Promise<void> {
    if (!this.#isUp) throw new LedgerAwayError("the ledger is away");
    this.#broadcast(preview);
  }

  hear(hearer: LedgerHearer): void {
    this.#hearer = hearer;
    this.#shared.replicas.add(this);
    if (this.#isUp) this.#catchUp();
  }

  async close(): Promise<void> {
    this.#shared.replicas.delete(this);
    await this.#hearing;
  }

  /** Resolves once everything was dealt with that others have told by now. */
  async settled(): Promise<void> {
    await this.#hearing;
  }

  /** The ledger is not reached any more. */
  away(reason = "the ledger is away"): void {
    if (this.#isUp) {
      this.#state = { state: "away", absence: "silent", reason, since: Date.now() };
    }
  }

  /** Loses what could not be told yet. */
  forget(): void {
    this.#untold.length = 0;
    this.#hasLost = true;
  }

  /** The ledger is reached again: what could not be told is, and what was missed is heard. */
  back(): void {
    if (this.#isUp) return;
    this.#state = { state: "up", since: Date.now() };
    for (const { fact, at } of this.#untold.splice(0)) this.#record(fact, at);
    this.#catchUp();
    if (this.#hasLost) this.#enqueue(async (hearer) => hearer.lost());
    this.#hasLost = false;
  }

  get #isUp(): boolean {
    return this.#state.state === "up";
  }

  #record(fact: Fact, at: number): void {
    const { manifests, limits, now } = this.#shared;
    switch (fact.kind) {
      case "tag":
        return this.#recordTag(fact, fact.digest, at - fact.ageMs);
      case "tag-removed":
        return this.#recordTag(fact, undefined, at - fact.ageMs);
      case "seen":
        return this.#recordStays(fact, at);
      case "parts":
        return this.#recordParts(fact, at - fact.ageMs);
      case "manifest": {
        const key = manifestKey(fact.repo, fact.digest);
        const seen = at - fact.ageMs;
        if (seen > (manifests.get(key)?.seen ?? -Infinity)) manifests.set(key, { ...fact, seen });
        return;
      }
      case "rest":
      case "budget": {
        const until = at + fact.leftMs;
        const leftMs = until - now();
        const before = limits.get(limitKey(fact));
        const isKnown = before && before.until > now() && !isNews(fact, until, before);
        if (leftMs <= 0 || isKnown) return;
        limits.set(limitKey(fact), { fact, until });
        return this.#broadcast({ ...fact, leftMs });
      }
      case "applied":
        return this.#broadcast({ ...fact, by: this.id });
    }
  }

  /** Forgets what this order takes back or replaces. Whether it comes later than one that does so with it. */
  #isSuperseded(order: Order, at: number): boolean {
    if (order.kind === "purge") return false;
    const { orders } = this.#shared;
    for (const [id, other] of orders) {
      if (!areOfOne(order, other.order)) continue;
      if (!replacesOrder({ order, at }, other)) return true;
      if (other.order.kind !== "unpin") orders.delete(id);
    }
    return false;
  }

  #recordTag(
    { repo, tag }: { readonly repo: RepositoryRef; readonly tag: Tag },
    digest: Digest | undefined,
    checked: number,
  ): void {
    const { tags, now } = this.#shared;
    const key = tagKey(repo, tag);
    const before = tags.get(key);
    if (before && before.checked >= checked) return;
    const hasMoved = before?.digest !== digest;
    if (hasMoved) this.#shared.changes += 1;
    const change = hasMoved ? this.#shared.changes : (before?.change ?? 0);
    tags.set(key, { repo, tag, digest, checked, change });
    if (hasMoved) this.#broadcast(tagNews({ repo, tag, digest, ageMs: now() - checked }));
  }

  /** With what is known of the tag now. */
  #staysOf(repo: RepositoryRef, tag: Tag): readonly SeenStay[] {
    const { histories, tags, now } = this.#shared;
    const key = tagKey(repo, tag);
    return mergeStays(histories.get(key) ?? [], sightingsIn(tags.get(key)), now());
  }

  /** Before it is recorded where the tag points now, the last stay ends as the tag's own row says. */
  #recordStays({ repo, tag, stays }: SeenFact, at: number): void {
    const { histories, now } = this.#shared;
    const merged = mergeStays(this.#staysOf(repo, tag), staysOfAges(stays, at), now());
    histories.set(tagKey(repo, tag), merged);
  }

  #recordParts({ repo, image, parts }: PartsFact, seen: number): void {
    const { images } = this.#shared;
    const key = manifestKey(repo, image);
    const before = images.get(key);
    images.set(key, { repo, image, parts, seen: Math.min(seen, before?.seen ?? seen) });
  }

  #broadcast(news: News): void {
    for (const replica of this.#shared.replicas) {
      if (replica !== this) replica.#receive(news);
    }
  }

  #receive(news: News): void {
    if (!this.#isUp) return;
    this.#heard = this.#shared.changes;
    this.#enqueue(async (hearer) => hearer.heard(news));
  }

  /** Everything that changed since this was up, and limits that still hold. */
  #catchUp(): void {
    const { tags, orders, limits, now } = this.#shared;
    const since = this.#heard;
    this.#heard = this.#shared.changes;
    const missed: { readonly news: News; readonly change: number }[] = [];
    for (const { change, checked, ...row } of tags.values()) {
      if (change > since)
        missed.push({ news: tagNews({ ...row, ageMs: now() - checked }), change });
    }
    for (const { order, at, change } of orders.values()) {
      const ageMs = now() - at;
      const isKept = holds(order, at, now()) || ageMs < ORDERS_KEPT_MS;
      if (change > since && isKept) missed.push({ news: agedBy(order, ageMs), change });
    }
    missed.sort((one, other) => one.change - other.change);
    const held: News[] = [];
    for (const { fact, until } of limits.values()) {
      const leftMs = until - now();
      if (leftMs > 0) held.push({ ...fact, leftMs });
    }
    this.#enqueue(async (hearer) => {
      for (const news of [...missed.map((one) => one.news), ...held]) await hearer.heard(news);
      hearer.caughtUp();
    });
  }

  #enqueue(work: (hearer: LedgerHearer) => Promise<void>): void {
    const hearer = this.#hearer;
    if (hearer) this.#hearing = this.#hearing.then(async () => work(hearer));
  }
}
