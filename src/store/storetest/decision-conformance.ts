import { expect, test } from "bun:test";
import type { MetadataStore } from "../metadata-store.ts";
import type { Override } from "../override-store.ts";
import { digestNumber, repositoryRef } from "./sample-names.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [one, two] = [digestNumber(1), digestNumber(2)];

/** The part of the suite of `MetadataStore` that is about what operators and signatures decide of tags. */
export function decisionConformance(metadata: () => MetadataStore): void {
  const override = (number: number, more: Partial<Override> = {}): Override => ({
    id: String(number).padStart(8, "0"),
    kind: "hold",
    pattern: "docker.io/library/nginx:latest",
    reason: "CVE-2026-1",
    by: "ops",
    since: number,
    ...more,
  });

  test("an override is kept as it is given, the latest first, and replaced by its id", async () => {
    const { overrides } = metadata();
    const all = [
      override(5, { kind: "freeze", pattern: "**", asOf: 3, until: 9 }),
      override(4, { kind: "release", digest: one, isUnverified: true }),
      override(3, { kind: "rollback", digest: two, ended: { at: 8, by: "me", reason: "" } }),
      override(2),
    ];
    for (const each of all.toReversed()) await overrides.put(each);
    expect(await overrides.list()).toEqual(all);
    const ended = override(5, { ended: { at: 7, by: "ops", reason: "fixed" } });
    await overrides.put(ended);
    expect(await overrides.list()).toEqual([ended, ...all.slice(1)]);
  });

  test("of more than 2,000 overrides, those are kept that still hold, and the latest", async () => {
    const { overrides } = metadata();
    const ended = { at: 1, by: "ops", reason: "" };
    await overrides.put(override(0));
    await overrides.put(override(1, { until: Date.now() + 3_600_000 }));
    await overrides.put(override(2, { until: Date.now() - 1 }));
    for (let number = 3; number < 2003; number += 1)
      await overrides.put(override(number, { ended }));
    const kept = (await overrides.list()).map(({ since }) => since);
    expect([kept.length, ...kept.slice(-3)]).toEqual([2000, 5, 1, 0]);
  });

  test("a verification is that of a digest in a repository, by one revision of a rule", async () => {
    const { verifications } = metadata();
    const passed = {
      outcome: "passed",
      detail: "signed by a",
      verifiedAt: 5,
      loggedAt: 3,
    } as const;
    const failed = { outcome: "failed", detail: "no signature", verifiedAt: 6 } as const;
    await verifications.put(nginx, one, "r1", failed);
    await verifications.put(nginx, one, "r1", passed);
    await verifications.put(nginx, one, "r2", failed);
    await verifications.put(nginx, two, "r1", { ...failed, verifiedAt: 7 });
    expect(await verifications.get(nginx, one, "r1")).toEqual(passed);
    expect(await verifications.get(nginx, one, "r2")).toEqual(failed);
    expect(await verifications.get(nginx, one, "r3")).toBeUndefined();
    expect(await verifications.find(nginx, [one, two], "r2")).toEqual(new Map([[one, failed]]));
    expect((await verifications.find(nginx, [two, one], "r1")).size).toBe(2);
    expect(
      await verifications.get(repositoryRef("docker.io", "library/redis"), one, "r1"),
    ).toBeUndefined();
    const listed = { repo: nginx, digest: two, revision: "r1", ...failed, verifiedAt: 7 };
    expect(await verifications.failed(["r1"], 9)).toEqual([listed]);
    expect(await verifications.failed(["r1", "r2"], 1)).toEqual([listed]);
    expect(await verifications.failed(["r1", "r2"], 9)).toHaveLength(2);
    expect(await verifications.failed([], 9)).toEqual([]);
  });
}
