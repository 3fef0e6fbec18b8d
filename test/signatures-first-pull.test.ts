import { expect, test } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { artifact, type Image, textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { newKeys } from "./harness/signatures/certificate-maker.ts";
import { BUNDLE_TYPE, craftBundle, statementOf } from "./harness/signatures/crafted-bundle.ts";
import { publicPem } from "./harness/signatures/rules.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";
import { Gate, until } from "./harness/waiting.ts";

const KEYS = newKeys();
const PATH = "/v2/app/manifests/1?ns=signed.test";

interface World extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly cache: Entrepot;
  /** A new image, signed, to which the tag 1 points from now on. */
  pushed(text: string): Image;
}

/** A registry whose images are signed, and a cache that wants them to be. */
async function world(settings: object = {}): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const services = stack.use(new SigstoreServices());
  const upstream = stack.use(await startScriptedUpstream());
  const verify = { mode: "enforce", keys: [publicPem(KEYS.publicKey)], transparencyLog: false };
  const cache = stack.use(
    await startEntrepot({
      config: {
        policies: [{ match: "signed.test/**", verify }],
        upstreams: { "signed.test": { ...localUpstream(upstream.url), ...settings } },
      },
    }),
  );
  const owned = stack.move();
  return {
    upstream,
    cache,
    pushed: (text) => {
      const image = textImage({ text });
      const statement = statementOf(image.manifest.digest);
      const bundle = craftBundle(services, statement, { keys: KEYS, log: "none" });
      const signature = {
        type: BUNDLE_TYPE,
        text: JSON.stringify(bundle),
        layerType: BUNDLE_TYPE,
      };
      upstream.add("app", image, "1");
      upstream.add("app", artifact(image, signature));
      return image;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function isAnswered(response: Promise<Response>): Promise<boolean> {
  const pending = Symbol("pending");
  return (await Promise.race([response, Promise.resolve(pending)])) !== pending;
}

test("nobody is answered before the verdict, and of many who ask at once, one looks for signatures", async () => {
  await using at = await world();
  const { upstream, cache } = at;
  at.pushed("one");
  const gate = new Gate();
  upstream.respond(({ kind }) => (kind === "blob" ? { hold: gate.opened } : undefined));
  const pulls = Array.from({ length: 20 }, () => cache.get(PATH));
  const heads = Array.from({ length: 5 }, () => cache.head(PATH));
  const bundle = (): boolean => upstream.requests({ kind: "blob" }).length > 0;
  await until(bundle, { what: "the bundle to be asked for" });
  // What is asked for later goes through the same: once it is answered, all before it would be.
  expect((await cache.get("/v2/?ns=signed.test")).status).toBe(200);
  for (const one of [...pulls, ...heads]) expect(await isAnswered(one)).toBe(false);
  gate.open();
  const statuses = (await Promise.all([...pulls, ...heads])).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200]));
  // The tag, the list of referrers, the tag .sig, the bundle's manifest and the bundle.
  expect(upstream.requests().filter(({ kind }) => kind !== "ping").length).toBe(5);
  expect((await cache.get(PATH)).status).toBe(200);
  expect(upstream.requests({ kind: "blob" }).length).toBe(1);
});

test("signatures of a tag that has moved are looked for while its manifest is received", async () => {
  await using at = await world({ tagTtl: "0s" });
  const { upstream, cache } = at;
  at.pushed("one");
  expect((await cache.get(PATH)).status).toBe(200);
  const two = at.pushed("two");
  const gate = new Gate();
  upstream.respond(({ method, reference }) =>
    method === "GET" && reference === "1" ? { hold: gate.opened } : undefined,
  );
  const pull = cache.get(PATH);
  const bundle = (): boolean => upstream.requests({ kind: "blob" }).length === 2;
  await until(bundle, { what: "the second bundle to be asked for" });
  expect(await isAnswered(pull)).toBe(false);
  gate.open();
  expect((await pull).headers.get("docker-content-digest")).toBe(two.manifest.digest);
});

test("what was looked for when a client left is known to the next one", async () => {
  await using at = await world();
  const { upstream, cache } = at;
  const { manifest } = at.pushed("one");
  const gate = new Gate();
  upstream.respond(({ kind }) => (kind === "blob" ? { hold: gate.opened } : undefined));
  const leaving = new AbortController();
  const left = cache.get(PATH, { signal: leaving.signal }).catch(() => undefined);
  const bundle = (): boolean => upstream.requests({ kind: "blob" }).length > 0;
  await until(bundle, { what: "the bundle to be asked for" });
  leaving.abort();
  await left;
  gate.open();
  const { headers } = await cache.get(PATH);
  expect(headers.get("docker-content-digest")).toBe(manifest.digest);
  expect(upstream.requests({ kind: "referrers" }).length).toBe(1);
  expect(upstream.requests({ kind: "blob" }).length).toBe(1);
});

test("what signatures are in is stored after the answer, for when the registry is down", async () => {
  await using at = await world();
  const { upstream, cache } = at;
  const { manifest } = at.pushed("one");
  expect((await cache.get(PATH)).status).toBe(200);
  const [bundle] = upstream.requests({ kind: "blob" });
  const path = `/v2/app/blobs/${bundle?.reference}?ns=signed.test`;
  upstream.respond(() => ({ status: 503 }));
  const listed = await cache.get(`/v2/app/referrers/${manifest.digest}?ns=signed.test`);
  const { manifests } = await listed.json();
  expect(manifests.length).toBe(1);
  const stored = async (): Promise<boolean> => (await cache.get(path)).status === 200;
  await until(stored, { what: "the bundle to be stored" });
  const found = await cache.get(`/v2/app/manifests/${manifests[0].digest}?ns=signed.test`);
  expect(found.status).toBe(200);
});
