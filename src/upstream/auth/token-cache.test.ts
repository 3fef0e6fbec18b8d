import { expect, test } from "bun:test";
import { Gate, until } from "../../../test/harness/waiting.ts";
import { parseChallenges } from "../../oci/challenge.ts";
import {
  tokenClient,
  authorizations,
  basic,
  credentials,
  protectedRegistry,
  tokenServer,
} from "../upstreamtest/token-registry.ts";
import type { Authorizations } from "./token-cache.ts";
import { faultOf, rejection, serve, serveRaw, settings } from "../upstreamtest/test-servers.ts";

test("a token is requested for a scope built from the repository, and cached", async () => {
  using auth = tokenServer();
  using server = protectedRegistry(
    () => `http://auth.reg.test:${auth.port}/token?keep=1`,
    (header) => header === "Bearer t0",
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  expect(await get()).toEqual({ status: 200, text: "content" });
  expect(auth.requests[0]?.path).toBe(
    "/token?keep=1&service=reg&scope=repository%3Ateam%2Fapp%3Apull",
  );
  expect(authorizations(auth)).toEqual([null]);
  // The second request is sent with the cached token.
  await get();
  expect(authorizations(server)).toEqual([null, "Bearer t0", "Bearer t0"]);
  expect(auth.requests).toHaveLength(1);
});

test("20 concurrent requests share one token request", async () => {
  using auth = serve(async () => {
    await until(() => server.requests.length === 20, { what: "all requests to be challenged" });
    return Response.json({ access_token: "t0" });
  });
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  const responses = await Promise.all(Array.from({ length: 20 }, () => get()));
  expect(responses.every(({ status }) => status === 200)).toBe(true);
  expect(auth.requests).toHaveLength(1);
});

test("an aborted request does not cancel the token request that others wait for", async () => {
  const tokenGate = new Gate();
  using auth = serve(async () => {
    await tokenGate.opened;
    return Response.json({ token: "t0" });
  });
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  const controller = new AbortController();
  const aborted = get(undefined, controller.signal);
  const waiting = get();
  const bothWait = () => server.requests.length === 2 && auth.requests.length === 1;
  await until(bothWait, { what: "both to wait for a token" });
  controller.abort(new Error("gone"));
  expect(await rejection(aborted)).toMatchObject({ message: "gone" });
  tokenGate.open();
  expect((await waiting).status).toBe(200);
  expect(auth.requests).toHaveLength(1);
});

test.each([
  [{ token: "t", expires_in: 100 }, 89, 91],
  [{ token: "t", expires_in: 3600 }, 3569, 3571],
  [{ token: "t" }, 53, 55],
])(
  "a token response %j is cached for %i s and renewed before it expires",
  async (body, before, after) => {
    const clock = { now: 0 };
    using auth = tokenServer(() => body);
    using server = protectedRegistry(
      () => `http://reg.test:${auth.port}/token`,
      (header) => header !== null,
    );
    const { get } = tokenClient(settings(`http://reg.test:${server.port}`), {
      now: () => clock.now,
    });
    await get();
    clock.now = before * 1000;
    await get();
    expect(auth.requests).toHaveLength(1);
    clock.now = after * 1000;
    await get();
    expect(auth.requests).toHaveLength(2);
  },
);

test("a token that is refused before it expires is replaced once", async () => {
  using auth = tokenServer((_, count) => ({ token: `t${count}` }));
  let accepted = "Bearer t1";
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === accepted,
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  expect((await get()).status).toBe(200);
  accepted = "Bearer t2";
  expect((await get()).status).toBe(200);
  expect(authorizations(server)).toEqual([null, "Bearer t1", "Bearer t1", "Bearer t2"]);
});

test("a registry that refuses every token gets two requests, and no more", async () => {
  using auth = tokenServer();
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  expect((await get()).status).toBe(401);
  expect([server.requests.length, auth.requests.length]).toEqual([2, 1]);
});

test("credentials are sent to a realm on the registry's domain, and not to the registry itself", async () => {
  using auth = tokenServer();
  using server = protectedRegistry(
    () => `http://auth.reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await get()).status).toBe(200);
  // First without them, since a realm on http may redirect to https.
  expect(authorizations(auth)).toEqual([null, basic]);
  expect(authorizations(server)).toEqual([null, "Bearer t0"]);
});

test("a Basic challenge is met with configured credentials, which are then sent unchallenged", async () => {
  using server = serve(({ headers }) =>
    headers.get("authorization") === basic
      ? new Response("content")
      : new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  const url = `http://reg.test:${server.port}`;
  const { get } = tokenClient(settings(url, { credentials }));
  await get();
  expect((await get()).status).toBe(200);
  expect(authorizations(server)).toEqual([null, basic, basic]);
  expect((await tokenClient(settings(url)).get()).status).toBe(401);
  const wrong = { username: "me", password: "other" };
  expect((await tokenClient(settings(url, { credentials: wrong })).get()).status).toBe(401);
});

test.each([
  ["with credentials", credentials],
  ["without credentials", undefined],
])("no connection is made to a realm on another domain, %s", async (_, configured) => {
  using auth = await serveRaw((socket) => socket.end());
  using server = protectedRegistry(
    () => `http://auth.evil.example:${auth.port}/token`,
    () => false,
  );
  const upstream = settings(
    `http://reg.test:${server.port}`,
    configured ? { credentials: configured } : {},
  );
  const fault = await faultOf(tokenClient(upstream).get());
  expect(fault).toMatchObject({
    kind: "address-refused",
    host: `auth.evil.example:${auth.port}`,
  });
  expect(JSON.stringify(fault)).toContain("trustedRealms");
  expect(auth.connections()).toBe(0);
});

test.each(["file:///etc/passwd", "/token", "data:,x"])(
  "a realm of %s is an invalid response",
  async (realm) => {
    using server = protectedRegistry(
      () => realm,
      () => false,
    );
    const fault = await faultOf(tokenClient(settings(`http://reg.test:${server.port}`)).get());
    expect(fault).toMatchObject({
      kind: "upstream-invalid-response",
      reason: `the realm in the challenge of reg.test:${server.port} is not a URL with a host`,
    });
  },
);

test("a realm on another domain that trustedRealms lists gets the token request", async () => {
  using auth = tokenServer();
  using server = protectedRegistry(
    () => `http://auth.other.example:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const { get } = tokenClient(
    settings(`http://reg.test:${server.port}`, {
      credentials,
      trustedRealms: ["auth.other.example"],
    }),
  );
  expect((await get()).status).toBe(200);
  // First without them, since a realm on http may redirect to https.
  expect(authorizations(auth)).toEqual([null, basic]);
});

test.each([
  ["HTML in place of JSON", "<html>", "upstream-invalid-response"],
  ["no token", "{}", "upstream-invalid-response"],
  ["an empty token", '{"token":""}', "upstream-invalid-response"],
  ["a token that would break a header", '{"token":"a\\r\\nHost: x"}', "upstream-invalid-response"],
  ["more than 64 KiB", `{"token":"${"x".repeat(65_536)}"}`, "upstream-invalid-response"],
])("a token response with %s is invalid", async (_, body, kind) => {
  using auth = serve(() => new Response(body));
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  const fault = await faultOf(tokenClient(settings(`http://reg.test:${server.port}`)).get());
  expect(fault.kind).toBe(kind as "upstream-invalid-response"); // The table's third column.
});

test.each([
  [401, "upstream-denied"],
  [404, "upstream-failed"],
  [429, "upstream-rate-limited"],
  [500, "upstream-failed"],
  [304, "upstream-failed"],
])("a token endpoint that answers %i causes the fault %s", async (status, kind) => {
  using auth = serve(() => new Response(status === 304 ? null : "{}", { status }));
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  const fault = await faultOf(tokenClient(settings(`http://reg.test:${server.port}`)).get());
  expect(fault.kind).toBe(kind as "upstream-denied"); // The table's second column.
});

test("a realm on another port of the registry's host gets no credentials unless it is listed", async () => {
  using auth = tokenServer();
  using server = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  const url = `http://reg.test:${server.port}`;
  const fault = await faultOf(tokenClient(settings(url, { credentials })).get());
  expect(fault).toMatchObject({ kind: "address-refused", host: `reg.test:${auth.port}` });
  expect(auth.requests).toEqual([]);
  expect((await tokenClient(settings(url)).get()).status).toBe(200);
  const trustedRealms = [`reg.test:${auth.port}`];
  await tokenClient(settings(url, { credentials, trustedRealms })).get();
  expect(authorizations(auth)).toEqual([null, null, basic]);
});

test("what a registry shows now is asked with a token that it gives now", async () => {
  const gate = new Gate();
  let given = 0;
  using auth = serve(async () => {
    const token = `t${given++}`;
    if (token === "t1") await gate.opened;
    return Response.json({ token, expires_in: 300 });
  });
  let time = 0;
  const upstream = settings("http://reg.test:1");
  const { transport } = tokenClient(upstream, { now: () => time });
  const tokens = transport.clientTokens;
  const subject = { upstream, registry: upstream.url, repository: "team/app" };
  const realm = `http://reg.test:${auth.port}/token`;
  const challenges = parseChallenges(`Bearer realm="${realm}",service="reg"`);
  const headerOf = async (from: Authorizations) =>
    (from.cached(subject) ?? (await from.authorize(subject, challenges, undefined)))?.header;

  expect(await headerOf(tokens)).toBe("Bearer t0");
  time += 1;
  const first = headerOf(tokens.fromNowOn());
  await until(() => given === 2, { what: "a new token to be asked for" });
  // Meanwhile, all others go on with the one that there is.
  expect(await headerOf(tokens)).toBe("Bearer t0");
  // One that was asked for before is no answer to a question of now.
  time += 1;
  const anew = tokens.fromNowOn();
  expect(await headerOf(anew)).toBe("Bearer t2");
  expect(await headerOf(anew)).toBe("Bearer t2");
  gate.open();
  expect(await first).toBe("Bearer t1");
  // The newest one is kept.
  expect(await headerOf(tokens)).toBe("Bearer t2");
  expect(given).toBe(3);
});
