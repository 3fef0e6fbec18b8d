import type { Member, Members } from "./members.ts";

/**
 * How long the last word of the ledger holds once it is away, and how long one that it lists no more is believed in
 * if it answers, in milliseconds: a ledger that comes back lists only those that have found it again.
 */
const HELD_MS = 60_000;
/** As many as a cluster may have. */
const MAX_MEMBERS = 256;

/** What the ledger says of another replica. */
export interface HeardReplica {
  readonly id: string;
  readonly url: string;
  /** It is not heard of any more, and has not said goodbye. */
  readonly isSilent: boolean;
}

export interface HeardMembersOptions {
  /** As this replica tells the ledger. */
  readonly self: Member;
  /** Those that are believed in while the ledger says nothing. */
  readonly configured: Members;
  /** Whether a member can be asked: the ledger may not know yet that it is gone, or not be able to say so. */
  readonly isUp: (member: Member) => boolean;
  /** Called when there are others than before. */
  readonly onChange: (others: readonly Member[]) => void;
  /** Called when the ledger does not hear of one any more, to look whether it is up. */
  readonly onMissing: (member: Member) => void;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

/**
 * The members that the ledger hears of, by their heartbeats. One that is silent stays a member while the ledger lists
 * it: it may have lost the ledger alone, and if it is not up, that is to be told.
 */
export class HeardMembers implements Members {
  readonly #options: HeardMembersOptions;
  readonly #now: () => number;
  #others: readonly Member[] = [];
  #heardAt: number | undefined;
  /** Since when the ledger has not listed some of the others, by their ids. */
  readonly #missingSince = new Map<string, number>();
  /** The ids of those that are silent. */
  #silent: ReadonlySet<string> = new Set();

  constructor(options: HeardMembersOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get self(): Member {
    return this.#isHeld ? this.#options.self : this.#options.configured.self;
  }

  /** All that were heard of last, without this one. */
  get others(): readonly Member[] {
    return this.#others;
  }

  living(): readonly Member[] {
    const { self, configured, isUp } = this.#options;
    return this.#isHeld ? [self, ...this.#others.filter(isUp)] : configured.living();
  }

  /** Whether one has gone for what the ledger knows: it has said goodbye, or the ledger has forgotten it. */
  hasGone({ id }: Member): boolean {
    return this.#missingSince.has(id);
  }

  /** The ledger has said which other replicas are alive. */
  hear(replicas: readonly HeardReplica[]): void {
    const { self, onChange } = this.#options;
    const known = this.#heardAt === undefined ? this.#configuredOthers() : this.#others;
    this.#heardAt = this.#now();
    const listed = replicas
      .flatMap((replica) => memberOf(replica) ?? [])
      .filter(({ id }) => id !== self.id);
    this.#lookAtSilent(replicas);
    const others = [...listed, ...this.#missing(known, listed)].slice(0, MAX_MEMBERS - 1);
    const isSame =
      others.length === this.#others.length &&
      others.every(({ id, url }, at) => {
        const before = this.#others[at];
        return before?.id === id && before.url.href === url.href;
      });
    if (isSame) return;
    this.#others = others;
    onChange(others);
  }

  #configuredOthers(): readonly Member[] {
    const { self, configured } = this.#options;
    const own = new Set([self.id, configured.self.id]);
    return configured.living().filter(({ id }) => !own.has(id));
  }

  #lookAtSilent(replicas: readonly HeardReplica[]): void {
    const before = this.#silent;
    this.#silent = new Set(replicas.flatMap(({ id, isSilent }) => (isSilent ? id : [])));
    for (const member of this.#others)
      if (this.#silent.has(member.id) && !before.has(member.id)) this.#options.onMissing(member);
  }

  /** Those that are not listed any more, or not yet, and may be alive all the same. */
  #missing(known: readonly Member[], listed: readonly Member[]): Member[] {
    const { isUp, onMissing } = this.#options;
    const ids = new Set(listed.map(({ id }) => id));
    for (const id of ids) this.#missingSince.delete(id);
    return known.filter((member) => {
      if (ids.has(member.id)) return false;
      const since = this.#missingSince.get(member.id);
      if (since === undefined) {
        this.#missingSince.set(member.id, this.#now());
        onMissing(member);
      }
      const isKept = isUp(member) && this.#now() - (since ?? this.#now()) < HELD_MS;
      if (!isKept) this.#missingSince.delete(member.id);
      return isKept;
    });
  }

  get #isHeld(): boolean {
    return this.#heardAt !== undefined && this.#now() - this.#heardAt < HELD_MS;
  }
}

/** @returns undefined if no replica can be reached there, whoever has written it */
function memberOf({ id, url }: HeardReplica): Member | undefined {
  const parsed = URL.parse(url);
  const isReplica =
    (parsed?.protocol === "http:" || parsed?.protocol === "https:") &&
    parsed.username === "" &&
    parsed.password === "" &&
    parsed.pathname === "/";
  return isReplica ? { id, url: parsed } : undefined;
}
