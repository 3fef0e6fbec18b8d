import { expect, test } from "bun:test";
import { randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";

const MIB = 1024 * 1024;

async function started(size: number, seed: number) {
  const upstream = await startScriptedUpstream();
  const blob = randomContent(size, seed);
  upstream.addBlob("app", blob);
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  const cache = await startEntrepot({ config });
  /** The digest of what a client gets. */
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

test("200 MB that are cut ten times cost at most 1.02 times their bytes", async () => {
  await using at = await started(200_000_000, 1);
  // A reset would have the kernel throw away what it had received and nobody had read yet.
  at.upstream.respond(({ nth }) => (nth <= 10 ? faults.cutAfter(18_000_000) : undefined));
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  expect(at.upstream.requests().length).toBe(11);
  expect(at.sent() / at.blob.size).toBeLessThanOrEqual(1.02);
}, 60_000);

test("a signed address that has run out is resolved anew through the registry", async () => {
  await using at = await started(20 * MIB, 2);
  at.upstream.addFile("/cdn/blob", at.blob);
  let signature = 0;
  at.upstream.respond(({ kind, query }) => {
    if (kind === "blob") return faults.redirect(`/cdn/blob?signature=${(signature += 1)}`);
    // The first is cut off, and of those that follow only every third is good.
    const nth = Number(query.get("signature"));
    if (nth === 1) return faults.cutAfter(8 * MIB);
    return nth % 3 === 0 ? undefined : faults.errorResponse(403, "DENIED");
  });
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  // What was received and not yet read when it broke is lost: some hundred KiB each time.
  expect(at.sent()).toBeLessThan(at.blob.size * 1.15);
}, 30_000);

test("a storage that refuses every signed address is a failure, and no word on the blob", async () => {
  await using at = await started(MIB, 3);
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

test("a token that expires in mid-pull is renewed", async () => {
  await using at = await started(20 * MIB, 4);
  let issued = 0;
  at.upstream.respond(({ kind, path, headers, nth }) => {
    if (path === "/token") return { status: 200, body: `{"token":"t${(issued += 1)}"}` };
    const isNow = headers.get("authorization") === `Bearer t${issued}`;
    if (kind !== "blob" || issued === 0 || !isNow) {
      return faults.unauthorized(`Bearer realm="${at.upstream.url}/token",service="reg"`);
    }
    // Every answer breaks, and by then its token has expired.
    if (nth > 8) return undefined;
    issued += 1;
    return faults.cutAfter(5 * MIB);
  });
  expect(await at.pull()).toEqual([200, at.blob.digest]);
  // What was received and not yet read when it broke is lost: some hundred KiB each time.
  expect(at.sent()).toBeLessThan(at.blob.size * 1.15);
}, 30_000);

test("a Content-Range that lies is refused, and nothing of it is stored", async () => {
  await using at = await started(12 * MIB, 5);
  at.upstream.respond(({ nth }) => {
    if (nth === 1) return faults.cutAfter(6 * MIB);
    return nth < 4 ? { headers: { "Content-Range": `bytes 0-9/${12 * MIB}` } } : undefined;
  });
  const response = await at.cache.get(`/v2/app/blobs/${at.blob.digest}?ns=reg.test`);
  const reader = response.body?.getReader();
  await reader?.read();
  await at.cache.logged("download failed");
  await reader?.cancel();
  at.upstream.respond();
  expect(await at.pull()).toEqual([200, at.blob.digest]);
}, 30_000);
