import type { KnownImage } from "../../cache/held/image-news.ts";
import type { StayAges } from "../../cache/lookup/tag-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Fact, ManifestFact, News, Order, Preview, TagFact } from "./facts.ts";

/** How long a question to the ledger takes at most, in milliseconds. Whoever asks can do without. */
export const QUESTION_MS = 100;

/**
 * How long the question takes at most what a tag has pointed to. It is put once for a tag that is new or has moved,
 * and whoever does without serves what is too young.
 */
export const HISTORY_MS = 1000;

/** The most images that are told of a digest: a layer may be a part of many. */
export const MAX_IMAGES = 64;

/** How long an order is kept for replicas that were away, in milliseconds: 7 days. A pin is kept until it is taken back. */
export const ORDERS_KEPT_MS = 7 * 24 * 3_600_000;

/** Why a ledger is not used: it does not answer, refuses this replica, or was made by a newer version; or another replica has this one's id. */
export type LedgerAbsence = "silent" | "refused" | "newer" | "taken-id";

/** `since` is in milliseconds of the epoch. */
export type LedgerState =
  | { readonly state: "up"; readonly since: number }
  | {
      readonly state: "away";
      readonly absence: LedgerAbsence;
      readonly reason: string;
      readonly since: number;
    };

/** The ledger was not reached, or did not answer in time. What was asked of it may still happen, and may be asked again. */
export class LedgerAwayError extends Error {
  override readonly name = "LedgerAwayError";
}

/** Who hears what other replicas tell. */
export interface LedgerHearer {
  /**
   * Something is new. It may come twice, late and out of order. The next one comes when this has been dealt
   * with, which never rejects.
   */
  heard(news: News): Promise<void>;
  /** The ledger has come up, and everything that other replicas told meanwhile was heard. */
  caughtUp(): void;
  /** Some of what this replica told is lost, since there was too much of it: what still holds is to be told again. */
  lost(): void;
}

/**
 * What replicas tell and hear. It is never needed: where it is away, each replica finds out by itself, and
 * no request waits for it longer than `QUESTION_MS`, or once `HISTORY_MS`.
 *
 * Later facts of a tag replace earlier ones by the moment at which its upstream was asked, in whatever
 * order they arrive; a removal counts as a fact, and one that was recorded late must not seem younger for it.
 */
export interface Ledger {
  readonly state: LedgerState;
  /** Where a tag points, as the replica says that checked it last. Never rejects; `undefined` if that is not known in time. */
  tag(repo: RepositoryRef, tag: Tag): Promise<Pick<TagFact, "digest" | "ageMs"> | undefined>;
  /** What a tag was seen to point to, the latest first. Never rejects; `undefined` if that is not known in time. */
  history(repo: RepositoryRef, tag: Tag): Promise<readonly StayAges[] | undefined>;
  /** The images that a digest is a part of, or is itself. Never rejects; empty if that is not known in time. */
  images(repo: RepositoryRef, digest: Digest): Promise<readonly KnownImage[]>;
  /** Whether a manifest was given in a repository. Never rejects; `undefined` if that is not known in time. */
  manifest(
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<Pick<ManifestFact, "size" | "mediaType" | "ageMs"> | undefined>;
  /** Tells the others, soon. What cannot be told now is kept, as far as there is room, and grows older. */
  tell(fact: Fact): void;
  /**
   * Records an order for all replicas, also for those that are away. It survives a crash of the ledger.
   *
   * @throws LedgerAwayError
   */
  order(order: Order): Promise<void>;
  /**
   * Asks those that hear it now. It is recorded nowhere.
   *
   * @throws LedgerAwayError
   */
  preview(preview: Preview): Promise<void>;
  /** To be called once, before which nothing is told of the others. */
  hear(hearer: LedgerHearer): void;
  /** Tells what is left to tell, for a second at most, and says goodbye. */
  close(): Promise<void>;
}
