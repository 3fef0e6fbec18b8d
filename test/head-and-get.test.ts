import { expect, test } from "bun:test";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

const TAG = "app/manifests/1";
const shared = new SharedCache();

/** A registry whose HEAD of a manifest has the fault that `head` gives, if any. GET is as it should be. */
async function setUp(head: (digests: { old: string; new: string }) => faults.Fault | undefined) {
  const upstream = await startScriptedUpstream();
  const images = {
    old: textImage({ text: `old ${upstream.url}` }),
    new: textImage({ text: `new ${upstream.url}` }),
  };
  upstream.add("app", images.old, "1");
  upstream.add("app", images.new);
  const digests = { old: images.old.manifest.digest, new: images.new.manifest.digest };
  upstream.respond(({ method }) => (method === "HEAD" ? head(digests) : undefined));
  const added = await shared.add({ ...localUpstream(upstream.url), tagTtl: "0s" });
  const { cache } = added;
  /** What the cache says now: the image's name, or the status. */
  const now = async (method: "GET" | "HEAD" = "GET", path = TAG) => {
    const response = await cache.get(added.path(path), { method });
    await response.bytes();
    const digest = response.headers.get("docker-content-digest");
    const known = digest === digests.old ? "old" : digest === digests.new ? "new" : digest;
    return response.status === 200 ? known : response.status;
  };
  return {
    upstream,
    digests,
    now,
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const NOWHERE = `sha256:${"a".repeat(64)}`;

const cases: [string, (digests: { old: string; new: string }) => faults.Fault][] = [
  ...[400, 403, 404, 500, 501].map((status): [string, () => faults.Fault] => [
    `${status}`,
    () => faults.errorResponse(status),
  ]),
  ["a web page", () => faults.htmlPage],
  ["a reset", () => ({ hangUp: "reset" })],
  ["a digest that the registry does not give", () => faults.claims({ digest: NOWHERE })],
  ["the old digest for ever", (digests) => faults.claims({ digest: digests.old })],
  ["the digest of another image", (digests) => faults.claims({ digest: digests.new })],
];

test.each(cases)("where HEAD answers %s, a tag is what GET gives", async (_, head) => {
  await using at = await setUp(head);
  expect(await at.now()).toBe("old");
  const before = await Promise.all([at.now(), at.now()]);
  expect(before).toEqual(["old", "old"]);
  at.upstream.tag("app", "1", at.digests.new);
  // A HEAD that always names the known digest is believed three times.
  const seen: unknown[] = [];
  for (let turn = 0; turn < 5; turn += 1) seen.push(await at.now());
  expect(seen.slice(3)).toEqual(["new", "new"]);
});

test.each(cases)("where HEAD answers %s, a client's HEAD spoils no pull", async (_, head) => {
  await using at = await setUp(head);
  await at.now("HEAD");
  expect(await at.now()).toBe("old");
  expect(await at.now("HEAD")).toBe("old");
});

test("where HEAD and GET say that a tag is gone, it is gone", async () => {
  await using at = await setUp(() => undefined);
  await at.now();
  at.upstream.tag("app", "1", undefined);
  expect([await at.now(), await at.now("HEAD")]).toEqual([404, 404]);
});

test("a tag whose HEAD names what GET does not have is gone, as GET says", async () => {
  await using at = await setUp(() => faults.claims({ digest: NOWHERE }));
  await at.now();
  const named = faults.claims({ digest: NOWHERE });
  at.upstream.respond(({ method }) => (method === "GET" ? faults.errorResponse(404) : named));
  expect([await at.now(), await at.now()]).toEqual([404, 404]);
});

test("a pull by HEAD and digest is repeated while the registry is down", async () => {
  await using at = await setUp(() => undefined);
  expect(await at.now("HEAD")).toBe("old");
  const byDigest = `app/manifests/${at.digests.old}`;
  const all = await Promise.all(Array.from({ length: 10 }, () => at.now("GET", byDigest)));
  expect(new Set(all)).toEqual(new Set(["old"]));
  expect(at.upstream.requests({ method: "GET" })).toHaveLength(1);
  await at.upstream.stop();
  expect([await at.now("HEAD"), await at.now()]).toEqual(["old", "old"]);
});

test("a pull by HEAD and digest decides nothing about the tag: GET does", async () => {
  await using at = await setUp(({ new: other }) => faults.claims({ digest: other }));
  expect(await at.now("HEAD")).toBe("new");
  expect(await at.now("GET", `app/manifests/${at.digests.new}`)).toBe("new");
  expect([await at.now(), await at.now("HEAD")]).toEqual(["old", "old"]);
});

test("what a HEAD said of a tag does not replace what a GET said of it since", async () => {
  await using at = await setUp(() => undefined);
  expect(await at.now("HEAD")).toBe("old");
  at.upstream.tag("app", "1", at.digests.new);
  expect(await at.now()).toBe("new");
  expect(await at.now("GET", `app/manifests/${at.digests.old}`)).toBe("old");
  await at.upstream.stop();
  expect([await at.now("HEAD"), await at.now()]).toEqual(["new", "new"]);
});
