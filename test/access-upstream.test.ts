import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "./harness/registries/private-registry.ts";

const secret = textImage({ text: "for those whom their registry lets see it" });
const open = textImage({ text: "for anybody" });
const layerOf = (image: typeof secret): string => `blobs/${image.blobs[1]?.digest}`;

let registry: PrivateRegistry;
let cache: Entrepot;

beforeAll(async () => {
  registry = await startPrivateRegistry();
  registry.upstream.add("team/secret", secret, "1");
  registry.upstream.add("open/app", open, "1");
  registry.publish("open/app");
  registry.grant("ann", "team/secret");
  registry.grant("bob", "other/app");
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(registry.upstream.url), access: "upstream" } },
    },
  });
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

async function ask(path: string, authorization?: string, init: RequestInit = {}) {
  const headers = new Headers(init.headers);
  if (authorization !== undefined) headers.set("authorization", authorization);
  const response = await cache.get(path, { ...init, headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const pull = (path: string, authorization?: string, init?: RequestInit) =>
  ask(`/v2/${path}?ns=reg.test`, authorization, init);

test("a public repository is open, and asked for once without credentials", async () => {
  registry.takeAsked();
  expect((await pull("open/app/manifests/1")).status).toBe(200);
  expect((await pull("open/app/manifests/1", basicOf("nobody"))).status).toBe(200);
  expect((await pull(`open/app/${layerOf(open)}`)).status).toBe(200);
  expect((await pull("open/app/manifests/1")).headers.get("cache-status")).toBe("entrepot; hit");
  expect(registry.takeAsked().every(({ user }) => user === "-")).toBe(true);
});

test("a private repository is for those whom the registry lets see it, and hits ask it nothing", async () => {
  const paths = ["manifests/1", `manifests/${secret.manifest.digest}`, layerOf(secret)];
  for (const path of paths) {
    const refused = await pull(`team/secret/${path}`);
    expect([path, refused.status]).toEqual([path, 401]);
    expect(refused.headers.get("www-authenticate")).toBe('Basic realm="entrepot", charset="UTF-8"');
  }
  for (const path of paths) {
    const { status, headers } = await pull(`team/secret/${path}`, basicOf("ann"));
    expect([path, status, headers.get("www-authenticate")]).toEqual([path, 200, null]);
  }
  registry.takeAsked();
  for (const path of [...paths, ...paths]) {
    expect((await pull(`team/secret/${path}`, basicOf("ann"))).status).toBe(200);
  }
  expect(registry.takeAsked()).toEqual([]);
  for (const path of [...paths, "tags/list", `referrers/${secret.manifest.digest}`]) {
    for (const method of ["GET", "HEAD"]) {
      for (const authorization of [undefined, basicOf("bob"), basicOf("ann", "guess")]) {
        const { status } = await pull(`team/secret/${path}`, authorization, { method });
        expect([path, method, authorization, status]).toEqual([path, method, authorization, 401]);
      }
    }
  }
});

test("what does not exist is refused in the same words as what does", async () => {
  const shape = async (path: string, authorization?: string) => {
    const { status, headers, text } = await pull(path, authorization);
    headers.delete("date");
    return { status, headers: [...headers], text: text.replaceAll(/team\/\w+/g, "REPO") };
  };
  const missing = `sha256:${"0".repeat(64)}`;
  for (const authorization of [undefined, basicOf("bob")]) {
    const shown = await shape("team/secret/manifests/1", authorization);
    expect(await shape("team/secret/manifests/none", authorization)).toEqual(shown);
    expect(await shape(`team/secret/blobs/${missing}`, authorization)).toEqual(shown);
    expect(await shape("team/missin/manifests/1", authorization)).toEqual(shown);
  }
});

test("names in the catalog are those that the client may know", async () => {
  const names = async (authorization?: string): Promise<unknown> =>
    JSON.parse((await ask("/v2/_catalog?ns=reg.test", authorization)).text);
  expect(await names()).toEqual({ repositories: ["open/app"] });
  expect(await names(basicOf("bob"))).toEqual({ repositories: ["open/app"] });
  expect(await names(basicOf("ann"))).toEqual({ repositories: ["open/app", "team/secret"] });
});

test("/v2/ asks for credentials or a token, and a token is as good as what it was given for", async () => {
  const base = await ask("/v2/");
  expect(base.status).toBe(401);
  const realm = `http://${cache.address}/v2/token`;
  expect(base.headers.get("www-authenticate")).toStartWith(
    `Bearer realm="${realm}",service="entrepot"`,
  );
  expect((await ask("/v2/", basicOf("ann"))).status).toBe(200);
  const tokenOf = async (authorization?: string): Promise<string> => {
    const { status, text } = await ask("/v2/token?service=entrepot", authorization);
    expect(status).toBe(200);
    const { token } = JSON.parse(text) as { token: string };
    expect(token).not.toContain(Buffer.from("ann").toString("base64url"));
    return `Bearer ${token}`;
  };
  const [ann, bob, nobody] = [
    await tokenOf(basicOf("ann")),
    await tokenOf(basicOf("bob")),
    await tokenOf(),
  ];
  expect((await ask("/v2/", nobody)).status).toBe(200);
  expect((await pull("team/secret/manifests/1", ann)).status).toBe(200);
  expect((await pull("open/app/manifests/1", nobody)).status).toBe(200);
  for (const token of [bob, nobody, "Bearer entrepot.AAAA", "Bearer eyJhbGciOiJub25lIn0.e30."]) {
    const { status, headers } = await pull("team/secret/manifests/1", token);
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toStartWith("Bearer ");
  }
});

test("a header that is malformed is refused with its reason", async () => {
  const cases: [header: string, reason: string][] = [
    ["Basic !!", "the Basic credentials are not valid Base64"],
    [`Basic ${"A".repeat(17_000)}`, "longer than"],
    ["Negotiate abc", "a scheme other than Basic and Bearer"],
  ];
  for (const [header, reason] of cases) {
    const { status, text } = await pull("team/secret/manifests/1", header);
    if (status === 431) continue;
    expect([status, text]).toEqual([401, expect.stringContaining(reason)]);
  }
});
