import { expect, test } from "bun:test";
import { rejectReason } from "./admin-guard.ts";

const token = "a-token-of-some-length";
type Headers = Record<string, string>;

type Case = [request: string, headers: Headers, withToken: boolean, status: number | undefined];

const cases: Case[] = [
  ["the address of the port", { host: "127.0.0.1:5001" }, false, undefined],
  ["localhost", { host: "localhost:5001" }, false, undefined],
  ["the loopback address of IPv6", { host: "[::1]:5001" }, false, undefined],
  [
    "a name that resolves to this machine (DNS rebinding)",
    { host: "evil.example:5001" },
    false,
    421,
  ],
  ["another address", { host: "10.0.0.1:5001" }, false, 421],
  ["no Host header", {}, false, 421],
  [
    "the port's own origin",
    { host: "localhost:5001", origin: "http://localhost:5001" },
    false,
    undefined,
  ],
  ["another origin", { host: "localhost:5001", origin: "http://evil.example" }, false, 403],
  ["the origin null", { host: "localhost:5001", origin: "null" }, false, 403],
  [
    "Sec-Fetch-Site: cross-site",
    { host: "localhost:5001", "sec-fetch-site": "cross-site" },
    false,
    403,
  ],
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
    "the token and another origin",
    { host: "cache.example", authorization: `Bearer ${token}`, origin: "http://evil.example" },
    true,
    403,
  ],
];

for (const [request, headers, withToken, status] of cases) {
  const port = withToken ? "to a port with a token" : "to a loopback port";
  const outcome = status === undefined ? "is allowed" : `is refused with ${status}`;
  test(`a request ${port} with ${request} ${outcome}`, () => {
    const sent = new Request("http://localhost:5001/api/v1/storage", { headers });
    const rejection = rejectReason(sent, { host: "127.0.0.1", ...(withToken ? { token } : {}) });
    expect(rejection?.status).toBe(status);
  });
}
