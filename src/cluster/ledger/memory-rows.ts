import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { BudgetFact, News, RestFact } from "./facts.ts";
import type { SeenStay } from "./stays.ts";

/** A tag at a moment of the ledger's clock; without a digest, it was removed. */
export interface TagRow {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly digest: Digest | undefined;
  readonly checked: number;
  /** What the last change was that the replicas were told of. */
  readonly change: number;
}

export type Limit = RestFact | BudgetFact;

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
