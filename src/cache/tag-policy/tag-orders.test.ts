import { expect, test } from "bun:test";
import { parseImageReference } from "../../oci/image-reference.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MAX_OVERRIDES, type Override } from "../../store/override-store.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import type { TagStay } from "../../store/tag-history.ts";
import type { VerificationRecord } from "../../store/verification-store.ts";
import { decide } from "./decide.ts";
import { keepOverrides } from "./keep-overrides.ts";
import { OrderRefused } from "./order-refused.ts";
import { isActive, Overrides } from "./overrides.ts";
import { TagAccounts } from "./tag-accounts.ts";
import { AS_REGISTRIES_SAY } from "./tag-policy.ts";
import { type PreparedOrder, TagOrders } from "./tag-orders.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 29, 12);
const node = repositoryRef("docker.io", "library/node");
const [oldest, older, newest] = [digestNumber(1), digestNumber(2), digestNumber(3)];
const TERMS = { reason: "it is known", by: "ann" };
const MIN_AGE = 3 * DAY;

const stays: readonly TagStay[] = [
  { digest: newest, firstSeen: NOW - DAY / 6, lastSeen: NOW },
  { digest: older, firstSeen: NOW - 9 * DAY, lastSeen: NOW - DAY / 6 },
  { digest: oldest, firstSeen: NOW - 30 * DAY, lastSeen: NOW - 9 * DAY },
];

/** The orders of a cache that knows node:24, where digests have to be three days old. */
async function orders({
  minAge = MIN_AGE,
  failing,
}: { readonly minAge?: number; readonly failing?: Digest } = {}) {
  const kept: Override[] = [];
  const state = { canWrite: true, writes: 0 };
  const overrides = await Overrides.open({
    list: async () => [],
    async put(override) {
      if (!state.canWrite) throw new Fault({ kind: "storage", reason: "the disk is read-only" });
      state.writes += 1;
      kept.push(override);
    },
  });
  const isStored = async (_repo: unknown, digest: Digest): Promise<boolean> =>
    digest === older || digest === newest;
  const failed: VerificationRecord = { outcome: "failed", detail: "no signature", verifiedAt: NOW };
  const fixed = (): Override | undefined =>
    overrides.all.find(
      (one) => isActive(one, NOW) && one.kind !== "release" && !one.pattern.includes("@"),
    );
  const verify = {
    mode: "enforce",
    keys: [],
    keyless: [],
    attestations: [],
    signature: true,
    repository: "any",
    transparencyLog: false,
    revision: "1",
  } as const;
  const match = {
    text: "**",
    matches: () => true,
    matchesTag: () => true,
    matchesRepository: () => true,
    toJSON: () => "",
  };
  const accounts = new TagAccounts({
    overrides,
    isStored,
    history: { of: async (_, name) => (name === tag("24") ? [...stays] : []) },
    verifications: { get: async (_, digest) => (digest === failing ? failed : undefined) },
    rules: () => [{ match, verify }],
    policy: {
      ...AS_REGISTRIES_SAY,
      governs: () => true,
      isFixed: () => fixed() !== undefined,
      plan: async () =>
        decide({
          image: "docker.io/library/node:24",
          stays,
          rule: { minAge, first: "allow", digests: "pass", lists: "show" },
          fixed: fixed(),
          heldBy: (digest) =>
            overrides.all.find(
              (one) =>
                one.kind === "hold" && isActive(one, NOW) && one.pattern.endsWith(`@${digest}`),
            ),
          isReleased: (digest) =>
            overrides.all.some((one) => one.kind === "release" && one.digest === digest),
          loggedAt: () => undefined,
          now: NOW,
        }),
    },
  });
  const all = new TagOrders({ overrides, accounts, isStored, now: () => NOW });
  return {
    overrides,
    all,
    state,
    kept,
    keep: async (order: PreparedOrder | Promise<PreparedOrder>) =>
      keepOverrides(overrides, (await order).puts),
    served: async () => (await accounts.of(node, tag("24"), NOW)).served,
    account: () => accounts.of(node, tag("24"), NOW),
  };
}

function image(text: string) {
  const reference = parseImageReference(text);
  if (!reference) throw new Error(`${text} is no image`);
  return reference;
}

async function refusal(order: () => PreparedOrder | Promise<PreparedOrder>): Promise<string> {
  try {
    await order();
  } catch (error) {
    if (error instanceof OrderRefused) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "it was taken";
}

test("a tag whose digest is too young is released by that digest, and is served then", async () => {
  const { all, keep, served, overrides } = await orders();
  expect(await served()).toBe(older);
  await keep(all.release(image("node:24"), TERMS));
  expect(await served()).toBe(newest);
  expect(overrides.all).toEqual([
    {
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      kind: "release",
      pattern: `docker.io/library/node:24@${newest}`,
      digest: newest,
      since: NOW,
      stamp: NOW,
      ...TERMS,
    },
  ]);
  expect(await refusal(() => all.release(image("node:24"), TERMS))).toBe(
    "conflict: nothing is held of docker.io/library/node:24: entrepot history docker.io/library/node:24 shows what it was, and what is served",
  );
});

test("a digest that is held back is in no tag, until it is released", async () => {
  const { all, keep, served, account } = await orders({ minAge: 0 });
  await keep(all.hold(image(`node@${newest}`), TERMS));
  expect(await served()).toBe(older);
  expect((await account()).hold?.because).toBe("held");
  expect((await account()).overrides).toHaveLength(1);
  expect(await refusal(() => all.hold(image(`node@${newest}`), TERMS))).toContain(
    "conflict: there is such a hold",
  );
  await keep(all.release(image("node:24"), TERMS));
  expect(await served()).toBe(newest);
});

test("a tag is rolled back to a digest or a moment, and its release ends that, also where there are two", async () => {
  const { all, keep, served, overrides } = await orders({ minAge: 0 });
  const toDigest = await all.rollback(image("node:24"), older.slice(7, 15), TERMS);
  expect(toDigest.stay?.digest).toBe(older);
  expect(toDigest.notes).toEqual([]);
  await keep(toDigest);
  expect(await served()).toBe(older);
  const toMoment = await all.rollback(image("node:24"), NOW - 10 * DAY, {
    ...TERMS,
    until: NOW + DAY,
  });
  expect(toMoment.notes).toEqual([
    "it comes before the rollback by ann (it is known)",
    "its manifest is not stored here: the next pull fetches it by its digest, if its registry still has it",
  ]);
  expect(toMoment.puts[0]).toMatchObject({ digest: oldest, until: NOW + DAY });
  await keep(toMoment);
  const release = await all.release(image("node:24"), { reason: "over", by: "bob" });
  // The one that decides is ended last.
  expect(release.puts.map(({ digest }) => digest)).toEqual([older, oldest]);
  await keep(release);
  expect(await served()).toBe(newest);
  expect(overrides.all.every(({ ended }) => ended?.by === "bob")).toBe(true);
});

test("the later order decides, also where the earlier one is from a clock that was ahead", async () => {
  const { all, keep, served, overrides } = await orders({ minAge: 0 });
  const { puts } = await all.rollback(image("node:24"), older, TERMS);
  for (const put of puts) await overrides.put({ ...put, since: NOW + 30 * DAY });
  await keep(all.rollback(image("node:24"), oldest, TERMS));
  expect(await served()).toBe(oldest);
});

test("an order that another one has replaced can be given again", async () => {
  const { all, keep, served, overrides } = await orders({ minAge: 0 });
  await keep(all.rollback(image("node:24"), older, TERMS));
  expect(await refusal(() => all.rollback(image("node:24"), older, TERMS))).toContain(
    "conflict: there is such a rollback",
  );
  await keep(all.rollback(image("node:24"), oldest, TERMS));
  await keep(all.rollback(image("node:24"), older, TERMS));
  expect(await served()).toBe(older);
  await keep(all.release(image("node:24"), TERMS));
  for (const days of [10, 1, 10]) await keep(all.freeze("docker.io/*", NOW - days * DAY, TERMS));
  const freezes = overrides.all.filter((one) => one.kind === "freeze");
  expect(freezes.map(({ asOf }) => asOf)).toEqual([10, 1, 10].map((days) => NOW - days * DAY));
});

test("a tag stays where it is, and a frozen one is released by what froze it", async () => {
  const { all, keep, served } = await orders({ minAge: MIN_AGE });
  const hold = await all.hold(image("node:24"), TERMS);
  expect(hold.puts).toMatchObject([
    { kind: "hold", pattern: "docker.io/library/node:24", digest: older },
  ]);
  await keep(all.freeze("docker.io/*", NOW - 10 * DAY, TERMS));
  expect(await served()).toBe(oldest);
  expect(await refusal(() => all.release(image("node:24"), TERMS))).toBe(
    "conflict: docker.io/library/node:24 is frozen by ann (it is known): entrepot unfreeze 'docker.io/*:*' ends that, or entrepot rollback docker.io/library/node:24 --to DIGEST gives this tag another digest",
  );
});

test("what is not signed as it has to be is released only where that is said", async () => {
  const { all, keep, served, account } = await orders({ minAge: 0, failing: newest });
  expect(await served()).toBe(older);
  expect((await account()).hold?.because).toBe("unverified");
  expect(await refusal(() => all.release(image("node:24"), TERMS))).toBe(
    "conflict: docker.io/library/node:24 is not signed as it has to be: no signature: if it is to be served nonetheless, add --unverified",
  );
  await keep(all.release(image("node:24"), { ...TERMS, isUnverified: true }));
  expect(await served()).toBe(newest);
});

test("what cannot be meant is refused, with what to do", async () => {
  const { all } = await orders();
  const tag24 = image("node:24");
  expect(
    await Promise.all(
      [
        () => all.rollback(tag24, "sha256:12", TERMS),
        () => all.rollback(tag24, digestNumber(9), TERMS),
        () => all.rollback(tag24, newest, TERMS),
        () => all.rollback(tag24, NOW - 31 * DAY, TERMS),
        () => all.rollback(tag24, NOW + DAY, TERMS),
        () => all.rollback(image(`node@${older}`), NOW, TERMS),
        () => all.hold(image(`node:24@${older}`), TERMS),
        () => all.hold(image("node:25"), TERMS),
        () => all.hold(tag24, { ...TERMS, until: NOW - 1 }),
        () => all.freeze(`node@${older}`, NOW, TERMS),
        () => all.freeze("-", NOW, TERMS),
        () => all.freeze("*", NOW + 1, TERMS),
        () => all.end("none", TERMS),
      ].map(refusal),
    ),
  ).toMatchInlineSnapshot(`
    [
      "invalid: "sha256:12" is not a digest: write sha256: and at least 6 of its digits; entrepot history docker.io/library/node:24 lists what it had",
      "none: docker.io/library/node:24 was never seen to have "sha256:19581e27de7ced00ff1ce50b2047e7a567c76b1cbaebabe5ef03f7c3017bb5b7": entrepot history docker.io/library/node:24 lists what it had",
      "conflict: docker.io/library/node:24 has sha256:4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce by its registry: entrepot hold docker.io/library/node:24 keeps what is served, and entrepot release docker.io/library/node:24 serves what its registry says",
      "none: nothing is known of docker.io/library/node:24 at 2026-10-29 12:00 UTC: it was first seen at 2026-10-30 12:00 UTC: name a later moment, or a digest",
      "invalid: 2026-11-30 12:00 UTC is in the future: name a moment that is over",
      "invalid: docker.io/library/node@sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35 is a digest: name the tag that is to point to another digest, such as node:24",
      "invalid: the image has a tag and a digest: entrepot hold docker.io/library/node:24 keeps the tag where it is, entrepot rollback docker.io/library/node:24 --to sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35 gives it this digest, and entrepot hold docker.io/library/node@sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35 gives this digest to nobody",
      "none: nothing is known of docker.io/library/node:25: pull it through this cache once, or see whether the name is right (entrepot ls)",
      "invalid: it would have ended at 2026-11-29 11:59 UTC already: name a later end, or none",
      "invalid: "node@sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35" names a digest, which never changes: write a tag such as node:24, or a pattern such as docker.io/*",
      "invalid: "-" is not a valid pattern: write a tag such as node:24, or a pattern such as docker.io/*",
      "invalid: 2026-11-29 12:00 UTC is in the future: name a moment that is over",
      "none: there is no override "none": entrepot overrides lists them",
    ]
  `);
});

test("if an override cannot be kept, it does not hold, and the refusal says so", async () => {
  const { all, keep, served, state } = await orders({ minAge: 0 });
  await keep(all.rollback(image("node:24"), older, TERMS));
  state.canWrite = false;
  const order = await all.release(image("node:24"), TERMS);
  expect(await refusal(async () => (await keep(order), order))).toBe(
    "not-kept: the rollback of docker.io/library/node:24 cannot be kept, and what is served stays as it is: the cache's storage failed: the disk is read-only: mend that (entrepot doctor says what is wrong), and give the order again",
  );
  expect(await served()).toBe(older);
  expect(state.writes).toBe(1);
});

test("an order that would take the place of an override that holds is refused, and an end never is", async () => {
  const { all, overrides, keep } = await orders();
  await keep(all.freeze("ghcr.io/*", NOW - DAY, TERMS));
  for (let number = 1; number < MAX_OVERRIDES; number += 1) {
    const pattern = `docker.io/library/other@${digestNumber(number)}`;
    await overrides.put({ ...TERMS, id: `${number}`, kind: "hold", pattern, since: NOW });
  }
  const refused = await refusal(() => all.hold(image(`node@${newest}`), TERMS));
  expect(refused).toStartWith("conflict: 2000 overrides hold already, and no more are kept: end");
  await keep(all.release(image(`docker.io/library/other@${digestNumber(1)}`), TERMS));
  await keep(all.hold(image(`node@${newest}`), TERMS));
});
