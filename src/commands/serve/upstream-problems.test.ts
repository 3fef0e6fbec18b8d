import { expect, test } from "bun:test";
import type { Status } from "../status-schema.ts";
import { upstreamProblems } from "./upstream-problems.ts";

const NOW = 1_800_000_000_000;

function failing(secondsAgo: number): Status["upstreams"][number] {
  const at = NOW - secondsAgo * 1000;
  const failure = {
    circuit: "open",
    reason: "it is away",
    lastError: { message: "", at },
  } as const;
  return {
    name: "reg.test",
    state: "out",
    addresses: [
      { url: "https://mirror.test/", isMirror: true, ...failure },
      { url: "https://reg.test/", isMirror: false, ...failure },
    ],
    credentials: { state: "none" },
    traffic: { answers: 0, fromHere: 0, sentBytes: 0, fetchedBytes: 0, savedBytes: 0 },
  };
}

test("an upstream that fails is a problem, until it has long not been asked", () => {
  const problems = [
    "reg.test is out: it is away",
    "the mirror https://mirror.test/ of reg.test is not asked: it is away",
  ];
  expect(upstreamProblems(failing(899), NOW)).toEqual(problems);
  expect(upstreamProblems(failing(901), NOW)).toEqual([]);
});

test("of several addresses, the one that fails is named", () => {
  const [mirror, own] = failing(10).addresses;
  const addresses = [mirror ?? [], own ? { ...own, circuit: "closed" as const } : []].flat();
  expect(upstreamProblems({ ...failing(10), state: "ok", addresses }, NOW)).toEqual([
    "the mirror https://mirror.test/ of reg.test is not asked: it is away",
  ]);
});
