import { expect, test } from "bun:test";
import { Gate, until } from "../../test/harness/waiting.ts";
import {
  authorizations,
  basic,
  credentials,
  tokenClient,
  tokenServer,
} from "./upstreamtest/token-registry.ts";
import { serve, settings, type RecordedRequest } from "./upstreamtest/test-servers.ts";

const refusal = (challenge?: string, status = 401): Response =>
  new Response("", {
    status,
    headers: challenge === undefined ? {} : { "www-authenticate": challenge },
  });

/**
 * A registry whose tokens are t1, t2 and so on. It has refused t1 since `revoke`, by the response that `old`
 * gives. Without a token it names its realm.
 */
function setUp(old: (own: string) => Response) {
  let revoked = "";
  const auth = tokenServer((_, count) => ({ token: `t${count}`, expires_in: 600 }));
  const own = `Bearer realm="http://reg.test:${auth.port}/token"`;
  const answer = ({ headers }: RecordedRequest): Response => {
    const header = headers.get("authorization");
    if (header === null) return refusal(own);
    if (header === revoked) return old(own);
    return header.startsWith("Bearer ") && header !== "Bearer useless"
      ? new Response("content")
      : refusal(own);
  };
  const server = serve(answer);
  return {
    auth,
    server,
    url: `http://reg.test:${server.port}`,
    trustedRealms: [`reg.test:${auth.port}`],
    revoke: (header: string) => void (revoked = header),
    [Symbol.dispose]: () => {
      auth[Symbol.dispose]();
      server[Symbol.dispose]();
    },
  };
}

const elsewhere = 'Bearer realm="http://authn.other.example/token"';

const cases: [string, (own: string) => Response][] = [
  ["a realm on another domain", () => refusal(elsewhere)],
  ["a realm that is no URL", () => refusal('Bearer realm="/token"')],
  ["a realm where nothing listens", () => refusal('Bearer realm="http://reg.test:1/token"')],
  ["Basic", () => refusal('Basic realm="x"')],
  ["no challenge", () => refusal()],
  ["a challenge of another kind", () => refusal("Negotiate")],
  ["two realms, of which the second is its own", (own) => refusal(`${elsewhere}, ${own}`)],
  ["403", () => refusal(undefined, 403)],
  ["403 and its own realm", (own) => refusal(`${own},error="invalid_token"`, 403)],
];

test.each(cases)("a cached token that is refused with %s is replaced", async (_, old) => {
  using at = setUp(old);
  const { get } = tokenClient(settings(at.url));
  expect((await get()).status).toBe(200);
  at.revoke("Bearer t1");
  expect([(await get()).status, (await get()).status]).toEqual([200, 200]);
  expect(at.auth.requests).toHaveLength(2);
  expect(authorizations(at.server).slice(-2)).toEqual(["Bearer t2", "Bearer t2"]);
});

test.each(cases)("a token refused with %s says nothing of the credentials", async (_, old) => {
  using at = setUp(old);
  const { trustedRealms } = at;
  const upstream = settings(at.url, { credentials, trustedRealms });
  const { get, transport } = tokenClient(upstream);
  await get();
  at.revoke(authorizations(at.server).at(-1) ?? "");
  expect((await get()).status).toBe(200);
  expect(transport.keyring.status(upstream).state).toBe("ok");
  expect(authorizations(at.auth).at(-1)).toBe(basic);
});

test("a new token that is refused where the challenge leads is left out once", async () => {
  using second = tokenServer(() => ({ token: "useless" }));
  using at = setUp(() => refusal(`Bearer realm="http://reg.test:${second.port}/token"`));
  const { get } = tokenClient(settings(at.url));
  await get();
  at.revoke("Bearer t1");
  expect((await get()).status).toBe(200);
  expect(authorizations(at.server)).toEqual([
    null,
    "Bearer t1",
    "Bearer t1",
    "Bearer useless",
    null,
    "Bearer t2",
  ]);
});

test("20 requests with the same refused token lead to one new token", async () => {
  const all = new Gate();
  using auth = tokenServer((_, count) => ({ token: `t${count}` }));
  let isRevoked = false;
  let refused = 0;
  using server = serve(async ({ headers }) => {
    const header = headers.get("authorization");
    if (header === "Bearer t1" && isRevoked) {
      refused += 1;
      if (refused === 20) all.open();
      await all.opened;
      return refusal(elsewhere);
    }
    return header === null
      ? refusal(`Bearer realm="http://reg.test:${auth.port}/token"`)
      : new Response("content");
  });
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  await get();
  isRevoked = true;
  const responses = await Promise.all(Array.from({ length: 20 }, () => get()));
  expect(responses.every(({ status }) => status === 200)).toBe(true);
  expect(auth.requests).toHaveLength(2);
});

test("a request that is late with a refused token uses the one that has replaced it", async () => {
  const late = new Gate();
  let isRevoked = false;
  using auth = tokenServer((_, count) => ({ token: `t${count}` }));
  const own = `Bearer realm="http://reg.test:${auth.port}/token"`;
  using server = serve(async ({ headers, path }) => {
    const header = headers.get("authorization");
    if (path.endsWith("/late") && header === "Bearer t1") await late.opened;
    const isRefused = header === null || (isRevoked && header === "Bearer t1");
    return isRefused ? refusal(own) : new Response("content");
  });
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  await get();
  isRevoked = true;
  const waiting = get("manifests/late");
  await until(() => server.requests.length === 3, { what: "the late request" });
  await get();
  late.open();
  expect((await waiting).status).toBe(200);
  expect(auth.requests).toHaveLength(2);
});

test("a repository that stays denied is asked a bounded number of times", async () => {
  using auth = tokenServer((_, count) => ({ token: `t${count}` }));
  let status = 200;
  using server = serve(({ headers }) =>
    headers.has("authorization")
      ? new Response("", { status })
      : refusal(`Bearer realm="http://reg.test:${auth.port}/token"`),
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  await get();
  for (const denied of [401, 403]) {
    status = denied;
    const before = server.requests.length;
    expect((await get()).status).toBe(denied);
    expect(server.requests.length - before).toBeLessThanOrEqual(4);
  }
});

test("Basic credentials that are refused are wrong, also where Bearer is offered beside it", async () => {
  using server = serve(() => refusal(`${elsewhere}, Basic realm="x"`));
  const upstream = settings(`http://reg.test:${server.port}`, { credentials });
  const { get, transport } = tokenClient(upstream);
  await get().catch(() => undefined);
  expect(authorizations(server).slice(0, 2)).toEqual([null, basic]);
  expect(transport.keyring.status(upstream).state).toBe("refused");
});
