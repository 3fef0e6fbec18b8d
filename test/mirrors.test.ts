import { expect, test } from "bun:test";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { textImage } from "./harness/images.ts";
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
