import type { ClusterProblems } from "../cluster-problems.ts";
import type { MemberStatus } from "../cluster-status.ts";
import type { Failure, MemberHealth, PingResult } from "./member-health.ts";
import type { Member } from "./members.ts";

const KINDS: readonly Failure["kind"][] = [
  "silent-member",
  "wrong-secret",
  "clock",
  "foreign-member",
  "member-certificate",
];

/** Tells what is wrong with a member, and when it is over. */
export function reportMember(
  problems: Pick<ClusterProblems, "notice" | "over">,
  { id }: Member,
  state: PingResult,
  version: string,
): void {
  for (const kind of KINDS) if (kind !== state.kind) problems.over(kind, id);
  if (state.kind !== "alive") {
    problems.notice(state.kind, id, state.reason);
    return;
  }
  const other = state.greeting.version;
  if (areNeighbours(version, other)) problems.over("mixed-versions", id);
  else problems.notice("mixed-versions", id, `${other} beside ${version}`);
}

/** Nothing is wrong with what is no member any more. */
export function forgetMember(problems: Pick<ClusterProblems, "over">, { id }: Member): void {
  for (const kind of [...KINDS, "mixed-versions"] as const) problems.over(kind, id);
}

/** The members as this replica sees them. */
export function memberStatuses(
  self: Member,
  known: readonly Member[],
  { health, version }: { readonly health: MemberHealth; readonly version: string },
): readonly MemberStatus[] {
  const statuses: MemberStatus[] = [{ id: self.id, state: "this", version }];
  for (const member of known) {
    if (member.id === self.id) continue;
    const state = health.stateOf(member);
    const seenAt = health.seenAt(member);
    statuses.push({
      id: member.id,
      state: state.kind === "alive" ? "living" : "silent",
      ...(state.kind === "alive" ? { version: state.greeting.version } : {}),
      ...(seenAt === undefined ? {} : { seenAt }),
    });
  }
  return statuses;
}

/** Whether two versions differ in the last number alone, or by one in the number before it. */
function areNeighbours(one: string, other: string): boolean {
  const [left, right] = [one, other].map((text) => text.split(".").map(Number));
  const [leftMajor = 0, leftMinor = 0] = left ?? [];
  const [rightMajor = 0, rightMinor = 0] = right ?? [];
  return leftMajor === rightMajor && Math.abs(leftMinor - rightMinor) <= 1;
}
