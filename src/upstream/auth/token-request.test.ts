import { expect, test } from "bun:test";
import {
  authorizations,
  basic,
  credentials,
  protectedRegistry,
  tokenClient,
  tokenServer,
} from "../upstreamtest/token-registry.ts";
import {
  certificate,
  faultOf,
  serve,
  serveRaw,
  settings,
  type TestServer,
} from "../upstreamtest/test-servers.ts";

const isToken = (header: string | null): boolean => header === "Bearer t0";

/** A token endpoint that redirects each path to what the function names, until it names nothing. */
function redirecting(target: (path: string) => string | undefined, status = 302): TestServer {
  return serve(({ path }) => {
    const location = target(path.split("?", 1)[0] ?? "");
    if (location === undefined) return Response.json({ token: "t0" });
    return new Response("", { status, headers: { location } });
  });
}

test.each([301, 302, 303, 307, 308])(
  "a token endpoint that redirects by %i within its host is followed",
  async (status) => {
    using auth = redirecting(
      (path) => (path === "/token" ? "/v2/token?keep=1" : undefined),
      status,
    );
    using server = protectedRegistry(() => `http://auth.reg.test:${auth.port}/token`, isToken);
    const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
    expect((await get()).status).toBe(200);
    const query = "service=reg&scope=repository%3Ateam%2Fapp%3Apull";
    expect(auth.requests.map(({ path }) => path)).toEqual([
      `/token?${query}`,
      `/v2/token?keep=1&${query}`,
    ]);
  },
);

test("three redirects of a token endpoint are followed, and no more", async () => {
  using auth = redirecting((path) => (path === "/0" ? undefined : `/${Number(path.slice(1)) - 1}`));
  let hops = 3;
  using server = protectedRegistry(() => `http://reg.test:${auth.port}/${hops}`, isToken);
  const upstream = settings(`http://reg.test:${server.port}`);
  expect((await tokenClient(upstream).get()).status).toBe(200);
  hops = 4;
  expect(await faultOf(tokenClient(upstream).get())).toMatchObject({
    kind: "upstream-invalid-response",
    reason: `the token endpoint of reg.test:${server.port} redirects more than 3 times`,
  });
});

test("a token endpoint that redirects elsewhere is not followed", async () => {
  using elsewhere = await serveRaw((socket) => socket.end());
  let location = "";
  using auth = redirecting(() => location);
  using server = protectedRegistry(() => `http://auth.reg.test:${auth.port}/token`, isToken);
  const url = `http://reg.test:${server.port}`;
  const { port } = elsewhere;
  for (const [target, configured, kind] of [
    [`http://evil.example:${port}/`, undefined, "address-refused"],
    [`http://login.reg.test:${port}/`, undefined, "address-refused"],
    [`http://auth.reg.test:${port}/`, credentials, "address-refused"],
    [`ftp://auth.reg.test:${port}/`, undefined, "address-refused"],
    ["http://", undefined, "upstream-invalid-response"],
  ] as const) {
    location = target;
    const upstream = settings(url, configured ? { credentials: configured } : {});
    expect((await faultOf(tokenClient(upstream).get())).kind).toBe(kind);
  }
  expect(elsewhere.connections()).toBe(0);
  expect(authorizations(auth).every((header) => header === null)).toBe(true);
});

test("a token endpoint may redirect to a host that trustedRealms lists, with credentials", async () => {
  using login = tokenServer();
  using auth = redirecting(() => `http://login.example:${login.port}/token`);
  using server = protectedRegistry(() => `http://reg.test:${auth.port}/token`, isToken);
  const trustedRealms = [`reg.test:${auth.port}`, "login.example"];
  const upstream = settings(`http://reg.test:${server.port}`, { credentials, trustedRealms });
  expect((await tokenClient(upstream).get()).status).toBe(200);
  expect(authorizations(auth)).toEqual([null]);
  expect(authorizations(login)).toEqual([null, basic]);
});

test("credentials wait for the https to which a realm on http redirects", async () => {
  const tls = await certificate("reg.test");
  let accepted = "Bearer t0";
  const registryOf = (realm: () => string, secure?: typeof tls): TestServer =>
    serve(({ path, headers }) => {
      if (path.startsWith("/token")) return Response.json({ token: "t0" });
      if (headers.get("authorization") === accepted) return new Response("content");
      const challenge = `Bearer realm="${realm()}"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }, secure);
  using auth = redirecting(() => `https://reg.test:${server.port}/token`);
  using server: TestServer = registryOf(() => `http://reg.test:${auth.port}/token`, tls);
  const upstream = settings(`https://reg.test:${server.port}`, {
    credentials,
    trustedRealms: ["reg.test"],
  });
  expect((await tokenClient(upstream, { ca: tls.cert }).get()).status).toBe(200);
  expect(authorizations(auth)).toEqual([null]);
  expect(authorizations(server)).toEqual([null, basic, "Bearer t0"]);
  // Without the redirect, a token over http is not what an https registry's is worth.
  using plain = tokenServer();
  accepted = "none";
  using other: TestServer = registryOf(() => `http://reg.test:${plain.port}/token`, tls);
  const withoutRedirect = settings(`https://reg.test:${other.port}`);
  const fault = await faultOf(tokenClient(withoutRedirect, { ca: tls.cert }).get());
  expect(fault).toMatchObject({ kind: "address-refused", host: `reg.test:${plain.port}` });
});

test("a token endpoint on https does not lead to http", async () => {
  const tls = await certificate("reg.test");
  using plain = await serveRaw((socket) => socket.end());
  using auth = serve(() => Response.redirect(`http://reg.test:${plain.port}/token`, 302), tls);
  using server = protectedRegistry(() => `https://reg.test:${auth.port}/token`, isToken);
  const upstream = settings(`http://reg.test:${server.port}`, { trustedRealms: ["reg.test"] });
  const fault = await faultOf(tokenClient(upstream, { ca: tls.cert }).get());
  expect(fault).toMatchObject({ kind: "address-refused", host: `reg.test:${plain.port}` });
  expect(plain.connections()).toBe(0);
});

test.each([
  ["access_token in place of token", { access_token: "t0" }],
  ["an empty token beside it", { token: "", access_token: "t0" }],
  ["no lifetime", { token: "t0" }],
  ["a lifetime of 0", { token: "t0", expires_in: 0 }],
  ["a lifetime in the past", { token: "t0", expires_in: -5, issued_at: "2001-01-01T00:00:00Z" }],
  ["a lifetime as text", { token: "t0", expires_in: "300" }],
  ["null for what is missing", { token: "t0", access_token: null, expires_in: null }],
])("a token response with %s is used", async (_, body) => {
  using auth = tokenServer(() => body);
  using server = protectedRegistry(() => `http://reg.test:${auth.port}/token`, isToken);
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  expect([(await get()).status, (await get()).status]).toEqual([200, 200]);
});
