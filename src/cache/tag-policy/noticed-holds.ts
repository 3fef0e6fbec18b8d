import { LRUCache } from "lru-cache";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { imageName } from "../../oci/image-reference.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { Override } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import { isActive } from "./overrides.ts";
import type { TagAccount, TagAccounts } from "./tag-accounts.ts";
import type { LostPart } from "./hold-observer.ts";
import { shortDigest } from "./hold-text.ts";
import type { Hold } from "./tag-policy.ts";

/** How many tags are remembered: those that were asked for last. */
const MAX_TAGS = 2000;

/** After which it is no longer told that a part was gone, in milliseconds: it may be there again. */
const LOST_MS = 3_600_000;

/** A tag that was found held. */
export interface NoticedHold {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly hold: Hold;
}

export interface NoticedHoldsOptions {
  readonly accounts: Pick<TagAccounts, "of">;
  /** A digest is held of a tag, for this reason, and was not before. */
  readonly onHeld: (held: NoticedHold) => void;
  /** Its registry no longer has something of what the tag is served with. It is told once for each image. */
  readonly onLost: (held: NoticedHold, lost: LostPart) => void;
  /** A tag is served as its registry says again; by an override, or by itself. */
  readonly onReleased: (held: NoticedHold, by: Override | undefined) => void;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

interface Known extends NoticedHold {
  readonly since: number;
  readonly lost?: LostPart & { readonly at: number };
}

/** Tags that are held, as far as clients have asked for them lately. */
export class NoticedHolds {
  readonly #options: NoticedHoldsOptions;
  readonly #now: () => number;
  /** By image. */
  readonly #known = new LRUCache<string, Known>(growingTo(MAX_TAGS));

  constructor(options: NoticedHoldsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** How many there were when that was last looked at. */
  get count(): number {
    return this.#known.size;
  }

  /** A client asked for a tag that is held. Costs a place in a table; what is new is told once. */
  held(repo: RepositoryRef, tag: Tag, hold: Hold): void {
    const image = imageName({ ...repo, tag });
    const known = this.#known.get(image);
    if (known && known.hold.digest === hold.digest && known.hold.because === hold.because) {
      return;
    }
    const held = { repo, tag, hold, since: this.#now() };
    this.#known.set(image, held);
    this.#options.onHeld(held);
  }

  /** A client asked for something that a held tag needs, and its registry no longer has. */
  lost(repo: RepositoryRef, tag: Tag, hold: Hold, lost: LostPart): void {
    this.held(repo, tag, hold);
    const image = imageName({ ...repo, tag });
    const known = this.#known.get(image);
    if (!known) return;
    this.#known.set(image, { ...known, lost: { ...lost, at: this.#now() } });
    if (known.lost?.image !== lost.image) this.#options.onLost(known, lost);
  }

  /**
   * Finds out which of these tags are held: clients asked for them before the process started. It was told then.
   *
   * @throws Fault if the metadata cannot be read
   */
  async recall(tags: Iterable<Pick<NoticedHold, "repo" | "tag">>): Promise<void> {
    const now = this.#now();
    const yielder = new EventLoopYielder();
    for (const { repo, tag } of tags) {
      const image = imageName({ ...repo, tag });
      if (this.#known.size >= MAX_TAGS || this.#known.has(image)) continue;
      await yielder.pause();
      const { hold } = await this.#options.accounts.of(repo, tag, now);
      if (hold && !this.#known.has(image)) this.#known.set(image, { repo, tag, hold, since: now });
    }
  }

  /**
   * Those that are still held, as they are now, by image. What is no longer held is told, and forgotten.
   *
   * @throws Fault if the metadata cannot be read
   */
  async current(): Promise<readonly TagAccount[]> {
    const accounts: TagAccount[] = [];
    const yielder = new EventLoopYielder();
    // As they are now: clients go on to ask while this reads.
    const all = Array.from(this.#known.entries());
    for (const [image, known] of all) {
      await yielder.pause();
      const account = await this.#options.accounts.of(known.repo, known.tag, this.#now());
      if (account.hold)
        accounts.push({ ...account, hold: this.#told(account.hold, account, known) });
      // A client may have asked meanwhile, and found another reason.
      else if (this.#known.peek(image) === known) {
        this.#known.delete(image);
        this.#options.onReleased(known, releaseOf(account, known.since));
      }
    }
    return accounts.toSorted((one, other) => (one.image < other.image ? -1 : 1));
  }

  #told(hold: Hold, { served }: TagAccount, { lost }: Known): Hold {
    if (!lost || lost.image !== served || lost.at < this.#now() - LOST_MS) return hold;
    return { ...hold, text: `${hold.text}. ${lostText(lost)}` };
  }
}

/** What is told of a part that is gone. */
export function lostText({ image, digest }: LostPart): string {
  const what = image === digest ? "it" : `${shortDigest(digest)} of it`;
  return `${shortDigest(image)} cannot be pulled: its registry no longer has ${what}`;
}

/** The override that was made or ended since a tag was found held. */
function releaseOf({ overrides }: TagAccount, since: number): Override | undefined {
  return overrides.find(
    (override) =>
      (override.ended?.at ?? 0) >= since ||
      (override.kind === "release" &&
        override.since >= since &&
        isActive(override, override.since)),
  );
}
