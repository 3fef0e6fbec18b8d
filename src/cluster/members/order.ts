import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Member } from "./members.ts";

/** The members before one in an order, and those after it, both in that order. */
export interface Neighbours {
  readonly ahead: readonly Member[];
  readonly behind: readonly Member[];
}

/**
 * The order in which members are asked for a blob of an upstream: rendezvous hashing, the highest hash first.
 * Without a member, the order of the others stays: only what that one was first for goes to others.
 *
 * All versions of this cache have to hash alike, so this is xxHash64, whose values are specified.
 */
export function rendezvousOrder(
  members: readonly Member[],
  upstream: UpstreamName,
  digest: Digest,
): readonly Member[] {
  return members
    .map((member) => ({ member, hash: Bun.hash.xxHash64(`${member.id}\n${upstream}\n${digest}`) }))
    .toSorted((one, other) => {
      if (one.hash !== other.hash) return one.hash > other.hash ? -1 : 1;
      return one.member.id < other.member.id ? -1 : 1;
    })
    .map(({ member }) => member);
}

/** The other members, by where they stand in an order. One that is not listed comes after all others. */
export function neighboursOf({ id }: Member, order: readonly Member[]): Neighbours {
  const at = order.findIndex((member) => member.id === id);
  return at < 0
    ? { ahead: order, behind: [] }
    : { ahead: order.slice(0, at), behind: order.slice(at + 1) };
}
