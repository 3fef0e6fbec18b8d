import { expect, test } from "bun:test";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import type { UpstreamRequest } from "./harness/registries/upstream-request.ts";

const BASIC = `Basic ${btoa("me:s3cret")}`;
const shared = new SharedCache();
const auth = { username: "me", password: "s3cret" };

/**
 * A registry with images under the tags 1 to 3. Its token endpoint gives t1, t2 and so on, unless `token`
 * answers. `revoked` answers requests with tokens that were given before `revoke`.
 */
async function setUp(
  {
    revoked = () => faults.unauthorized('Bearer realm="http://authn.other.example/token"'),
    token = () => undefined,
  }: {
    revoked?: (own: string) => faults.Fault;
    token?: (request: UpstreamRequest) => faults.Fault | undefined;
  },
  settings: object = {},
) {
  const upstream = await startScriptedUpstream();
  for (const tag of ["1", "2", "3"]) {
    upstream.add("app", textImage({ text: `${tag} of ${upstream.url}` }), tag);
  }
  const own = `Bearer realm="${upstream.url}/token",service="reg"`;
  let given = 0;
  const old = new Set<string>();
  upstream.respond((request) => {
    if (!request.path.startsWith("/v2/")) {
      const body = JSON.stringify({ token: `t${given + 1}`, expires_in: 600 });
      const answer = token(request) ?? { status: 200, body };
      if (answer.body === body) given += 1;
      return answer;
    }
    const header = request.headers.get("authorization");
    if (header === null) return faults.unauthorized(own);
    if (old.has(header)) return revoked(own);
    return /^Bearer t\d+$/.test(header) ? undefined : faults.unauthorized(own);
  });
  const added = await shared.add({ ...localUpstream(upstream.url), ...settings });
  return {
    upstream,
    given: () => given,
    revoke: () => Array.from({ length: given }, (_, index) => old.add(`Bearer t${index + 1}`)),
    pull: async (tag: string) => (await added.cache.get(added.path(`app/manifests/${tag}`))).status,
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test.each([
  ["a realm of another domain", () => faults.unauthorized('Bearer realm="http://x.example/token"')],
  ["Basic", () => faults.unauthorized('Basic realm="x"')],
  ["no challenge", () => faults.errorResponse(401)],
  ["403", () => faults.errorResponse(403)],
] as const)("a token that is refused with %s blocks no pull", async (_, revoked) => {
  await using at = await setUp({ revoked });
  expect(await at.pull("1")).toBe(200);
  at.revoke();
  expect([await at.pull("2"), await at.pull("3")]).toEqual([200, 200]);
  expect(at.given()).toBe(2);
});

test("credentials whose old token is refused with Basic stay right", async () => {
  await using at = await setUp({ revoked: () => faults.unauthorized('Basic realm="x"') }, { auth });
  expect(await at.pull("1")).toBe(200);
  at.revoke();
  expect([await at.pull("2"), await at.pull("3")]).toEqual([200, 200]);
  const isToken = ({ path }: UpstreamRequest): boolean => path === "/token";
  const sent = at.upstream.requests();
  expect(sent.findLast(isToken)?.headers.get("authorization")).toBe(BASIC);
  const toRegistry = sent.filter((request) => !isToken(request));
  expect(toRegistry.some(({ headers }) => headers.get("authorization") === BASIC)).toBe(false);
});

test("a token endpoint that redirects within its host gives its token", async () => {
  await using at = await setUp(
    { token: ({ path }) => (path === "/token" ? faults.redirect("/auth/token", 301) : undefined) },
    { auth },
  );
  expect(await at.pull("1")).toBe(200);
  const asked = at.upstream.requests().filter(({ path }) => !path.startsWith("/v2/"));
  expect(asked.at(-1)?.path).toBe("/auth/token");
  expect(asked.at(-1)?.headers.get("authorization")).toBe(BASIC);
});
