import { describe, expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { memberAt } from "./configured-members.ts";
import { MemberHealth, type PingResult } from "./member-health.ts";

const MEMBER = memberAt(new URL("http://10.0.0.8:5002"));
const SILENT = { kind: "silent-member", reason: "ECONNREFUSED" } as const;
const ALIVE: PingResult = { kind: "alive", greeting: { instance: "one", version: "1.2.3" } };

/** A member that answers pings like this, and what was told of it. */
function world(pauses = { first: 1, longest: 2, settled: 3_600_000, check: 3_600_000 }) {
  const told: string[] = [];
  let result: PingResult = ALIVE;
  let pings = 0;
  const health = new MemberHealth({
    ping: async () => {
      pings += 1;
      return result;
    },
    onChange: (_, state) => told.push(state.kind),
    onForgotten: ({ id }) => told.push(`forgot ${id}`),
    pauses,
  });
  return {
    health,
    told,
    answers: (next: PingResult) => void (result = next),
    get pings() {
      return pings;
    },
  };
}

describe("a member", () => {
  test("may be asked until something is known against it", () => {
    const { health } = world();
    expect(health.isUp(MEMBER)).toBe(true);
    health.failed(MEMBER, SILENT);
    expect(health.isUp(MEMBER)).toBe(false);
    health[Symbol.dispose]();
  });

  test("that has failed is asked again once it answers a ping, and each change is told once", async () => {
    const here = world();
    const { health, told } = here;
    here.answers(SILENT);
    health.failed(MEMBER, SILENT);
    health.failed(MEMBER, SILENT);
    await until(() => here.pings > 3, { what: "pings of one that is down" });
    here.answers(ALIVE);
    await until(() => health.isUp(MEMBER), { what: "the member to be up" });
    expect(told).toEqual(["silent-member", "alive"]);
    expect(health.seenAt(MEMBER)).toBeDefined();
    health[Symbol.dispose]();
  });

  test("is pinged once for all that ask at once", async () => {
    const here = world();
    const asked = Array.from({ length: 100 }, () => here.health.isAlive(MEMBER));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]));
    expect(here.pings).toBe(1);
    here.health[Symbol.dispose]();
  });

  test("that asks something is alive: one that was thought dead is pinged at once", async () => {
    const here = world({
      first: 3_600_000,
      longest: 3_600_000,
      settled: 3_600_000,
      check: 3_600_000,
    });
    const { health } = here;
    health.failed(MEMBER, SILENT);
    health.heard(MEMBER.id);
    await until(() => health.isUp(MEMBER), { what: "the member to be up" });
    health.heard(MEMBER.id);
    health.heard("http://10.0.0.9:5002");
    expect(here.pings).toBe(1);
    health[Symbol.dispose]();
  });

  test("that is no member any more is forgotten, also if a ping of it is still under way", async () => {
    const here = world();
    const { health, told } = here;
    health.failed(MEMBER, SILENT);
    const alive = health.isAlive(MEMBER);
    health.keepOnly([]);
    expect(await alive).toBe(true);
    expect(told).toEqual(["silent-member", `forgot ${MEMBER.id}`]);
    expect(health.stateOf(MEMBER)).toEqual({ kind: "unknown" });
    health[Symbol.dispose]();
  });
});
