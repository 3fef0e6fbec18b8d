import { expect, test } from "bun:test";
import { randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { type Image, textImage } from "./harness/images.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs } from "./harness/stored.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function started(policy: object) {
  const upstream = await startScriptedUpstream();
  const image = textImage({ text: "policy" });
  for (const name of ["team/app", "team/secret", "other/app"])
    upstream.add(name, image, "1", "v1.2.3");
  const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), ...policy } } };
  const cache = await startEntrepot({ config });
  const get = (path: string) => cache.get(`/v2/${path}?ns=reg.test`);
  return {
    upstream,
    image,
    cache,
    get,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const everyWay = (image: Image): string[] => [
  "manifests/1",
  `manifests/${image.manifest.digest}`,
  ...image.blobs.map(({ digest }) => `blobs/${digest}`),
  "tags/list",
  `referrers/${image.manifest.digest}`,
];

test("allow and deny hold for tags, digests and lists, also of what is cached", async () => {
  await using at = await started({ allow: ["team/**"], deny: ["*/secret"] });
  for (const way of everyWay(at.image)) {
    expect([way, (await at.get(`team/app/${way}`)).status]).toEqual([way, 200]);
  }
  at.upstream.forget();
  for (const name of ["team/secret", "other/app"]) {
    for (const way of everyWay(at.image)) {
      const response = await at.get(`${name}/${way}`);
      const body = await response.text();
      expect([way, response.status]).toEqual([way, 403]);
      expect(body).toContain(`does not allow ${name} of reg.test`);
    }
  }
  expect(at.upstream.requests()).toEqual([]);
});

test("what is bypassed is passed through each time and never stored", async () => {
  await using at = await started({ bypass: ["team/*"], tagTtl: "1h" });
  const large = randomContent(10 * MIB, 9);
  at.upstream.addBlob("team/app", large);
  for (let turn = 1; turn <= 2; turn += 1) {
    for (const way of everyWay(at.image)) {
      const response = await at.get(`team/app/${way}`);
      expect([way, response.status]).toEqual([way, 200]);
      expect(response.headers.get("cache-status")).toBe("entrepot; fwd=bypass");
      await response.bytes();
    }
    at.upstream.respond(({ nth }) => (nth % 2 ? faults.cutAfter(4 * MIB) : undefined));
    const bytes = await (await at.get(`team/app/blobs/${large.digest}`)).bytes();
    expect(`sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`).toBe(
      large.digest,
    );
    at.upstream.respond();
  }
  const part = await at.cache.get(`/v2/team/app/blobs/${large.digest}?ns=reg.test`, {
    headers: { range: "bytes=1000-1999" },
  });
  expect([part.status, (await part.bytes()).length]).toEqual([206, 1000]);
  expect(await storedBlobs(at.cache.data)).toEqual([]);
  expect(at.upstream.requests({ method: "GET", kind: "manifest", reference: "1" }).length).toBe(2);
}, 30_000);

test("what is bypassed is checked as well", async () => {
  await using at = await started({ bypass: ["**"] });
  const manifest = at.image.manifest.digest;
  at.upstream.respond(() => ({ flipBitAt: 20 }));
  expect((await at.get(`team/app/manifests/${manifest}`)).status).toBe(502);
});

test("a tag that never moves is not asked about again", async () => {
  await using at = await started({ tagTtl: "0s", immutableTags: ["v*.*.*"] });
  await at.get("team/app/manifests/v1.2.3");
  await at.get("team/app/manifests/1");
  at.upstream.forget();
  await at.get("team/app/manifests/v1.2.3");
  expect(at.upstream.requests()).toEqual([]);
  await at.get("team/app/manifests/1");
  expect(at.upstream.requests().length).toBe(1);
});

test("staleFor bounds how long a tag stands in for a registry that fails", async () => {
  await using at = await started({ tagTtl: "0s", staleFor: "2s" });
  await at.get("team/app/manifests/1");
  await at.upstream.stop();
  const begun = performance.now();
  const stale = await at.get("team/app/manifests/1");
  if (performance.now() - begun < 1500) expect(stale.status).toBe(200);
  await until(async () => (await at.get("team/app/manifests/1")).status === 502, {
    what: "the tag to be too old",
  });
  // What is asked for by its digest cannot be stale.
  expect((await at.get(`team/app/manifests/${at.image.manifest.digest}`)).status).toBe(200);
});
