import { expect, test } from "bun:test";
import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tempDir, type TempDir } from "../../../test/harness/temp-dir.ts";
import { Fault } from "../../oci/fault.ts";
import type { MetadataStore } from "../metadata-store.ts";
import type { Override } from "../override-store.ts";
import { openFrozenMetadata, openMetadata } from "../sql/open-metadata.ts";
import { digestNumber } from "../storetest/sample-names.ts";
import { rejection } from "../storetest/writing.ts";
import { KeptOverrides } from "./kept-overrides.ts";
import { SidecarFiles } from "./sidecar-files.ts";

const hold: Override = {
  id: "11111111-1111-4111-8111-111111111111",
  kind: "hold",
  pattern: "docker.io/library/node:24",
  digest: digestNumber(1),
  reason: "CVE-2026-1",
  by: "ops",
  since: 1,
  until: 9,
};
const release: Override = {
  id: "22222222-2222-4222-8222-222222222222",
  kind: "release",
  pattern: `docker.io/library/node@${digestNumber(2)}`,
  isUnverified: true,
  reason: "looked at",
  by: "ops",
  since: 2,
  stamp: 7,
};
const ended: Override = { ...hold, ended: { at: 3, by: "me", reason: "fixed" } };

interface World {
  readonly dir: TempDir;
  readonly faults: Fault[];
  /** Overrides over a database, by a process of its own. */
  readonly over: (metadata: MetadataStore) => KeptOverrides;
}

async function world(work: (world: World) => Promise<void>): Promise<void> {
  await using dir = await tempDir("overrides");
  await mkdir(dir.file("sidecars"));
  const faults: Fault[] = [];
  const over = (metadata: MetadataStore) =>
    new KeptOverrides(metadata.overrides, new SidecarFiles(dir.path), (fault) =>
      faults.push(fault),
    );
  await work({ dir, faults, over });
}

test("overrides come back into a database that was replaced, and those that ended have ended", () =>
  world(async ({ over, faults }) => {
    const [lost, empty, old] = [
      await openMetadata(":memory:"),
      await openMetadata(":memory:"),
      await openMetadata(":memory:"),
    ];
    const first = over(lost);
    await Promise.all([first.put(hold), first.put(release)]);
    await first.put(ended);
    expect(await over(empty).list()).toEqual([release, ended]);
    expect(await empty.overrides.list()).toEqual([release, ended]);
    await old.overrides.put(hold);
    expect(await over(old).list()).toEqual([release, ended]);
    expect(faults).toEqual([]);
    for (const metadata of [lost, empty, old]) await metadata.close();
  }));

test("an override that is made before the database is rebuilt keeps the earlier ones", () =>
  world(async ({ over }) => {
    const [lost, empty, later] = [
      await openMetadata(":memory:"),
      await openMetadata(":memory:"),
      await openMetadata(":memory:"),
    ];
    await over(lost).put(hold);
    await over(empty).put(release);
    expect(await over(later).list()).toEqual([release, hold]);
    for (const metadata of [lost, empty, later]) await metadata.close();
  }));

test("where the database cannot be read or written, overrides come from the file", () =>
  world(async ({ over, faults }) => {
    const lost = await openMetadata(":memory:");
    await over(lost).put(hold);
    await lost.close();
    expect(await over(lost).list()).toEqual([hold]);
    const frozen = await openFrozenMetadata(":memory:");
    expect(await over(frozen).list()).toEqual([hold]);
    expect(faults.length).toBeGreaterThan(0);
    // It would not hold after a restart.
    expect(await rejection(over(frozen).put(release))).toBeInstanceOf(Fault);
    await frozen.close();
  }));

test("a file that cannot be read is not written over, and the database has what it should have", () =>
  world(async ({ dir, over, faults }) => {
    const metadata = await openMetadata(":memory:");
    await over(metadata).put(hold);
    const path = dir.file("sidecars/overrides.json");
    await rename(path, dir.file("aside"));
    await symlink(path, path);
    const overrides = over(metadata);
    await overrides.put(release);
    expect(await overrides.list()).toEqual([release, hold]);
    expect(faults.length).toBeGreaterThan(0);
    await metadata.close();
    expect(await rejection(overrides.list())).toBeInstanceOf(Fault);
    await rm(path);
    await rename(dir.file("aside"), path);
    expect(await over(metadata).list()).toEqual([hold]);
  }));

test("of a file, the overrides count that are valid", () =>
  world(async ({ dir, over }) => {
    const metadata = await openMetadata(":memory:");
    const path = dir.file("sidecars/overrides.json");
    const bad = { ...release, digest: "sha256:0" };
    await writeFile(path, JSON.stringify([bad, { id: "x" }, 5, hold]));
    await chmod(path, 0o600);
    expect(await over(metadata).list()).toEqual([hold]);
    await writeFile(path, "{");
    expect(await over(metadata).list()).toEqual([hold]);
    await metadata.close();
  }));
