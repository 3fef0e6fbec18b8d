import type { MemberHealth } from "./member-health.ts";
import { distinctMembers } from "./distinct-members.ts";
import type { Member, Members } from "./members.ts";

export interface ConfiguredMembersOptions {
  /** Where the others reach this replica. */
  readonly advertise: URL;
  /** All replicas, or all but this one. */
  readonly urls: readonly URL[];
  readonly health: MemberHealth;
  /** What this replica says of itself when it is asked at its own address. */
  readonly instance: string;
}

/**
 * The members that the configuration lists, without those that are known to be down. Which of them is this
 * replica is known by its address, or by who answers there: it may be listed under another name.
 */
export class ConfiguredMembers implements Members {
  readonly #options: ConfiguredMembersOptions;
  readonly #advertised: Member;
  readonly all: readonly Member[];

  constructor(options: ConfiguredMembersOptions) {
    this.#options = options;
    this.#advertised = memberAt(options.advertise);
    this.all = options.urls.map(memberAt);
  }

  get self(): Member {
    const answering = this.all.find((member) => this.#isAnsweredHere(member));
    return answering ?? this.#advertised;
  }

  /** All but this one. */
  get others(): readonly Member[] {
    const { health, instance } = this.#options;
    const { self } = this;
    const others = this.all.filter((member) => member.id !== self.id);
    return distinctMembers(others, health, instance);
  }

  /**
   * The ids of all, this one included, for the others to compare with their own lists. `undefined` without a list,
   * and before it is known under which of these this replica is listed.
   */
  get list(): readonly string[] | undefined {
    const { health } = this.#options;
    const isKnown = this.all.every((member) => health.stateOf(member).kind !== "unknown");
    if (this.all.length === 0 || !isKnown) return undefined;
    return [...new Set([this.self, ...this.all].map(({ id }) => id))];
  }

  living(): readonly Member[] {
    const { health } = this.#options;
    return [this.self, ...this.others.filter((member) => health.isUp(member))];
  }

  /** Whether this replica itself is who answers at an address. */
  #isAnsweredHere(member: Member): boolean {
    const state = this.#options.health.stateOf(member);
    return state.kind === "alive" && state.greeting.instance === this.#options.instance;
  }
}

export function memberAt(url: URL): Member {
  return { id: url.origin, url };
}
