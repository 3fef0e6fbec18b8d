import type { Digest } from "../../oci/digest.ts";
import type { KnownImage } from "../../cache/held/image-news.ts";
import { parseTag, type Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { BudgetFact, News, Order, RestFact } from "./facts.ts";
import { agesOfOverride, overAt, overrideOfAges, replacesOverride } from "./override-ages.ts";
import { agesOfStays, type SeenStay } from "./stays.ts";

/** A tag at a moment of the ledger's clock; without a digest, it was removed. */
export interface TagRow {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly digest: Digest | undefined;
  readonly checked: number;
  /** What the last change was that the replicas were told of. */
  readonly change: number;
}

/** A manifest, what it is made of, and when it was first seen. */
export interface ImageRow {
  readonly repo: RepositoryRef;
  readonly image: Digest;
  readonly parts: readonly Digest[];
  readonly seen: number;
}

interface ImageRows {
  readonly images: ReadonlyMap<string, ImageRow>;
  /** By `tagKey`. */
  readonly histories: ReadonlyMap<string, readonly SeenStay[]>;
}

/** The images of which a digest is a part, or which it is itself. */
export function imagesAbove(
  { images, histories }: ImageRows,
  repo: RepositoryRef,
  digest: Digest,
  now: number,
): KnownImage[] {
  const above = new Set([digest]);
  for (const part of above) {
    for (const row of images.values()) {
      if (Bun.deepEquals(row.repo, repo) && row.parts.includes(part)) above.add(row.image);
    }
  }
  const prefix = `${repo.upstream}/${repo.repository}:`;
  return [...above].flatMap((image) => {
    const seen = images.get(manifestKey(repo, image))?.seen;
    const tags = [...histories].flatMap(([key, stays]) => {
      const tag = key.startsWith(prefix) ? parseTag(key.slice(prefix.length)) : undefined;
      const isOfIt = stays.some((stay) => stay.digest === image);
      return tag && isOfIt ? [{ tag, stays: agesOfStays(stays, now) }] : [];
    });
    if (seen === undefined && tags.length === 0) return [];
    return [{ digest: image, tags, ...(seen !== undefined && { seenAgeMs: now - seen }) }];
  });
}

export type Limit = RestFact | BudgetFact;

interface TimedOrder {
  readonly order: Order;
  /** When it was given. */
  readonly at: number;
}

/** Whether two orders are about the same, so that one of them counts. */
export function areOfOne(one: Order, other: Order): boolean {
  if (one.kind === "override" || other.kind === "override") {
    const isSame = one.kind === other.kind && one.kind === "override" && other.kind === "override";
    return isSame && one.override.id === other.override.id;
  }
  return one.kind !== "purge" && other.kind !== "purge" && one.pattern === other.pattern;
}

/** Of two orders about the same. */
export function replacesOrder(next: TimedOrder, known: TimedOrder): boolean {
  if (next.order.kind !== "override" || known.order.kind !== "override") return next.at > known.at;
  const at = next.order.isAgain === true ? -Infinity : next.at;
  return replacesOverride(
    { override: overrideAt(next.order, next.at), at },
    { override: overrideAt(known.order, known.at), at: known.at },
  );
}

/** Whether what was ordered holds, whenever that was. */
export function holds(order: Order, at: number, now: number): boolean {
  if (order.kind === "pin") return true;
  return order.kind === "override" && (overAt(overrideAt(order, at)) ?? Infinity) > now;
}

/** An order that was given so long ago, with ages as of now. */
export function agedBy(order: Order, ageMs: number): Order {
  if (order.kind !== "override") return { ...order, ageMs };
  const override = overrideAt(order, 0);
  return { ...order, ageMs, override: agesOfOverride(override, ageMs) };
}

/** The override of an order that was given at a moment, on that moment's clock. */
function overrideAt({ override, ageMs }: Extract<Order, { kind: "override" }>, at: number) {
  return overrideOfAges(override, at + ageMs);
}

export function isNews(
  fact: Limit,
  until: number,
  before: { readonly fact: Limit; readonly until: number },
): boolean {
  if (fact.kind !== "budget" || before.fact.kind !== "budget") return until > before.until;
  return fact.remaining < before.fact.remaining;
}

export function tagNews({
  digest,
  ...row
}: {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly digest: Digest | undefined;
  readonly ageMs: number;
}): News {
  return digest ? { kind: "tag", ...row, digest } : { kind: "tag-removed", ...row };
}

export function sightingsIn(row: TagRow | undefined): SeenStay[] {
  if (!row?.digest) return [];
  return [{ digest: row.digest, firstSeen: row.checked, lastSeen: row.checked }];
}

export function tagKey({ upstream, repository }: RepositoryRef, tag: Tag): string {
  return `${upstream}/${repository}:${tag}`;
}

export function manifestKey({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}

export function limitKey(fact: Limit): string {
  const { kind, upstream, host, account } = fact;
  return [kind, kind === "rest" ? fact.requests : "", upstream, host, account].join(" ");
}
