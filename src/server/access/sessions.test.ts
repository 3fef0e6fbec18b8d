import { expect, test } from "bun:test";
import { sessionCookie, sessionIds } from "./session-cookie.ts";
import { SESSION_MS, Sessions } from "./sessions.ts";

test("a session ends after twelve hours, however much it is used", () => {
  let now = 0;
  const sessions = new Sessions(() => now);
  const id = sessions.open("token");
  now = SESSION_MS - 1;
  expect(sessions.tokenOf(id)).toBe("token");
  now = SESSION_MS;
  expect(sessions.tokenOf(id)).toBeUndefined();
});

test("the number of sessions is bounded: the one that was used least recently ends", () => {
  const sessions = new Sessions();
  const [first, second] = [sessions.open("token"), sessions.open("token")];
  sessions.tokenOf(first);
  for (let count = 0; count < 999; count += 1) sessions.open("token");
  expect([sessions.tokenOf(first), sessions.tokenOf(second)]).toEqual(["token", undefined]);
});

const request = (url: string, headers: Record<string, string> = {}) =>
  new Request(url, { headers });

test.each([
  [
    request("http://h:5001/login"),
    false,
    "entrepot-session-5001=id; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict",
  ],
  [
    request("https://h:5001/login"),
    true,
    "__Host-entrepot-session-5001=id; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure",
  ],
  // A proxy in front of the port speaks TLS.
  [
    request("http://h/login", { origin: "https://h" }),
    false,
    "__Host-entrepot-session=id; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure",
  ],
])("the cookie of %j", (sent, isSecure, expected) => {
  expect(sessionCookie(sent, isSecure, "id")).toBe(expected);
});

test("a cookie is read by its name, and over TLS only as it was set over TLS", () => {
  const cookie =
    "a=1; entrepot-session-5001=plain;entrepot-session=other; __Host-entrepot-session-5001=tls=";
  const ids = (isSecure: boolean) => sessionIds(request("http://h:5001/", { cookie }), isSecure);
  expect([ids(false), ids(true), sessionIds(request("http://h:5001/"), false)]).toEqual([
    ["plain", "tls="],
    ["tls="],
    [],
  ]);
});
