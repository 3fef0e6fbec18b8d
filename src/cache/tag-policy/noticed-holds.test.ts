import { expect, test } from "bun:test";
import { imageName } from "../../oci/image-reference.ts";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import type { Override } from "../../store/override-store.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { NoticedHolds } from "./noticed-holds.ts";
import type { TagAccount } from "./tag-accounts.ts";
import type { Hold } from "./tag-policy.ts";

const node = repositoryRef("docker.io", "library/node");
const young: Hold = { digest: digestNumber(2), because: "too-young", text: "it moved" };

/** Holds by tag, as they are found when they are looked at again. */
function noticed() {
  const state = {
    /** How long a look at a tag takes, in milliseconds. */
    work: 0,
    now: 1000,
    held: new Map<string, Hold>(),
    overrides: [] as Override[],
    served: digestNumber(1),
  };
  const told: string[] = [];
  const all = new NoticedHolds({
    accounts: {
      async of(repo, name): Promise<TagAccount> {
        const until = performance.now() + state.work;
        while (performance.now() < until);
        const hold = state.held.get(name);
        const image = imageName({ ...repo, tag: name });
        const { overrides, served } = state;
        return { image, stays: [], served, overrides, ...(hold ? { hold } : {}) };
      },
    },
    onHeld: ({ tag: name, hold }) => told.push(`held ${name}: ${hold.because}`),
    onLost: ({ tag: name }, { digest }) => told.push(`lost of ${name}: ${digest.at(-1)}`),
    onReleased: ({ tag: name }, by) => told.push(`released ${name} by ${by?.by ?? "itself"}`),
    now: () => state.now,
  });
  return { all, state, told };
}

test("a hold is told once, however often clients ask, and again for another digest or reason", () => {
  const { all, told } = noticed();
  for (let turn = 0; turn < 1000; turn += 1) all.held(node, tag("24"), young);
  all.held(node, tag("24"), { ...young, text: "it moved 5 h ago" });
  all.held(node, tag("24"), { ...young, digest: digestNumber(3) });
  all.held(node, tag("24"), { ...young, digest: digestNumber(3), because: "unverified" });
  expect(told).toEqual(["held 24: too-young", "held 24: too-young", "held 24: unverified"]);
  expect(all.count).toBe(1);
});

test("what a held tag needs and its registry no longer has is told once for an image, and shown for an hour", async () => {
  const { all, state, told } = noticed();
  const [image, layer] = [digestNumber(1), digestNumber(5)];
  for (let turn = 0; turn < 3; turn += 1)
    all.lost(node, tag("24"), young, { image, digest: layer });
  all.held(node, tag("24"), young);
  expect(told).toEqual(["held 24: too-young", `lost of 24: ${layer.at(-1)}`]);
  state.held.set("24", young);
  const shown = async () => (await all.current()).map(({ hold }) => hold?.text);
  state.served = image;
  expect(await shown()).toEqual([
    `it moved. ${image.slice(0, 19)} cannot be pulled: its registry no longer has ${layer.slice(0, 19)} of it`,
  ]);
  // It is served with another digest meanwhile.
  state.served = digestNumber(9);
  expect(await shown()).toEqual(["it moved"]);
  state.served = image;
  state.now += 3_600_001;
  expect(await shown()).toEqual(["it moved"]);
});

test("what is held no more is told when that is looked at, with who ended it", async () => {
  const { all, state, told } = noticed();
  for (const name of ["22", "23", "24"]) all.held(node, tag(name), young);
  state.held.set("22", young);
  told.length = 0;
  const release = { id: "1", kind: "release", pattern: "node", reason: "checked" } as const;
  state.overrides = [{ ...release, by: "ann", since: 1001 }];
  expect((await all.current()).map(({ image }) => image)).toEqual(["docker.io/library/node:22"]);
  state.overrides = [
    { ...release, by: "ann", since: 1, ended: { at: 999, by: "bob", reason: "" } },
  ];
  state.held.clear();
  await all.current();
  expect(told.toSorted()).toEqual([
    "released 22 by itself",
    "released 23 by ann",
    "released 24 by ann",
  ]);
  expect(all.count).toBe(0);
});

test("what was held before a restart is known after it, and is not told again", async () => {
  const { all, state, told } = noticed();
  state.held.set("24", young);
  const ofNode = ["22", "24", "24"].map((name) => ({ repo: node, tag: tag(name) }));
  await all.recall(ofNode);
  all.held(node, tag("24"), young);
  expect(told).toEqual([]);
  expect((await all.current()).map(({ image }) => image)).toEqual(["docker.io/library/node:24"]);
  state.held.clear();
  await all.current();
  expect(told).toEqual(["released 24 by itself"]);
});

test("no more than two thousand tags are remembered, those that were asked for last", async () => {
  const { all, state } = noticed();
  for (let number = 0; number < 5000; number += 1) {
    state.held.set(`t${number}`, young);
    all.held(node, tag(`t${number}`), young);
  }
  expect(all.count).toBe(2000);
  expect((await all.current()).map(({ image }) => image)).toContain("docker.io/library/node:t4999");
});

test("others have their turns while many are looked at", async () => {
  const { all, state } = noticed();
  const many = Array.from({ length: 40 }, (_, at) => ({ repo: node, tag: tag(`v${at}`) }));
  for (const { tag: name } of many) state.held.set(name, young);
  state.work = 2;
  expect(await eventLoopTurns(() => all.recall(many))).toBeGreaterThanOrEqual(39);
  expect(await eventLoopTurns(() => all.current())).toBeGreaterThanOrEqual(39);
});
