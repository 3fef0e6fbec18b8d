import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import type { Override } from "../../store/override-store.ts";
import { Overrides } from "./overrides.ts";
import { TagPolicies } from "./tag-policies.ts";

const OVERRIDE: Override = {
  id: "1",
  kind: "freeze",
  pattern: "docker.io/*",
  asOf: 0,
  reason: "a test",
  by: "ada",
  since: 0,
};

function opened(...kept: readonly Override[]): Promise<Overrides> {
  return Overrides.open({ list: async () => [...kept], put: async () => {} });
}

test("an override that ends by itself is told, as one that somebody ends", async () => {
  const overrides = await opened();
  let told = 0;
  overrides.onChange(() => (told += 1));
  await overrides.put({ ...OVERRIDE, until: Date.now() + 50 });
  await overrides.put({ ...OVERRIDE, id: "2", until: Date.now() + 100 });
  await overrides.put({ ...OVERRIDE, id: "3" });
  expect(told).toBe(3);
  await until(() => told === 5, { what: "both ends to be told" });
});

test("a policy has another revision once an override has ended, also if the clock is set", async () => {
  let now = 1000;
  const overrides = await opened({ ...OVERRIDE, until: 5000 }, { ...OVERRIDE, id: "2" });
  const policy = new TagPolicies({ overrides, now: () => now });
  const revisions = [1000, 4999, 5000, 9000, 2000, 2001, 5000].map((moment) => {
    now = moment;
    return policy.revision;
  });
  const grows = revisions.slice(1).map((revision, at) => revision > (revisions[at] ?? 0));
  expect(grows).toEqual([false, true, false, true, false, true]);
});
