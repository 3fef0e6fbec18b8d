import { describe, expect, test } from "bun:test";
import {
  BYPASS,
  type CacheStatus,
  COLLAPSED,
  FORWARDED,
  HIT,
  MISS,
  REPLACED,
  REVALIDATED,
  staleAfter,
  UNSTORED,
} from "../../cache/cache-status.ts";
import { Fault, type FaultDetail } from "../../oci/fault.ts";
import { cacheStatusHeaders } from "./headers.ts";

const upstream = "reg.test";

function after(detail: FaultDetail): CacheStatus {
  return staleAfter(new Fault(detail));
}

/** The texts in quotation marks are those of the IANA registry of RFC 9211. */
const cases: [situation: string, status: CacheStatus, value: string, because: string][] = [
  [
    "a fresh response",
    HIT,
    "entrepot; hit",
    `hit: "the request was satisfied by the cache; that is, it was not forwarded, and the response was obtained from the cache"`,
  ],
  [
    "a response that was fetched",
    MISS,
    "entrepot; fwd=miss; stored",
    `fwd: "the request went forward towards the origin; its value indicates why"; stored: "whether the cache stored the response"`,
  ],
  [
    "a HEAD request that the upstream answered",
    FORWARDED,
    "entrepot; fwd=miss",
    `without stored: "a true value indicates that it did", and nothing was stored`,
  ],
  [
    "a response that could not be stored",
    UNSTORED,
    "entrepot; fwd=miss; detail=unstored",
    `without stored, as above; detail: "additional information not captured in other parameters"`,
  ],
  [
    "a request that shared the fetch of another",
    COLLAPSED,
    "entrepot; fwd=miss; collapsed",
    `collapsed: "whether this request was collapsed together with one or more other forward requests"`,
  ],
  [
    "a repository that bypasses the cache",
    BYPASS,
    "entrepot; fwd=bypass",
    `fwd=bypass: the cache was configured to not handle this request`,
  ],
  [
    "a stale response that the upstream confirmed",
    REVALIDATED,
    "entrepot; fwd=stale; fwd-status=200; detail=revalidated",
    `no hit, which "was not forwarded"; fwd-status: "which status code the next-hop server returned in response to the forwarded request", here to a HEAD`,
  ],
  [
    "a stale response that the upstream's new one replaced",
    REPLACED,
    "entrepot; fwd=stale; fwd-status=200; stored",
    `fwd=stale: the cache had a response for the request, but it was stale`,
  ],
  [
    "a stale response for which the upstream was not asked",
    { result: "stale", reason: "it is not asked yet" },
    "entrepot; hit; detail=stale",
    `hit: the request "was not forwarded"`,
  ],
  [
    "a stale response after an error of the upstream",
    after({ kind: "upstream-failed", upstream, status: 502 }),
    "entrepot; fwd=stale; fwd-status=502; detail=stale",
    `fwd-status: "which status code the next-hop server returned"`,
  ],
  [
    "a stale response after a denial",
    after({ kind: "upstream-denied", upstream, name: "app", status: 401 }),
    "entrepot; fwd=stale; fwd-status=401; detail=stale",
    `fwd-status: "which status code the next-hop server returned"`,
  ],
  [
    "a stale response after a rate limit",
    after({ kind: "upstream-rate-limited", upstream, retryAfter: 40 }),
    "entrepot; fwd=stale; fwd-status=429; detail=stale",
    `fwd-status: "which status code the next-hop server returned"`,
  ],
  [
    "a stale response after a request without a response",
    after({ kind: "upstream-unreachable", upstream, reason: "the connection was reset" }),
    "entrepot; fwd=stale; detail=stale",
    `without fwd-status: there was no status code`,
  ],
  [
    "a stale response after a request that found no free connection",
    after({ kind: "overloaded", upstream }),
    "entrepot; hit; detail=stale",
    `hit: the request "was not forwarded"`,
  ],
];

describe("Cache-Status (RFC 9211) of", () => {
  test.each(cases)("%s", (_, status, value) => {
    expect(cacheStatusHeaders(upstream, status)["cache-status"]).toBe(value);
  });

  test("any response has hit or fwd, never both", () => {
    for (const [, status] of cases) {
      const value = cacheStatusHeaders(upstream, status)["cache-status"] ?? "";
      expect([value, /; hit\b/.test(value)]).toEqual([value, !/; fwd=/.test(value)]);
    }
  });
});

test("only a stale response has a Warning, with the reason as ASCII in a quoted string", () => {
  for (const [, status] of cases) {
    const { warning } = cacheStatusHeaders(upstream, status);
    expect([status.result, warning !== undefined]).toEqual([
      status.result,
      status.result === "stale",
    ]);
  }
  const reason = 'it sent "é"';
  expect(cacheStatusHeaders(upstream, { result: "stale", reason })["warning"]).toBe(
    `299 - "Response is stale: it sent '?'"`,
  );
});
