import { expect, test } from "bun:test";
import { AdminAccess } from "./admin-access.ts";
import { AdminGuard } from "./admin-guard.ts";
import { Login } from "./login.ts";

const token = "a-token-of-some-length";
const ORIGIN = "http://cache.example:5001";

function setUp(hasToken = true) {
  const access = new AdminAccess(hasToken ? { admin: [token], read: [] } : undefined);
  const guard = new AdminGuard({ access, host: "0.0.0.0", isSecure: false });
  const login = new Login({ access, guard, isSecure: false });
  const headers = { host: "cache.example:5001", origin: ORIGIN };
  const post = (fields: Record<string, string>, more: Record<string, string> = {}) =>
    login.begin(
      new Request(`${ORIGIN}/login`, {
        method: "POST",
        headers: { ...headers, ...more },
        body: new URLSearchParams(fields),
      }),
      "10.0.0.9",
    );
  const cookieOf = (response: Response) => response.headers.get("set-cookie")?.split(";")[0] ?? "";
  const rightOf = (cookie: string) =>
    guard.sessionRight(new Request(ORIGIN, { headers: { cookie } }));
  return { login, post, cookieOf, rightOf, headers };
}

test("the token opens a session, and logging out ends it", async () => {
  const { login, post, cookieOf, rightOf, headers } = setUp();
  const response = await post({ token: ` ${token}\n`, to: "/images?q=1" });
  expect([response.status, response.headers.get("location")]).toEqual([303, "/images?q=1"]);
  const cookie = cookieOf(response);
  expect(rightOf(cookie)).toBe("admin");
  const out = login.end(
    new Request(`${ORIGIN}/logout`, { method: "POST", headers: { ...headers, cookie } }),
  );
  expect([out.status, out.headers.get("location"), cookieOf(out)]).toEqual([
    303,
    "/login",
    "entrepot-session-5001=",
  ]);
  expect(rightOf(cookie)).toBeUndefined();
});

test("a second login of a browser ends the session of the first", async () => {
  const { post, cookieOf, rightOf } = setUp();
  const first = cookieOf(await post({ token }));
  const second = cookieOf(await post({ token }, { cookie: first }));
  expect([rightOf(first), rightOf(second)]).toEqual([undefined, "admin"]);
});

test.each([
  [{}, {}, 400, "Enter a token."],
  [{ token: "x".repeat(40_000) }, {}, 400, "Enter a token."],
  [{ token: "nope" }, {}, 401, "This token is not accepted."],
  [{ token }, { "content-type": "text/plain" }, 400, "Enter a token."],
])("the form comes again for %j with %j", async (fields, headers, status, text) => {
  const response = await setUp().post(fields, headers);
  expect([response.status, response.headers.get("set-cookie")]).toEqual([status, null]);
  expect(await response.text()).toContain(text);
});

test.each([
  [{ origin: "http://evil.example" }, 403],
  [{ origin: "null" }, 403],
  [{ "sec-fetch-site": "cross-site" }, 403],
])("nobody is logged in by a page of another origin: %j", async (headers, status) => {
  const response = await setUp().post({ token }, headers);
  expect([response.status, response.headers.get("set-cookie")]).toEqual([status, null]);
});

test.each([
  ["https://evil.example/", "/"],
  ["//evil.example/", "/"],
  ["/\\evil.example/", "/"],
  ["/.//evil.example/", "/"],
  ["javascript:alert(1)", "/"],
  ["/images#a", "/images"],
  ["/a\r\nset-cookie: a=b", "/aset-cookie:%20a=b"],
])("after the login, %j leads to %s", async (to, location) => {
  const response = await setUp().post({ token, to });
  expect(response.headers.get("location")).toBe(location);
});

test("the form shows where it leads as text, and only to those who have to log in", async () => {
  const { login, post, cookieOf } = setUp();
  const get = (at: Login, headers: Record<string, string> = {}) =>
    at.form(new Request(`${ORIGIN}/login?to=/a%22%3E%3Cscript%3E`, { headers }));
  const form = get(login);
  expect([form.status, await form.text()]).toEqual([
    200,
    expect.stringContaining('name="to" value="/a%22%3E%3Cscript%3E"'),
  ]);
  expect(form.headers.get("content-security-policy")).not.toContain("unsafe");
  expect(get(login, { cookie: cookieOf(await post({ token })) }).status).toBe(303);
  expect(get(setUp(false).login).headers.get("location")).toBe("/a%22%3E%3Cscript%3E");
});
