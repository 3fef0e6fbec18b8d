import { expect, test } from "bun:test";
import { rejectReason } from "./admin-guard.ts";

const token = "a-token-of-some-length";
type Headers = Record<string, string>;

const cases: [what: string, headers: Headers, withToken: boolean, status: number | undefined][] = [
  ["its own name", { host: "127.0.0.1:5001" }, false, undefined],
  ["localhost", { host: "localhost:5001" }, false, undefined],
  ["IPv6's loopback", { host: "[::1]:5001" }, false, undefined],
  ["a name that leads here (DNS rebinding)", { host: "evil.example:5001" }, false, 421],
  ["another address", { host: "10.0.0.1:5001" }, false, 421],
  ["no name", {}, false, 421],
  [
    "a page of its own",
    { host: "localhost:5001", origin: "http://localhost:5001" },
    false,
    undefined,
  ],
  [
    "a page of another origin",
    { host: "localhost:5001", origin: "http://evil.example" },
    false,
    403,
  ],
  ["a page without origin", { host: "localhost:5001", origin: "null" }, false, 403],
  ["another site", { host: "localhost:5001", "sec-fetch-site": "cross-site" }, false, 403],
  ["no token", { host: "cache.example:5001" }, true, 401],
  ["another token", { host: "cache.example:5001", authorization: "Bearer nope" }, true, 401],
  ["a longer token", { host: "cache.example", authorization: `Bearer ${token}x` }, true, 401],
  [
    "the token as a password",
    { host: "cache.example", authorization: `Basic ${token}` },
    true,
    401,
  ],
  ["the token", { host: "cache.example:5001", authorization: `Bearer ${token}` }, true, undefined],
  [
    "the token from a page elsewhere",
    { host: "cache.example", authorization: `Bearer ${token}`, origin: "http://evil.example" },
    true,
    403,
  ],
];

test.each(cases)("a request with %s", (_, headers, withToken, status) => {
  const request = new Request("http://localhost:5001/api/v1/storage", { headers });
  const found = rejectReason(request, { host: "127.0.0.1", ...(withToken ? { token } : {}) });
  expect(found?.status).toBe(status);
});
