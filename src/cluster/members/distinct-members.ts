import type { MemberHealth } from "./member-health.ts";
import type { Member } from "./members.ts";

/**
 * Each replica once, by the first of the names under which it answers: it may be listed under several, and may
 * advertise another one.
 *
 * @param own the instance of this replica, to leave it out
 */
export function distinctMembers(
  members: readonly Member[],
  health: Pick<MemberHealth, "stateOf">,
  own?: string,
): readonly Member[] {
  const met = new Set(own === undefined ? [] : [own]);
  return members.filter((member) => {
    const state = health.stateOf(member);
    if (state.kind !== "alive") return true;
    const { instance } = state.greeting;
    if (met.has(instance)) return false;
    met.add(instance);
    return true;
  });
}
