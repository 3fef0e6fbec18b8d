import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Replica,
  type Replicas,
  replicas,
  smallImage,
} from "../../../test/harness/replicas/linked-replicas.ts";
import { policyMatch } from "../../config/policies/policy-match.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { digestNumber } from "../../store/storetest/sample-names.ts";

const DAY = 24 * 3_600_000;

let at: Replicas;
beforeAll(async () => {
  const match = policyMatch("reg.test/**");
  if (typeof match === "string") throw new Error(match);
  const age = { minAge: 3 * DAY, first: "hold", digests: "hold", lists: "show" } as const;
  at = await replicas({ rules: [{ match, age }] });
});
afterAll(() => at[Symbol.asyncDispose]());

/** An image that a replica was the first to see, and since when; its configuration is its only part. */
async function seen(replica: Replica, name: string, days: number) {
  const image = smallImage(name);
  at.push(name, image);
  await replica.pull(name).catch(() => {});
  at.clock.now += days * DAY;
  await replica.pull(name).catch(() => {});
  await replica.cache.settled();
  await at.settled();
  // Its text is a manifest that this test has made.
  const { config } = JSON.parse(new TextDecoder().decode(image.bytes)) as {
    config: { digest: string };
  };
  const part = parseDigest(config.digest);
  const manifest = parseDigest(image.digest);
  if (!part || !manifest) throw new Error("an image has digests");
  return { manifest, part };
}

/** Whether a client gets it by its digest. */
async function has(
  { cache, upstream, repo }: Replica,
  digest: Digest,
  as: "manifest" | "blob",
): Promise<boolean> {
  try {
    await cache.heldDigests.check(upstream, repo, digest, as);
    return true;
  } catch (error) {
    if (!(error instanceof Fault) || error.detail.kind !== "held") throw error;
    return false;
  }
}

test("what a client is given by one replica, it gets the parts of from any other one", async () => {
  const { one, two, three } = at;
  const { manifest, part } = await seen(one, "a", 4);
  expect(await has(two, manifest, "manifest")).toBe(true);
  expect(await has(three, part, "blob")).toBe(true);
});

test("what is too young is held at all of them, whoever was the first to see it", async () => {
  const { one, two, three } = at;
  const { manifest, part } = await seen(one, "b", 2);
  expect(await has(two, manifest, "manifest")).toBe(false);
  expect(await has(three, part, "blob")).toBe(false);
  expect(await has(three, digestNumber(1), "blob")).toBe(false);
});

test("what a client was given a moment ago is waited for", async () => {
  const { one, two } = at;
  one.ledger.away();
  const { manifest, part } = await seen(one, "c", 4);
  const both = Promise.all([has(two, manifest, "manifest"), has(two, part, "blob")]);
  // It looks for them, and nothing was told yet.
  await Promise.resolve();
  one.ledger.back();
  expect(await both).toEqual([true, true]);
});

test("what an operator holds is held at all of them, with its parts", async () => {
  const { one, two } = at;
  const { manifest, part } = await seen(one, "d", 4);
  const override = {
    id: crypto.randomUUID(),
    kind: "hold",
    pattern: `reg.test/app@${manifest}`,
    reason: "r",
    by: "ops",
    since: at.clock.now,
  } as const;
  await one.overrides.put(override);
  await one.facts.order({ kind: "override", override });
  expect(await has(two, manifest, "manifest")).toBe(false);
  expect(await has(two, part, "blob")).toBe(false);
});
