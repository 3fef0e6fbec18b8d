import type { ClusterProblems } from "../cluster-problems.ts";
import { MemberHealth, type MemberHealthOptions } from "./member-health.ts";
import { forgetMember, type OwnGreeting, reportMember } from "./member-reports.ts";
import type { Member } from "./members.ts";
import type { Twins } from "./twins.ts";

export interface OpenHealthOptions {
  readonly ping: MemberHealthOptions["ping"];
  readonly problems: ClusterProblems;
  readonly twins: Twins;
  /** This replica, at the moment: as it is believed to be known, and as its configuration says. */
  readonly self: () => Member;
  readonly configuredSelf: () => Member;
  readonly instance: string;
  readonly own: () => OwnGreeting;
  /** Whether a member may have said goodbye: that it does not answer then is no problem. */
  readonly hasGone: (member: Member) => boolean;
}

/** Looks at the members, and tells what is wrong with them. */
export function openHealth(options: OpenHealthOptions): MemberHealth {
  const { ping, problems, twins, self, configuredSelf, instance, own, hasGone } = options;
  return new MemberHealth({
    async ping(member, signal) {
      const { id } = self();
      const result = await ping(member, signal);
      const isOther = result.kind === "alive" && result.greeting.instance !== instance;
      if (isOther && member.id === id) twins.met(id, "another replica answers at this address");
      return result;
    },
    onChange(member, state) {
      if (state.kind === "silent-member" && hasGone(member)) forgetMember(problems, member);
      else if (member.id !== configuredSelf().id) reportMember(problems, member, state, own());
      // That this replica cannot reach itself says nothing of whether others do.
      else if (state.kind === "alive") forgetMember(problems, member);
    },
    onForgotten: (member) => forgetMember(problems, member),
  });
}
