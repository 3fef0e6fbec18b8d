import { expect, test } from "bun:test";
import type { Status } from "../status-schema.ts";
import { upstreamProblems } from "./upstream-problems.ts";

const NOW = 1_800_000_000_000;

function failing(secondsAgo: number): Status["upstreams"][number] {
  const at = NOW - secondsAgo * 1000;
  const failure = {
    circuit: "open",
    reason: "it does not respond",
    lastError: { message: "", at },
  } as const;
  return {
    name: "reg.test",
    state: "unavailable",
    addresses: [
      { url: "https://mirror.test/", isMirror: true, ...failure },
      { url: "https://reg.test/", isMirror: false, ...failure },
    ],
    credentials: { state: "none" },
    traffic: { responses: 0, fromCache: 0, sentBytes: 0, fetchedBytes: 0, savedBytes: 0 },
  };
}

test("a failing address is a problem until its last failure is 15 minutes old", () => {
  const problems = [
    "reg.test is unavailable: it does not respond",
    "the mirror https://mirror.test/ of reg.test is unavailable: it does not respond",
  ];
  expect(upstreamProblems(failing(899), NOW)).toEqual(problems);
  expect(upstreamProblems(failing(901), NOW)).toEqual([]);
});

test("a problem names the failing one of several addresses", () => {
  const [mirror, own] = failing(10).addresses;
  const addresses = [mirror ?? [], own ? { ...own, circuit: "closed" as const } : []].flat();
  expect(upstreamProblems({ ...failing(10), state: "ok", addresses }, NOW)).toEqual([
    "the mirror https://mirror.test/ of reg.test is unavailable: it does not respond",
  ]);
});
