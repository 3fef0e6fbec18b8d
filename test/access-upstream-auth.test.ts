import { expect, test } from "bun:test";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { basicOf, startPrivateRegistry } from "./harness/registries/private-registry.ts";

const open = textImage({ text: "for anybody" });
const secret = textImage({ text: "for some" });

/** As whom the registry was asked for a public and for a private repository. */
async function askedAs(upstream: object) {
  await using registry = await startPrivateRegistry();
  registry.upstream.add("open/app", open, "1");
  registry.upstream.add("team/secret", secret, "1");
  registry.publish("open/app");
  registry.grant("cache", "team/secret");
  registry.grant("ann", "team/secret");
  const configured = { ...localUpstream(registry.upstream.url), ...upstream };
  await using cache = await startEntrepot({
    config: { storage: { scrub: 0 }, upstreams: { "reg.test": configured } },
  });
  const pull = async (path: string, authorization?: string) => {
    registry.takeAsked();
    const headers = new Headers(authorization === undefined ? {} : { authorization });
    const response = await cache.get(`/v2/${path}?ns=reg.test`, { headers });
    await response.bytes();
    const users = new Set(registry.takeAsked().map(({ user }) => user));
    return { status: response.status, users: [...users].toSorted() };
  };
  return {
    public: await pull("open/app/manifests/1"),
    private: await pull("team/secret/manifests/1"),
    granted: await pull("team/secret/manifests/1", basicOf("ann")),
  };
}

const auth = { username: "cache", password: "cache-password" };

test.concurrent.each([
  { access: "upstream", auth: { ...auth, useFor: "public" } },
  { access: [{ repositories: ["team/**"], access: "upstream" }, { access: "open" }], auth },
])("private content is never asked for with the cache's own credentials: %j", async (upstream) => {
  expect(await askedAs(upstream)).toEqual({
    // This registry asks for none where it shows something to anybody.
    public: { status: 200, users: ["-"] },
    private: { status: 401, users: ["-"] },
    // Basic credentials are sent once they are asked for.
    granted: { status: 200, users: ["-", "ann"] },
  });
});

test.concurrent("where access is open, they are sent as ever", async () => {
  const { private: pulled } = await askedAs({ access: "open", auth });
  expect(pulled).toEqual({ status: 200, users: ["-", "cache"] });
});

test.concurrent("denied repositories are given to nobody", async () => {
  const access = [{ repositories: ["team/**"], access: "denied" }, { access: "upstream" }];
  const { public: pulled, granted } = await askedAs({ access });
  expect([pulled.status, granted]).toEqual([200, { status: 403, users: [] }]);
});
