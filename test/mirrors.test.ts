import { expect, test } from "bun:test";
import { makeCertificate } from "./harness/certificates.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { textImage } from "./harness/images.ts";
import { tempDir } from "./harness/places.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";

async function started() {
  const [first, second, registry] = await Promise.all([
    startScriptedUpstream(),
    startScriptedUpstream(),
    startScriptedUpstream(),
  ]);
  const images = Array.from({ length: 8 }, (_, i) => textImage({ text: `image ${i}` }));
  for (const place of [first, second, registry]) {
    for (const [i, image] of images.entries()) place.add("app", image, String(i));
  }
  const auth = { username: "me", password: "s3cret" };
  const mirrors = [first, second].map(({ url }) => localUpstream(url));
  const config = { upstreams: { "reg.test": { ...localUpstream(registry.url), auth, mirrors } } };
  const cache = await startEntrepot({ config });
  const get = (reference: number | string) =>
    cache.get(`/v2/app/manifests/${reference}?ns=reg.test`);
  const asked = () => [first, second, registry].map((place) => place.requests().length);
  return {
    first,
    second,
    registry,
    get,
    asked,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      for (const place of [first, second, registry]) await place[Symbol.asyncDispose]();
    },
  };
}

test("mirrors are asked in order, and without credentials", async () => {
  await using at = await started();
  at.first.respond(({ headers }) =>
    headers.has("authorization") ? undefined : faults.unauthorized('Basic realm="x"'),
  );
  expect((await at.get(0)).status).toBe(200);
  // The first wants a password, which it is not given.
  expect(at.asked()).toEqual([1, 1, 0]);
  expect(at.first.requests().map(({ headers }) => headers.get("authorization"))).toEqual([null]);
});

test("each has a circuit of its own: what failed a moment ago is passed over", async () => {
  await using at = await started();
  await at.first.stop();
  at.second.respond(() => faults.refuses(503));
  for (const i of [0, 1, 2, 3]) expect((await at.get(i)).status).toBe(200);
  expect(at.asked()).toEqual([0, 1, 4]);
});

test("what a mirror lacks or limits is asked of the next", async () => {
  await using at = await started();
  at.first.respond(() => faults.refuses(404));
  at.second.respond(() => faults.tooManyRequests("60"));
  for (const i of [0, 1, 2]) expect((await at.get(i)).status).toBe(200);
  expect(at.asked()).toEqual([3, 1, 3]);
});

test("what is told in the end is what the registry said, never a mirror's 404", async () => {
  await using at = await started();
  at.first.respond(() => faults.refuses(404));
  await at.second.stop();
  await at.registry.stop();
  const response = await at.get("missing");
  expect([response.status, await response.text()]).toEqual([
    502,
    expect.stringContaining("refuses connections"),
  ]);
});

test("a mirror that hangs costs some seconds once, and the answer comes in time", async () => {
  await using at = await started();
  at.first.respond(() => faults.neverAnswers);
  const begun = performance.now();
  expect((await at.get(0)).status).toBe(200);
  expect(performance.now() - begun).toBeLessThan(15_000);
  const again = performance.now();
  expect((await at.get(1)).status).toBe(200);
  expect(performance.now() - again).toBeLessThan(2000);
}, 30_000);

test("two mirrors on one host are two in the metrics", async () => {
  await using upstream = await startScriptedUpstream();
  const mirrors = ["/one", "/two"].map((path) => localUpstream(`${upstream.url}${path}`));
  const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), mirrors } } };
  await using cache = await startEntrepot({ config });
  const metrics = await (await cache.getAdmin("/metrics")).text();
  const circuits = metrics.match(/^entrepot_upstream_circuit_open.*$/gm) ?? [];
  expect([...circuits]).toEqual(
    [`${upstream.url}/one`, `${upstream.url}/two`, upstream.url].map(
      (host) => `entrepot_upstream_circuit_open{upstream="reg.test",host="${host}"} 0`,
    ),
  );
});

test("a mirror's path may take the place of /v2, and its authority is its own", async () => {
  await using dir = await tempDir();
  const certificate = await makeCertificate(dir);
  await using mirror = await startScriptedUpstream({ certificate });
  await using plain = await startScriptedUpstream();
  await using registry = await startScriptedUpstream();
  const image = textImage({ text: "below a path" });
  mirror.add("proxy/k8s/app", image, "1");
  registry.add("app", image, "1");
  plain.respond(() => faults.refuses(404));
  mirror.addFile("/token", { token: "t" });
  mirror.respond(({ path, headers }) =>
    path === "/token" || headers.has("authorization")
      ? undefined
      : faults.unauthorized(`Bearer realm="${mirror.url}/token",service="m"`),
  );
  const mirrors = [
    { ...localUpstream(`${plain.url}/elsewhere`), overridePath: true },
    {
      ...localUpstream(`${mirror.url}/v2/proxy/k8s`),
      overridePath: true,
      ca: certificate.certificate,
    },
  ];
  const config = { upstreams: { "reg.test": { ...localUpstream(registry.url), mirrors } } };
  await using cache = await startEntrepot({ config });
  expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(200);
  expect(plain.requests().map(({ path }) => path)).toEqual(["/elsewhere/app/manifests/1"]);
  // There the repository is called by its whole path: the token has to be for that.
  expect(mirror.requests().map(({ path, query }) => [path, query.get("scope")])).toEqual([
    ["/v2/proxy/k8s/app/manifests/1", null],
    ["/token", "repository:proxy/k8s/app:pull"],
    ["/v2/proxy/k8s/app/manifests/1", null],
  ]);
  expect(registry.requests()).toEqual([]);
});

test("a mirror that does not resolve is asked for content, and never what a tag points to", async () => {
  await using mirror = await startScriptedUpstream();
  await using registry = await startScriptedUpstream();
  const image = textImage({ text: "moved on" });
  mirror.add("app", textImage({ text: "behind" }), "1");
  mirror.add("app", image);
  registry.add("app", image, "1");
  const mirrors = [{ ...localUpstream(mirror.url), resolve: false }];
  const config = { upstreams: { "reg.test": { ...localUpstream(registry.url), mirrors } } };
  await using cache = await startEntrepot({ config });
  const answer = await cache.get("/v2/app/manifests/1?ns=reg.test");
  expect(answer.headers.get("docker-content-digest")).toBe(image.manifest.digest);
  await cache.get(`/v2/app/blobs/${image.blobs[1]?.digest}?ns=reg.test`);
  await cache.get("/v2/app/tags/list?ns=reg.test");
  expect(mirror.requests().map(({ kind }) => kind)).toEqual(["blob"]);
  expect(registry.requests({ kind: "blob" })).toEqual([]);
});
