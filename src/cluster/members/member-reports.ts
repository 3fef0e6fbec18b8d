import type { ClusterProblems } from "../cluster-problems.ts";
import type { MemberStatus } from "../cluster-status.ts";
import type { Failure, Greeting, MemberHealth, MemberState, PingResult } from "./member-health.ts";
import type { Member } from "./members.ts";

const KINDS: readonly Failure["kind"][] = [
  "silent-member",
  "wrong-secret",
  "clock",
  "foreign-member",
  "member-certificate",
];

/** What this replica says of itself. */
export type OwnGreeting = Pick<Greeting, "version" | "members">;

/** Tells what is wrong with a member, and when it is over. */
export function reportMember(
  problems: Pick<ClusterProblems, "notice" | "over">,
  { id }: Member,
  state: PingResult,
  own: OwnGreeting,
): void {
  for (const kind of KINDS) if (kind !== state.kind) problems.over(kind, id);
  if (state.kind !== "alive") {
    problems.notice(state.kind, id, state.reason);
    return;
  }
  const { version, members } = state.greeting;
  if (areNeighbours(own.version, version)) problems.over("mixed-versions", id);
  else problems.notice("mixed-versions", id, `${version} beside ${own.version}`);
  const difference = members && own.members && differenceOf(own.members, members);
  if (difference === undefined) problems.over("members-differ", id);
  else problems.notice("members-differ", id, difference);
}

/** What a list of members has that another one lacks, or the other way round. */
function differenceOf(own: readonly string[], other: readonly string[]): string | undefined {
  const missing = own.filter((id) => !other.includes(id));
  const further = other.filter((id) => !own.includes(id));
  const parts = [
    ...(missing.length > 0 ? [`it lacks ${missing.join(", ")}`] : []),
    ...(further.length > 0 ? [`only it has ${further.join(", ")}`] : []),
  ];
  return parts.length > 0 ? parts.join(", and ") : undefined;
}

/** Nothing is wrong with what is no member any more. */
export function forgetMember(problems: Pick<ClusterProblems, "over">, { id }: Member): void {
  for (const kind of [...KINDS, "mixed-versions", "members-differ"] as const)
    problems.over(kind, id);
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
      ...standingOf(state),
      ...(seenAt === undefined ? {} : { seenAt }),
    });
  }
  return statuses;
}

function standingOf(state: MemberState): Pick<MemberStatus, "state" | "problem" | "version"> {
  switch (state.kind) {
    case "alive":
      return { state: "living", version: state.greeting.version };
    case "unknown":
    case "silent-member":
      return { state: "silent" };
    default:
      return { state: "unusable", problem: state.kind };
  }
}

/** Whether two versions differ in the last number alone, or by one in the number before it. */
function areNeighbours(one: string, other: string): boolean {
  const [left, right] = [one, other].map((text) => text.split(".").map(Number));
  const [leftMajor = 0, leftMinor = 0] = left ?? [];
  const [rightMajor = 0, rightMinor = 0] = right ?? [];
  return leftMajor === rightMajor && Math.abs(leftMinor - rightMinor) <= 1;
}
