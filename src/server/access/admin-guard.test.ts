import { expect, test } from "bun:test";
import type { Right } from "./access-tokens.ts";
import { AdminAccess } from "./admin-access.ts";
import { AdminGuard } from "./admin-guard.ts";
import { sessionCookie } from "./session-cookie.ts";

const token = "a-token-of-some-length";
const readToken = "a-token-that-only-reads";
type Headers = Record<string, string>;

const ORIGIN = "http://localhost:5001";

function guarded(hasTokens: boolean) {
  const access = new AdminAccess(hasTokens ? { admin: [token], read: [readToken] } : undefined);
  const guard = new AdminGuard({ access, host: "127.0.0.1", isSecure: false });
  const cookieOf = (sent: string): string => {
    const accepted = access.tokens.find(sent);
    if (!accepted) throw new Error("the token is not accepted");
    const cookie = sessionCookie(
      new Request(ORIGIN),
      false,
      access.sessions.open(accepted.fingerprint),
    );
    return cookie.split(";")[0] ?? "";
  };
  return { access, guard, cookieOf };
}

type Case = [request: string, headers: Headers, withToken: boolean, expected: Right | number];

const cases: Case[] = [
  ["the address of the port", { host: "127.0.0.1:5001" }, false, "admin"],
  ["localhost", { host: "localhost:5001" }, false, "admin"],
  ["the loopback address of IPv6", { host: "[::1]:5001" }, false, "admin"],
  [
    "a name that resolves to this machine (DNS rebinding)",
    { host: "evil.example:5001" },
    false,
    421,
  ],
  ["another address", { host: "10.0.0.1:5001" }, false, 421],
  ["no Host header", {}, false, 421],
  ["the port's own origin", { host: "localhost:5001", origin: ORIGIN }, false, "admin"],
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
  ["the token", { host: "cache.example:5001", authorization: `Bearer ${token}` }, true, "admin"],
  [
    "the token that only reads",
    { host: "cache.example:5001", authorization: `bearer  ${readToken}` },
    true,
    "read",
  ],
  [
    "the token and another origin",
    { host: "cache.example", authorization: `Bearer ${token}`, origin: "http://evil.example" },
    true,
    403,
  ],
];

for (const [request, headers, withToken, expected] of cases) {
  const port = withToken ? "to a port with a token" : "to a loopback port";
  const outcome = typeof expected === "number" ? "is refused with" : "may";
  test(`a request ${port} with ${request} ${outcome} ${expected}`, async () => {
    const sent = new Request(`${ORIGIN}/api/v1/storage`, { headers });
    const admitted = await guarded(withToken).guard.admit(sent, "10.0.0.9");
    expect(admitted instanceof Response ? admitted.status : admitted).toBe(expected);
  });
}

const changes: [what: string, method: string, headers: Headers, expected: Right | number][] = [
  ["reads", "GET", {}, "admin"],
  ["changes something from the page", "POST", { origin: ORIGIN }, "admin"],
  ["changes something, and says nothing of its origin", "POST", {}, 403],
  ["comes from another port of the host", "POST", { origin: "http://localhost:8080" }, 403],
  ["is said to come from the same site only", "DELETE", { "sec-fetch-site": "same-site" }, 403],
  ["is said to come from the page", "DELETE", { "sec-fetch-site": "same-origin" }, "admin"],
  ["comes from another site", "GET", { "sec-fetch-site": "cross-site" }, 403],
];

for (const [what, method, headers, expected] of changes) {
  test(`a request of a session that ${what} gets ${expected}`, async () => {
    const { guard, cookieOf } = guarded(true);
    const all = { host: "localhost:5001", cookie: `a=b; ${cookieOf(token)}`, ...headers };
    const sent = new Request(`${ORIGIN}/api/v1/gc`, { method, headers: all });
    const admitted = await guard.admit(sent, "10.0.0.9");
    expect(admitted instanceof Response ? admitted.status : admitted).toBe(expected);
  });
}

test("a session allows what its token allows now, and ends with it", async () => {
  const { access, guard, cookieOf } = guarded(true);
  const headers = { host: "localhost:5001", cookie: cookieOf(token) };
  const right = (): unknown => guard.sessionRight(new Request(ORIGIN, { headers }));
  expect(right()).toBe("admin");
  access.configure({ admin: ["a-new-admin-token"], read: [token] });
  expect(right()).toBe("read");
  access.configure({ admin: ["a-new-admin-token"], read: [] });
  expect(right()).toBeUndefined();
  // It has ended: that the token is accepted again does not bring it back.
  access.configure({ admin: [token], read: [] });
  expect(right()).toBeUndefined();
});

const LINK = {
  "sec-fetch-site": "cross-site",
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": "document",
};

test("a link of another site opens the page, which asks for the session itself", async () => {
  const { guard } = guarded(true);
  const page = (headers: Headers): Promise<unknown> =>
    guard.admitPage(
      new Request(`${ORIGIN}/images?q=a%20b`, { headers: { host: "localhost:5001", ...headers } }),
      "10.0.0.9",
    );
  const reloading = await page(LINK);
  if (!(reloading instanceof Response)) throw new Error("nobody is logged in");
  expect([reloading.status, await reloading.text()]).toEqual([
    200,
    expect.stringContaining('http-equiv="refresh" content="0"'),
  ]);
  const login = await page({ "sec-fetch-site": "same-origin" });
  if (!(login instanceof Response)) throw new Error("nobody is logged in");
  expect([login.status, login.headers.get("location")]).toEqual([
    303,
    "/login?to=%2Fimages%3Fq%3Da%2520b",
  ]);
  // In a frame, or by a script, it stays closed.
  const frame = await page({ ...LINK, "sec-fetch-dest": "iframe" });
  expect(frame instanceof Response && frame.status).toBe(403);
  // No link leads to another name of a port without tokens.
  const rebound = await guarded(false).guard.admitPage(
    new Request(ORIGIN, { headers: { host: "evil.example", ...LINK } }),
    "127.0.0.1",
  );
  expect(rebound instanceof Response && rebound.status).toBe(421);
});
