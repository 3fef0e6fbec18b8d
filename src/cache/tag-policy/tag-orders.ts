import { randomUUID } from "node:crypto";
import type { Digest } from "../../oci/digest.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { imageName, type ImageReference } from "../../oci/image-reference.ts";
import type { Tag } from "../../oci/names.ts";
import { latestFirst, type Override } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import { ActiveOverrides } from "./active-overrides.ts";
import { digestSought, stayAt } from "./former-digest.ts";
import {
  endsAnOverride,
  endsBefore,
  hasEnded,
  isBoth,
  isCurrent,
  isFrozen,
  isFuture,
  isNotServed,
  isUnknown,
} from "./order-refusals.ts";
import { OrderRefused } from "./order-refused.ts";
import { isActive, type Overrides } from "./overrides.ts";
import {
  fixingOverrides,
  type StayAccount,
  type TagAccount,
  type TagAccounts,
} from "./tag-accounts.ts";

/** What every order has. */
export interface OrderTerms {
  readonly reason: string;
  /** Who gives it. */
  readonly by: string;
  /** From when on it no longer holds, in milliseconds of the epoch. Absent: until it is ended. */
  readonly until?: number | undefined;
}

/** What is to be done, and what to know of it. Nothing is done yet. */
export interface PreparedOrder {
  /** Overrides as they are to be kept, in this order. The last one decides what is served. */
  readonly puts: readonly Override[];
  /** Sentences for people, without their full stops. */
  readonly notes: readonly string[];
  /** When the tag had the digest that it is given. */
  readonly stay?: StayAccount;
}

export interface TagOrdersOptions {
  readonly overrides: Pick<Overrides, "all" | "get" | "nextStamp">;
  readonly accounts: Pick<TagAccounts, "of">;
  readonly isStored: (repo: RepositoryRef, digest: Digest) => Promise<boolean>;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** What operators decide of tags: makes overrides of what they say, and refuses what cannot be meant. */
export class TagOrders {
  readonly #options: TagOrdersOptions;
  readonly #now: () => number;

  constructor(options: TagOrdersOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Gives a tag what its registry says, or makes a digest old enough.
   *
   * @throws OrderRefused
   */
  async release(
    image: ImageReference,
    terms: OrderTerms & { readonly isUnverified?: boolean | undefined },
  ): Promise<PreparedOrder> {
    this.#check(terms);
    if (image.digest !== undefined) return this.#releaseDigest(image, image.digest, terms);
    const { account, tag } = await this.#known(image);
    const fixing = fixingOverrides(account, this.#now());
    if (fixing.length > 0) {
      if (terms.until !== undefined) throw endsAnOverride(account, fixing);
      return this.#ending(fixing, terms);
    }
    const { hold, served, stays } = account;
    const [current] = stays;
    if (!hold || !current) {
      const next = `entrepot history ${account.image} shows what it was, and what is served`;
      throw new OrderRefused("conflict", `nothing is held of ${account.image}`, next);
    }
    if (hold.because === "frozen") throw isFrozen(account, this.#now());
    // What is served before its time, since nothing older can be had, needs no release.
    const digest =
      hold.digest === undefined || hold.digest === served ? current.digest : hold.digest;
    return this.#releaseDigest({ ...image, tag }, digest, terms, hold.because);
  }

  /**
   * Keeps a tag where it is, or gives a digest to nobody.
   *
   * @throws OrderRefused
   */
  async hold(image: ImageReference, terms: OrderTerms): Promise<PreparedOrder> {
    this.#check(terms);
    const { tag, digest } = image;
    if (digest !== undefined) {
      if (tag !== undefined) throw isBoth(image, digest);
      const pattern = imageName(image);
      this.#active.mustNotHave({ kind: "hold", pattern });
      const notes = ["it is given to nobody, by whatever tag or name"];
      return { puts: [this.#override("hold", pattern, terms)], notes };
    }
    const { account } = await this.#known(image);
    const { served } = account;
    if (served === undefined) throw isNotServed(account);
    this.#active.mustNotHave({ kind: "hold", pattern: account.image, digest: served });
    return this.#fix("hold", account, served, terms);
  }

  /**
   * Has a tag point to a digest that it had before.
   *
   * @param to a digest or the first digits of one, or a moment in milliseconds of the epoch
   * @throws OrderRefused
   */
  async rollback(
    image: ImageReference,
    to: string | number,
    terms: OrderTerms,
  ): Promise<PreparedOrder> {
    this.#check(terms);
    if (image.digest !== undefined) {
      const next = "name the tag that is to point to another digest, such as node:24";
      throw new OrderRefused("invalid", `${imageName(image)} is a digest`, next);
    }
    const { account } = await this.#known(image);
    const digest =
      typeof to === "number"
        ? stayAt(account, this.#past(to)).digest
        : await digestSought(account, to, (sought) => this.#options.isStored(image, sought));
    if (account.stays[0]?.digest === digest) throw isCurrent(account, to);
    const [heldBack] = this.#active.holdsOf(image, digest);
    if (heldBack) {
      const reason = `${imageName({ ...image, digest })} is held back by ${heldBack.by} (${heldBack.reason})`;
      throw new OrderRefused("conflict", reason, `entrepot release ${heldBack.pattern} first`);
    }
    this.#active.mustNotHave({ kind: "rollback", pattern: account.image, digest });
    return this.#fix("rollback", account, digest, terms);
  }

  /**
   * Has tags point where they did at a moment.
   *
   * @param text an image pattern; by default, all tags
   * @throws OrderRefused
   */
  freeze(text: string, asOf: number, terms: OrderTerms): PreparedOrder {
    this.#check(terms);
    const pattern = parseImagePattern(text);
    if (!pattern || pattern.digest !== undefined) {
      const shown = JSON.stringify(text.slice(0, 200));
      const what = pattern ? "names a digest, which never changes" : "is not a valid pattern";
      const next = "write a tag such as node:24, or a pattern such as docker.io/*";
      throw new OrderRefused("invalid", `${shown} ${what}`, next);
    }
    this.#active.mustNotHave({ kind: "freeze", pattern: pattern.text, asOf: this.#past(asOf) });
    const notes = ["a tag that was not known then has the earliest digest that is known of it"];
    return { puts: [this.#override("freeze", pattern.text, terms, { asOf })], notes };
  }

  /**
   * Ends an override before its time.
   *
   * @throws OrderRefused
   */
  end(id: string, terms: Omit<OrderTerms, "until">): PreparedOrder {
    const override = this.#options.overrides.get(id);
    if (!override) throw isUnknown(id);
    if (!isActive(override, this.#now())) throw hasEnded(override);
    return this.#ending([override], terms);
  }

  async #releaseDigest(
    image: ImageReference,
    digest: Digest,
    terms: OrderTerms & { readonly isUnverified?: boolean | undefined },
    because?: string,
  ): Promise<PreparedOrder> {
    const pattern = imageName({ ...image, digest });
    const holds = this.#active.holdsOf(image, digest);
    if (holds.length > 0) return this.#ending(holds, terms);
    const { isUnverified = false } = terms;
    const account = image.tag && (await this.#options.accounts.of(image, image.tag, this.#now()));
    const failed = account?.stays.find((stay) => stay.digest === digest)?.verification;
    if (because === "unverified" && !isUnverified) {
      const why = account?.hold?.text ?? `${pattern} is not signed as it has to be`;
      const next = `if it is to be served nonetheless, add --unverified`;
      throw new OrderRefused("conflict", why, next);
    }
    this.#active.mustNotHave({ kind: "release", pattern, digest, isUnverified });
    const notes = [
      ...(failed?.outcome === "failed" && !isUnverified
        ? [
            `its signatures fail nonetheless (${failed.detail}): with --unverified, it is served where a rule enforces them`,
          ]
        : []),
      ...(await this.#absent(image, digest)),
    ];
    const more = { digest, ...(isUnverified ? { isUnverified } : {}) };
    return { puts: [this.#override("release", pattern, terms, more)], notes };
  }

  #fix(
    kind: "hold" | "rollback",
    { image, stays, overrides }: TagAccount,
    digest: Digest,
    terms: OrderTerms,
  ): PreparedOrder {
    const stay = stays.find((one) => one.digest === digest);
    const before = fixingOverrides({ image, overrides }, this.#now())[0];
    const notes = [
      ...(before ? [`it comes before the ${before.kind} by ${before.by} (${before.reason})`] : []),
      ...(stay?.isStored === false ? [NOT_HERE] : []),
    ];
    const put = this.#override(kind, image, terms, { digest });
    return { puts: [put], notes, ...(stay ? { stay } : {}) };
  }

  async #absent(repo: RepositoryRef, digest: Digest): Promise<string[]> {
    return (await this.#options.isStored(repo, digest)) ? [] : [NOT_HERE];
  }

  #override(
    kind: Override["kind"],
    pattern: string,
    { reason, by, until }: OrderTerms,
    more: Pick<Override, "digest" | "asOf" | "isUnverified"> = {},
  ): Override {
    this.#active.mustHaveRoom();
    const since = this.#now();
    const bound = until === undefined ? {} : { until };
    const stamp = this.#options.overrides.nextStamp(since);
    return { id: randomUUID(), kind, pattern, ...more, reason, by, since, stamp, ...bound };
  }

  /** The one that decides comes last: until then, nothing changes. */
  #ending(
    overrides: readonly Override[],
    { by, reason }: Omit<OrderTerms, "until">,
  ): PreparedOrder {
    const ended = { at: this.#now(), by, reason };
    const oldestFirst = overrides.toSorted(latestFirst).toReversed();
    return {
      puts: oldestFirst.map((override) => Object.assign({}, override, { ended })),
      notes: [],
    };
  }

  get #active(): ActiveOverrides {
    return new ActiveOverrides(this.#options.overrides, this.#now());
  }

  /** The tag, of which something has to be known. */
  async #known(
    image: ImageReference,
  ): Promise<{ readonly account: TagAccount; readonly tag: Tag }> {
    // A reference without a digest has a tag.
    const tag = image.tag ?? ("latest" as Tag);
    const account = await this.#options.accounts.of(image, tag, this.#now());
    if (account.stays.length > 0) return { account, tag };
    const next = "pull it through this cache once, or see whether the name is right (entrepot ls)";
    throw new OrderRefused("none", `nothing is known of ${account.image}`, next);
  }

  #past(moment: number): number {
    if (moment <= this.#now()) return moment;
    throw isFuture(moment);
  }

  #check({ until }: OrderTerms): void {
    if (until !== undefined && until <= this.#now()) throw endsBefore(until);
  }
}

const NOT_HERE =
  "its manifest is not stored here: the next pull fetches it by its digest, if its registry still has it";
