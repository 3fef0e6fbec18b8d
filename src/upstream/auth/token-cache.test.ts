import { expect, test } from "bun:test";
import { Gate, until } from "../../../test/harness/waiting.ts";
import {
  asker,
  authorizations,
  basic,
  credentials,
  guarded,
  issuer,
} from "../upstreamtest/token-registry.ts";
import { faultOf, rejection, serve, serveRaw, settings } from "../upstreamtest/test-servers.ts";

test("a challenge is answered with a token for the scope that is built here", async () => {
  using auth = issuer();
  using server = guarded(
    () => `http://auth.reg.test:${auth.port}/token?keep=1`,
    (header) => header === "Bearer t0",
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`));
  expect(await ask()).toEqual({ status: 200, text: "content" });
  expect(auth.seen[0]?.path).toBe("/token?keep=1&service=reg&scope=repository%3Ateam%2Fapp%3Apull");
  expect(authorizations(auth)).toEqual([null]);
  // The token is kept: nothing is refused the second time.
  await ask();
  expect(authorizations(server)).toEqual([null, "Bearer t0", "Bearer t0"]);
  expect(auth.seen).toHaveLength(1);
});

test("twenty at once ask for one token", async () => {
  using auth = serve(async () => {
    await until(() => server.seen.length === 20, { what: "all of them to be challenged" });
    return Response.json({ access_token: "t0" });
  });
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`));
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(auth.seen).toHaveLength(1);
});

test("who gives up while a token is fetched leaves it to the others", async () => {
  const gone = new Gate();
  using auth = serve(async () => {
    await gone.opened;
    return Response.json({ token: "t0" });
  });
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`));
  const controller = new AbortController();
  const left = ask(undefined, controller.signal);
  const stays = ask();
  const both = () => server.seen.length === 2 && auth.seen.length === 1;
  await until(both, { what: "both to wait for a token" });
  controller.abort(new Error("gone"));
  expect(await rejection(left)).toMatchObject({ message: "gone" });
  gone.open();
  expect((await stays).status).toBe(200);
  expect(auth.seen).toHaveLength(1);
});

test.each([
  [{ token: "t", expires_in: 100 }, 89, 91],
  [{ token: "t", expires_in: 3600 }, 3569, 3571],
  [{ token: "t" }, 53, 55],
])("%j is sent for %i s and renewed before it expires", async (body, before, after) => {
  const clock = { now: 0 };
  using auth = issuer(() => body);
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header !== null,
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`), { now: () => clock.now });
  await ask();
  clock.now = before * 1000;
  await ask();
  expect(auth.seen).toHaveLength(1);
  clock.now = after * 1000;
  await ask();
  expect(auth.seen).toHaveLength(2);
});

test("a token that is refused before its time is renewed once", async () => {
  using auth = issuer((_, count) => ({ token: `t${count}` }));
  let accepted = "Bearer t1";
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === accepted,
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`));
  expect((await ask()).status).toBe(200);
  accepted = "Bearer t2";
  expect((await ask()).status).toBe(200);
  expect(authorizations(server)).toEqual([null, "Bearer t1", "Bearer t1", "Bearer t2"]);
});

test("a registry that refuses every token is asked twice, not for ever", async () => {
  using auth = issuer();
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`));
  expect((await ask()).status).toBe(401);
  expect([server.seen.length, auth.seen.length]).toEqual([2, 1]);
});

test("credentials go to the realm on the registry's domain, and not to the registry itself", async () => {
  using auth = issuer();
  using server = guarded(
    () => `http://auth.reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await ask()).status).toBe(200);
  expect(authorizations(auth)).toEqual([basic]);
  expect(authorizations(server)).toEqual([null, "Bearer t0"]);
});

test("Basic is answered where credentials are configured, and remembered", async () => {
  using server = serve(({ headers }) =>
    headers.get("authorization") === basic
      ? new Response("content")
      : new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  const url = `http://reg.test:${server.port}`;
  const { ask } = asker(settings(url, { credentials }));
  await ask();
  expect((await ask()).status).toBe(200);
  expect(authorizations(server)).toEqual([null, basic, basic]);
  expect((await asker(settings(url)).ask()).status).toBe(401);
  const wrong = { username: "me", password: "other" };
  expect((await asker(settings(url, { credentials: wrong })).ask()).status).toBe(401);
});

test.each([
  ["with credentials", credentials],
  ["without credentials", undefined],
])("a realm on another domain is not even connected to, %s", async (_, mine) => {
  using auth = await serveRaw((socket) => socket.end());
  using server = guarded(
    () => `http://auth.evil.example:${auth.port}/token`,
    () => false,
  );
  const upstream = settings(`http://reg.test:${server.port}`, mine ? { credentials: mine } : {});
  const fault = await faultOf(asker(upstream).ask());
  expect(fault).toMatchObject({
    kind: "address-refused",
    host: `auth.evil.example:${auth.port}`,
  });
  expect(JSON.stringify(fault)).toContain("trustedRealms");
  expect(auth.connections()).toBe(0);
});

test.each(["file:///etc/passwd", "/token", "data:,x"])("a realm that is %s", async (realm) => {
  using server = guarded(
    () => realm,
    () => false,
  );
  const fault = await faultOf(asker(settings(`http://reg.test:${server.port}`)).ask());
  expect(fault).toMatchObject({
    kind: "upstream-invalid-response",
    reason: `reg.test:${server.port} names a token endpoint that is no URL with a host`,
  });
});

test("a realm on another domain that the owner listed is asked", async () => {
  using auth = issuer();
  using server = guarded(
    () => `http://auth.other.example:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { ask } = asker(
    settings(`http://reg.test:${server.port}`, {
      credentials,
      trustedRealms: ["auth.other.example"],
    }),
  );
  expect((await ask()).status).toBe(200);
  expect(authorizations(auth)).toEqual([basic]);
});

test.each([
  ["no JSON", "<html>", "upstream-invalid-response"],
  ["no token", "{}", "upstream-invalid-response"],
  ["an empty token", '{"token":""}', "upstream-invalid-response"],
  ["a token that would break a header", '{"token":"a\\r\\nHost: x"}', "upstream-invalid-response"],
  ["too much", `{"token":"${"x".repeat(65_536)}"}`, "upstream-invalid-response"],
])("a token endpoint that sends %s", async (_, body, kind) => {
  using auth = serve(() => new Response(body));
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  const fault = await faultOf(asker(settings(`http://reg.test:${server.port}`)).ask());
  expect(fault.kind).toBe(kind as "upstream-invalid-response"); // The table's third column.
});

test.each([
  [401, "upstream-denied"],
  [404, "upstream-failed"],
  [429, "upstream-rate-limited"],
  [500, "upstream-failed"],
  [302, "upstream-invalid-response"],
])("a token endpoint that answers %i is the fault %s", async (status, kind) => {
  using elsewhere = await serveRaw((socket) => socket.end());
  const location = `http://reg.test:${elsewhere.port}/`;
  using auth = serve(() => new Response("{}", { status, headers: { location } }));
  using server = guarded(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  const fault = await faultOf(asker(settings(`http://reg.test:${server.port}`)).ask());
  expect(fault.kind).toBe(kind as "upstream-denied"); // The table's second column.
  expect(elsewhere.connections()).toBe(0);
});
