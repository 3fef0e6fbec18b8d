import type { StayAges } from "../../cache/lookup/tag-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { OverrideAges } from "./override-ages.ts";

/*
 * What replicas tell each other. Times are ages in milliseconds, as of the call: no replica has to believe
 * another one's clock. An age may be too high, but never too low, or an old fact would replace a newer one.
 */

/** An upstream said where a tag points. The age is of the moment at which it was asked. */
export interface TagFact {
  readonly kind: "tag";
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly digest: Digest;
  readonly ageMs: number;
}

/** An upstream said that there is no such tag. */
export interface TagRemovedFact {
  readonly kind: "tag-removed";
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly ageMs: number;
}

/** What a tag was seen to point to. Told in whatever order, by whomever, it becomes one history. */
export interface SeenFact {
  readonly kind: "seen";
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly stays: readonly StayAges[];
}

/** A client was given a manifest that is made of these, in a repository where that decides what may be had. */
export interface PartsFact {
  readonly kind: "parts";
  readonly repo: RepositoryRef;
  readonly image: Digest;
  readonly parts: readonly Digest[];
  /** How long ago the manifest was seen first. */
  readonly ageMs: number;
}

/** An upstream gave a manifest in a repository: there, it may be seen. */
export interface ManifestFact {
  readonly kind: "manifest";
  readonly repo: RepositoryRef;
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** The Content-Type with which it was given. */
  readonly mediaType: string;
  readonly ageMs: number;
}

/** What limits the requests of an account. Replicas that send requests as the same one share its limits. */
export interface LimitedAccount {
  readonly upstream: UpstreamName;
  /** The URL of the registry or mirror. */
  readonly host: string;
  /** The same for all replicas that have the same credentials. It says nothing of them, and is at most 64 characters. */
  readonly account: string;
}

/** An upstream answered 429: no request of a kind is sent for some time. */
export interface RestFact extends LimitedAccount {
  readonly kind: "rest";
  readonly requests: "blob" | "list" | "metadata";
  /** How long it still lasts. */
  readonly leftMs: number;
}

/** How many requests an upstream still allows. The lowest number of a window holds. */
export interface BudgetFact extends LimitedAccount {
  readonly kind: "budget";
  readonly remaining: number;
  readonly limit?: number;
  /** The window that both are for, in seconds. */
  readonly window: number;
  /** How long what is known of it holds. */
  readonly leftMs: number;
}

declare const orderBrand: unique symbol;

/** Names an order. The replica that was given it makes it up: told twice, it is still one order. */
export type OrderId = string & { readonly [orderBrand]: true };

/** What an operator wants of every replica. The age is of the moment at which it was given to the first of them. */
export type Order =
  | {
      readonly kind: "pin";
      readonly id: OrderId;
      readonly pattern: string;
      readonly platforms: readonly string[];
      readonly ageMs: number;
    }
  | {
      readonly kind: "unpin" | "purge";
      readonly id: OrderId;
      readonly pattern: string;
      readonly ageMs: number;
    }
  | OverrideOrder;

/**
 * An override that an operator has made, or changed. Of several orders about one, an end counts, and else the order
 * that was given last.
 */
export interface OverrideOrder {
  readonly kind: "override";
  readonly id: OrderId;
  readonly override: OverrideAges;
  readonly ageMs: number;
  /** It is told in case that the ledger does not know it: where it does, it is only to be ended, if this one is. */
  readonly isAgain?: boolean;
}

/** What would a purge of this pattern remove at the others? They answer as if it was an order, and do nothing. */
export interface Preview {
  readonly kind: "preview";
  readonly id: OrderId;
  readonly pattern: string;
}

/** This replica has carried out an order, or cannot carry it out as it is. */
export interface AppliedFact {
  readonly kind: "applied";
  readonly order: OrderId;
  readonly outcome: "done" | "refused";
  /** How many images it concerned here. */
  readonly images: number;
}

/** What is told without waiting. */
export type Fact =
  | TagFact
  | TagRemovedFact
  | SeenFact
  | PartsFact
  | ManifestFact
  | RestFact
  | BudgetFact
  | AppliedFact;

/**
 * What is heard from the others. Of tags, only that they moved or were removed: that one was checked again
 * is asked for where it matters.
 */
export type News =
  | TagFact
  | TagRemovedFact
  | RestFact
  | BudgetFact
  | Order
  | Preview
  | (AppliedFact & {
      /** The replica. */
      readonly by: string;
    });

export function newOrderId(): OrderId {
  // The brand only claims that nobody else has made up the same one.
  return crypto.randomUUID() as OrderId;
}

/** @returns undefined if the text does not name an order */
export function parseOrderId(text: string): OrderId | undefined {
  // The brand only claims what the expression has checked.
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? (text as OrderId) : undefined;
}
