import { expect, test } from "bun:test";
import { memberAt } from "./configured-members.ts";
import type { PingResult } from "./member-health.ts";
import { reportMember } from "./member-reports.ts";

const MEMBER = memberAt(new URL("http://10.0.0.8:5002"));

/** What is wrong with the member after it was met as each of these. */
function wrongAfter(...states: PingResult[]): string[] {
  const current = new Map<string, string>();
  const problems = {
    notice: (kind: string, subject: string, detail: string) =>
      void current.set(kind, `${subject}: ${detail}`),
    over: (kind: string) => void current.delete(kind),
  };
  for (const state of states) reportMember(problems, MEMBER, state, "1.4.2");
  return [...current].map((entry) => entry.join(" "));
}

const alive = (version: string): PingResult => ({
  kind: "alive",
  greeting: { instance: "one", version },
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
