import { expect, test } from "bun:test";
import type { Status } from "../../api/status.ts";
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
    rate: { used: 0 },
    credentials: { state: "none" },
    access: { mode: "open", entries: 0 },
    prefetch: { state: "on", downloaded: 0, asked: 0 },
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

test("a request that was not answered is a problem, although the circuit is closed", () => {
  const failure = { message: "reg.test returned 500", at: NOW };
  const addresses = failing(10).addresses.map(({ url, isMirror }) => ({
    url,
    isMirror,
    circuit: "closed" as const,
    failure,
  }));
  expect(upstreamProblems({ ...failing(10), state: "ok", addresses }, NOW)).toEqual([
    "the last request to the mirror https://mirror.test/ of reg.test failed: reg.test returned 500",
    "the last request to reg.test failed: reg.test returned 500",
  ]);
});

test("a problem names the failing one of several addresses", () => {
  const [mirror, own] = failing(10).addresses;
  const addresses = [mirror ?? [], own ? { ...own, circuit: "closed" as const } : []].flat();
  expect(upstreamProblems({ ...failing(10), state: "ok", addresses }, NOW)).toEqual([
    "the mirror https://mirror.test/ of reg.test is unavailable: it does not respond",
  ]);
});
