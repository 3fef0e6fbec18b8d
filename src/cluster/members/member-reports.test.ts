import { expect, test } from "bun:test";
import { memberAt } from "./configured-members.ts";
import type { PingResult } from "./member-health.ts";
import { reportMember } from "./member-reports.ts";

const MEMBER = memberAt(new URL("http://10.0.0.8:5002"));

const OWN = { version: "1.4.2", members: ["http://a:1", "http://b:1"] };

/** What is wrong with the member after it was met as each of these. */
function wrongAfter(...states: PingResult[]): string[] {
  const current = new Map<string, string>();
  const problems = {
    notice: (kind: string, subject: string, detail: string) =>
      void current.set(kind, `${subject}: ${detail}`),
    over: (kind: string) => void current.delete(kind),
  };
  for (const state of states) reportMember(problems, MEMBER, state, OWN);
  return [...current].map((entry) => entry.join(" "));
}

const alive = (version: string, members?: string[]): PingResult => ({
  kind: "alive",
  greeting: { instance: "one", version, ...(members ? { members } : {}) },
});

test.each(["1.4.2", "1.4.0", "1.3.9", "1.5.0"])(
  "a neighbouring version, %s, is fine",
  (version) => {
    expect(wrongAfter(alive(version))).toEqual([]);
  },
);

test.each(["1.2.0", "1.6.0", "2.4.2", "unknown"])(
  "the version %s is not next to this one",
  (version) => {
    expect(wrongAfter(alive(version))).toEqual([
      `mixed-versions http://10.0.0.8:5002: ${version} beside 1.4.2`,
    ]);
  },
);

test("of a member, only the newest is told, and nothing once it is well", () => {
  const silent = { kind: "silent-member", reason: "ECONNREFUSED" } as const;
  const refusing = { kind: "wrong-secret", reason: "401" } as const;
  expect(wrongAfter(silent, refusing)).toEqual(["wrong-secret http://10.0.0.8:5002: 401"]);
  expect(wrongAfter(silent, refusing, alive("1.4.2"))).toEqual([]);
});

test("a list of members that differs is told with what differs, until it is the same", () => {
  const wrong = alive("1.4.2", ["http://b:1", "http://c:1"]);
  expect(wrongAfter(wrong)).toEqual([
    "members-differ http://10.0.0.8:5002: it lacks http://a:1, and only it has http://c:1",
  ]);
  expect(wrongAfter(wrong, alive("1.4.2", OWN.members.toReversed()))).toEqual([]);
  expect(wrongAfter(wrong, alive("1.4.2"))).toEqual([]);
});
