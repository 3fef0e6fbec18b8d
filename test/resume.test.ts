import { expect, test } from "bun:test";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

const MIB = 1024 * 1024;

async function setUp(size: number, seed: number) {
  const upstream = await startScriptedUpstream();
  const blob = randomContent(size, seed);
  upstream.addBlob("app", blob);
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  const cache = await startEntrepot({ config });
  /** Pulls the blob, and returns the status and the digest of the body. */
  const pull = async () => {
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of response.body ?? []) hasher.update(chunk);
    return [response.status, `sha256:${hasher.digest("hex")}`];
  };
  const sent = () => upstream.requests().reduce((sum, request) => sum + request.sent, 0);
  return {
    upstream,
    cache,
    blob,
    pull,
    sent,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test("a 200 MB blob whose transfer breaks off ten times costs at most 1.02 times its size", async () => {
  await using at = await setUp(200_000_000, 1);
  // Cut by FIN: after a reset the kernel would discard bytes that were received but not yet read.
  at.upstream.respond(({ nth }) => (nth <= 10 ? faults.cutAfter(3_000_000) : undefined));
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  expect(at.sent() / at.blob.size).toBeLessThanOrEqual(1.02);
}, 60_000);

test("an expired signed URL is replaced through a new request to the registry", async () => {
  await using at = await setUp(20 * MIB, 2);
  at.upstream.addFile("/cdn/blob", at.blob);
  let signature = 0;
  at.upstream.respond(({ kind, query }) => {
    if (kind === "blob") return faults.redirect(`/cdn/blob?signature=${(signature += 1)}`);
    // The first URL breaks off, and of the later ones only every third is valid.
    const nth = Number(query.get("signature"));
    if (nth === 1) return faults.cutAfter(8 * MIB);
    return nth % 3 === 0 ? undefined : faults.errorResponse(403, "DENIED");
  });
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  // Each break loses the bytes that were received but not yet read: some hundred KiB.
  expect(at.sent()).toBeLessThan(at.blob.size * 1.15);
}, 30_000);

test("a storage host that rejects every signed URL is a failure, and not a missing blob", async () => {
  await using at = await setUp(MIB, 3);
  at.upstream.respond(({ kind }) =>
    kind === "blob"
      ? faults.redirect("/cdn/blob?signature=x")
      : faults.errorResponse(403, "DENIED"),
  );
  const response = await at.cache.get(`/v2/app/blobs/${at.blob.digest}?ns=reg.test`);
  expect([response.status, await response.text()]).toEqual([
    502,
    expect.stringContaining(`reg.test redirected to ${at.upstream.address}, which returned 403`),
  ]);
});

test("a token that expires during a pull is renewed", async () => {
  await using at = await setUp(20 * MIB, 4);
  let issued = 0;
  at.upstream.respond(({ kind, path, headers, nth }) => {
    if (path === "/token") return { status: 200, body: `{"token":"t${(issued += 1)}"}` };
    const isCurrentToken = headers.get("authorization") === `Bearer t${issued}`;
    if (kind !== "blob" || issued === 0 || !isCurrentToken) {
      return faults.unauthorized(`Bearer realm="${at.upstream.url}/token",service="reg"`);
    }
    // Every response breaks off, and its token has expired by then.
    if (nth > 8) return undefined;
    issued += 1;
    return faults.cutAfter(5 * MIB);
  });
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  // Each break loses the bytes that were received but not yet read: some hundred KiB.
  expect(at.sent()).toBeLessThan(at.blob.size * 1.15);
}, 30_000);

test("after a part with a wrong Content-Range, the whole is fetched", async () => {
  await using at = await setUp(12 * MIB, 5);
  at.upstream.respond(({ nth, headers }) => {
    if (nth === 1) return faults.cutAfter(6 * MIB);
    const isPart = headers.get("range") !== null;
    return isPart ? { headers: { "Content-Range": `bytes 0-9/${12 * MIB}` } } : undefined;
  });
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  expect(at.upstream.requests().map(({ headers }) => headers.get("range"))).toEqual([
    "bytes=0-8388607",
    expect.stringMatching(/^bytes=6\d+-/),
    null,
  ]);
}, 30_000);
