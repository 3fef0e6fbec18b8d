import type { ClusterProblemKind } from "../cluster-problems.ts";
import type { Member } from "./members.ts";

/** What a member says of itself. */
export interface Greeting {
  /** Differs for each start of each replica. */
  readonly instance: string;
  readonly version: string;
  /** The ids of the members that it is configured with, itself included; absent if it does not say. */
  readonly members?: readonly string[];
}

/** Why a member cannot be asked. */
export interface Failure {
  readonly kind: MemberProblemKind;
  readonly reason: string;
}

/** What can be wrong with a member. */
export type MemberProblemKind = Extract<
  ClusterProblemKind,
  "silent-member" | "wrong-secret" | "clock" | "foreign-member" | "member-certificate"
>;

export type PingResult = { readonly kind: "alive"; readonly greeting: Greeting } | Failure;

/** What a member is known to be. */
export type MemberState = { readonly kind: "unknown" } | PingResult;

export interface MemberHealthOptions {
  /** Asks a member whether it is alive. Never rejects. */
  readonly ping: (member: Member, signal: AbortSignal) => Promise<PingResult>;
  /** Called when a member turns out to be something else than before. */
  readonly onChange: (member: Member, state: PingResult) => void;
  /** Called with each member that is no longer one. */
  readonly onForgotten?: (member: Member) => void;
  readonly pauses?: Pauses;
}

/** In milliseconds. */
interface Pauses {
  /** Of those that are down: each is twice as long as the one before. */
  readonly first: number;
  readonly longest: number;
  /** After one has come up: by then it knows more of the others. */
  readonly settled: number;
  /** Between looks at those that are up. */
  readonly check: number;
}

/**
 * How long an answer to a ping may take, in milliseconds. A machine that is busy may need a second; together with
 * the silence before it, no pull waits for 3 s.
 */
const PING_TIMEOUT_MS = 1500;
const PAUSES: Pauses = { first: 250, longest: 5000, settled: 1000, check: 15_000 };

interface Known {
  readonly member: Member;
  /** When it last answered, in milliseconds since the epoch. */
  seenAt: number | undefined;
  state: MemberState;
  pause: number;
  pinging: Promise<PingResult> | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Which members can be asked. One that has failed is not asked again until it has answered a ping, so that it
 * costs a pull only its first wait. Members are pinged from time to time besides, to tell what is wrong.
 */
export class MemberHealth implements Disposable {
  readonly #options: MemberHealthOptions;
  readonly #pauses: Pauses;
  readonly #known = new Map<string, Known>();
  readonly #closed = new AbortController();

  constructor(options: MemberHealthOptions) {
    this.#options = options;
    this.#pauses = options.pauses ?? PAUSES;
  }

  /** Begins to look at a member. */
  watch(member: Member): void {
    if (this.#known.has(member.id) || this.#closed.signal.aborted) return;
    void this.#check(this.#of(member));
  }

  /** Of members that are no longer among these. */
  keepOnly(members: readonly Member[]): void {
    const ids = new Set(members.map(({ id }) => id));
    for (const { member } of this.#known.values()) if (!ids.has(member.id)) this.forget(member);
  }

  /** Tells of the living members once more: what they are compared with has changed. */
  review(): void {
    for (const { member, state } of this.#known.values())
      if (state.kind === "alive") this.#options.onChange(member, state);
  }

  /** Looks at a member no more. */
  forget({ id }: Member): void {
    const known = this.#known.get(id);
    if (!known) return;
    clearTimeout(known.timer);
    this.#known.delete(id);
    this.#options.onForgotten?.(known.member);
  }

  stateOf({ id }: Member): MemberState {
    return this.#known.get(id)?.state ?? { kind: "unknown" };
  }

  /** When a member last answered, in milliseconds since the epoch. */
  seenAt({ id }: Member): number | undefined {
    return this.#known.get(id)?.seenAt;
  }

  /** Whether it may be asked: nothing is known against it. */
  isUp(member: Member): boolean {
    return isUsable(this.stateOf(member));
  }

  /** A request to a member has failed, in a way that lets it be asked no more for now. */
  failed(member: Member, failure: Failure): void {
    this.#become(this.#of(member), failure);
  }

  /** A member has asked something, so it is alive: if it was not thought to be, it is asked at once. */
  heard(id: string): void {
    const known = this.#known.get(id);
    if (!known || known.pinging || isUsable(known.state)) return;
    void this.#check(known);
  }

  /** Asks a member now whether it is alive; many who ask at once ask once. Never rejects. */
  async isAlive(member: Member): Promise<boolean> {
    const result = await this.#ping(this.#of(member));
    return result.kind === "alive";
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
    for (const { timer } of this.#known.values()) clearTimeout(timer);
    this.#known.clear();
  }

  #of(member: Member): Known {
    const known = this.#known.get(member.id);
    if (known) return known;
    const pause = this.#pauses.first;
    const added: Known = {
      member,
      seenAt: undefined,
      state: { kind: "unknown" },
      pause,
      pinging: undefined,
      timer: undefined,
    };
    this.#known.set(member.id, added);
    return added;
  }

  #ping(known: Known): Promise<PingResult> {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(PING_TIMEOUT_MS)]);
    known.pinging ??= this.#options.ping(known.member, signal).then((result) => {
      known.pinging = undefined;
      this.#become(known, result);
      return result;
    });
    return known.pinging;
  }

  async #check(known: Known): Promise<void> {
    const { first, longest, settled, check } = this.#pauses;
    const wasAlive = known.state.kind === "alive";
    const { kind } = await this.#ping(known);
    if (kind === "alive") {
      known.pause = first;
      this.#checkAfter(known, wasAlive ? check : settled);
      return;
    }
    this.#checkAfter(known, known.pause);
    known.pause = Math.min(longest, known.pause * 2);
  }

  #checkAfter(known: Known, pause: number): void {
    clearTimeout(known.timer);
    if (this.#closed.signal.aborted || this.#known.get(known.member.id) !== known) return;
    known.timer = setTimeout(() => void this.#check(known), pause).unref();
  }

  #become(known: Known, state: PingResult): void {
    const before = known.state;
    known.state = state;
    if (state.kind === "alive") known.seenAt = Date.now();
    const isForgotten = this.#known.get(known.member.id) !== known;
    if (this.#closed.signal.aborted || isForgotten || isSame(before, state)) return;
    if (isUsable(before) && !isUsable(state)) {
      known.pause = this.#pauses.first;
      this.#checkAfter(known, known.pause);
    }
    this.#options.onChange(known.member, state);
  }
}

function isUsable({ kind }: MemberState): boolean {
  return kind === "alive" || kind === "unknown";
}

function isSame(one: MemberState, other: MemberState): boolean {
  if (one.kind === "alive" && other.kind === "alive") {
    const [before, after] = [one.greeting, other.greeting];
    const isList = String(before.members) === String(after.members);
    return before.instance === after.instance && isList;
  }
  return one.kind === other.kind;
}
