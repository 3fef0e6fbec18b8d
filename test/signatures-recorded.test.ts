import { expect, test } from "bun:test";
import { newKeys } from "./harness/signatures/certificate-maker.ts";
import {
  craftBundle,
  craftSimpleSigning,
  simplePayload,
  statementOf,
} from "./harness/signatures/crafted-bundle.ts";
import { SIMPLE } from "./harness/signatures/failing-cases.ts";
import { publicPem, ruleOf } from "./harness/signatures/rules.ts";
import { SignedRegistry, verifyingCache } from "./harness/signatures/signed-registry.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";

const KEYS = newKeys();
const RULE = ruleOf({ keys: [publicPem(KEYS.publicKey)], transparencyLog: false });
const OTHER_RULE = ruleOf({ keys: [publicPem(newKeys().publicKey)], transparencyLog: false });
const MINUTE_MS = 60_000;

interface Signed extends AsyncDisposable {
  readonly registry: SignedRegistry;
  sign(): void;
  /** As cosign 2. */
  signUnderTag(): void;
}

function signed(): Signed {
  const services = new SigstoreServices();
  const registry = new SignedRegistry();
  const { digest } = registry.image;
  return {
    registry,
    sign: () => {
      registry.attachBundle(
        craftBundle(services, statementOf(digest), { keys: KEYS, log: "none" }),
      );
    },
    signUnderTag: () => {
      const payload = simplePayload(digest, "reg.test/app");
      registry.attachLayers("sig", SIMPLE, [
        craftSimpleSigning(services, payload, { keys: KEYS, log: "none" }),
      ]);
    },
    [Symbol.asyncDispose]: async () => {
      registry[Symbol.dispose]();
      await services[Symbol.asyncDispose]();
    },
  };
}

test("a digest is looked at once for a rule, also by many at once, and not again after a restart", async () => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  at.sign();
  await using cache = await verifyingCache(registry.url);
  const found = await Promise.all(Array.from({ length: 20 }, () => cache.verify(digest, RULE)));
  expect(new Set(found.map((one) => one?.outcome))).toEqual(new Set(["passed"]));
  const asked = registry.requests.length;
  // The list of referrers, the tag .sig, the bundle's manifest and the bundle.
  expect(asked).toBe(4);
  await cache.verify(digest, RULE);
  expect(registry.requests.length).toBe(asked);

  await using later = await verifyingCache(registry.url, { metadata: cache.metadata });
  expect((await later.verify(digest, RULE))?.outcome).toBe("passed");
  expect(registry.requests.length).toBe(asked);
  // Another rule is another question.
  expect((await later.verify(digest, OTHER_RULE))?.outcome).toBe("failed");
  expect(registry.requests.length).toBeGreaterThan(asked);
});

test("what fails is looked at again once the registry lists more, and after a while", async () => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  let now = Date.now();
  const verdicts: string[] = [];
  await using cache = await verifyingCache(registry.url, {
    now: () => now,
    onVerified: ({ outcome }) => verdicts.push(outcome),
  });
  expect((await cache.verify(digest, RULE))?.outcome).toBe("failed");
  const asked = registry.requests.length;
  await cache.verify(digest, RULE);
  expect(registry.requests.length).toBe(asked);
  now += MINUTE_MS;
  // It is asked what there is, which is the same.
  await cache.verify(digest, RULE);
  expect(registry.requests.length).toBeGreaterThan(asked);
  expect(verdicts).toEqual(["failed"]);
  now += 10 * MINUTE_MS;
  await cache.verify(digest, RULE);
  expect(verdicts).toEqual(["failed", "failed"]);
  at.sign();
  now += MINUTE_MS;
  expect((await cache.verify(digest, RULE))?.outcome).toBe("passed");
  expect(verdicts).toEqual(["failed", "failed", "passed"]);
  expect(await cache.metadata.verifications.failed([RULE.revision], 10)).toEqual([]);
});

test("after a clock that was ahead, what failed then is looked at again", async () => {
  await using at = signed();
  const { registry } = at;
  let now = Date.now() + 30 * 24 * 60 * MINUTE_MS;
  let looks = 0;
  await using cache = await verifyingCache(registry.url, {
    now: () => now,
    onVerified: () => (looks += 1),
  });
  await cache.verify(registry.image.digest, RULE);
  now -= 30 * 24 * 60 * MINUTE_MS;
  await cache.verify(registry.image.digest, RULE);
  expect(looks).toBe(2);
});

test.each([
  ["its list of referrers", "/referrers/"],
  ["a bundle's manifest", "manifests/sha256:"],
  ["a bundle", "/blobs/"],
])("a registry that fails to give %s leaves it open", async (_, part) => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  at.sign();
  await using cache = await verifyingCache(registry.url);
  registry.answer = ({ path }) =>
    path.includes(part) ? new Response("", { status: 503 }) : undefined;
  expect(await cache.verify(digest, RULE)).toBeUndefined();
  const recorded = await cache.metadata.verifications.get(cache.repo, digest, RULE.revision);
  expect(recorded).toBeUndefined();
  registry.answer = () => undefined;
  expect((await cache.verify(digest, RULE))?.outcome).toBe("passed");
});

test.each([
  ["its list of referrers", "/referrers/", "tag"],
  ["the tag .sig", ".sig", "referrer"],
] as const)("without %s, a signature that is elsewhere counts", async (_, part, where) => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  await using cache = await verifyingCache(registry.url);
  registry.answer = ({ path }) =>
    path.includes(part) ? new Response("", { status: 503 }) : undefined;
  // What is missing may be where the registry does not say.
  expect(await cache.verify(digest, RULE)).toBeUndefined();
  if (where === "tag") at.signUnderTag();
  else at.sign();
  expect((await cache.verify(digest, RULE))?.outcome).toBe("passed");
});

test.each([
  ["its list of referrers", "/referrers/", "tag"],
  ["the tag .sig", ".sig", "referrer"],
] as const)("nobody waits for %s once a signature is found elsewhere", async (_, part, where) => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  if (where === "tag") at.signUnderTag();
  else at.sign();
  await using cache = await verifyingCache(registry.url);
  const gate = Promise.withResolvers<undefined>();
  registry.answer = ({ path }) => (path.includes(part) ? gate.promise : undefined);
  const record = await cache.verify(digest, RULE);
  gate.resolve(undefined);
  expect(record?.outcome).toBe("passed");
});

test("a place with more than is looked at does not hide a signature in another one", async () => {
  await using at = signed();
  const { registry } = at;
  for (let more = 0; more < 70; more += 1) registry.attachBundle(`{"no": ${more}}`);
  // The tag is known last.
  const gate = Promise.withResolvers<undefined>();
  registry.answer = ({ path }) => {
    if (path.includes("/blobs/")) gate.resolve(undefined);
    return path.endsWith(".sig") ? gate.promise : undefined;
  };
  at.signUnderTag();
  await using cache = await verifyingCache(registry.url);
  expect((await cache.verify(registry.image.digest, RULE))?.outcome).toBe("passed");
});

test("a registry that fails takes no verdict back", async () => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  let now = Date.now();
  await using cache = await verifyingCache(registry.url, { now: () => now });
  expect((await cache.verify(digest, RULE))?.outcome).toBe("failed");
  registry.answer = () => new Response("", { status: 503 });
  now += 60 * MINUTE_MS;
  expect((await cache.verify(digest, RULE))?.outcome).toBe("failed");
});

test("one signature that counts is enough, among others that do not", async () => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  await using services = new SigstoreServices();
  registry.attachBundle("{");
  registry.attachBundle(craftBundle(services, statementOf(digest), { log: "none" }));
  registry.attachBundle({});
  at.sign();
  await using cache = await verifyingCache(registry.url);
  expect((await cache.verify(digest, RULE))?.outcome).toBe("passed");
});

test("a registry without the referrers API has them under a tag", async () => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  at.sign();
  registry.listUnderTag();
  await using cache = await verifyingCache(registry.url);
  expect((await cache.verify(digest, RULE))?.outcome).toBe("passed");
});

test("a registry that lacked the referrers API is asked for the tag at the same time", async () => {
  await using at = signed();
  const { registry } = at;
  const { digest } = registry.image;
  at.sign();
  registry.listUnderTag();
  await using cache = await verifyingCache(registry.url);
  expect((await cache.verify(digest, RULE))?.outcome).toBe("passed");
  const asked = registry.requests.length;
  const tagAsked = Promise.withResolvers<undefined>();
  registry.answer = ({ path }) => {
    if (path.includes("/referrers/")) return tagAsked.promise;
    if (path.endsWith(digest.replace(":", "-"))) tagAsked.resolve(undefined);
    return undefined;
  };
  expect((await cache.verify(digest, OTHER_RULE))?.outcome).toBe("failed");
  const again = registry.requests.slice(asked).map(({ path }) => path);
  // Each once, as if it were asked for one after the other.
  expect(new Set(again).size).toBe(again.length);
});
