import { expect } from "bun:test";
import { join } from "node:path";
import { ensureDebianPackages } from "../../scripts/components/debian.mjs";
import { packagingPackages } from "../../scripts/components/debian-rootfs.mjs";
import { root } from "../../scripts/fresh-bundle.mjs";
import { buildShare } from "../../scripts/build.mjs";
import { buildArchive } from "../../scripts/package/archive.mjs";
import { buildDebian } from "../../scripts/package/debian.mjs";
import { buildRpm } from "../../scripts/package/rpm.mjs";
import { mustRun, run } from "../harness/processes.ts";
import { longRealTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { builtExecutable } from "./built-packages.ts";

longRealTest(
  "lintian and rpmlint find nothing in the packages",
  async () => {
    expect((await ensureDebianPackages(packagingPackages)).reason).toBeUndefined();
    await using dir = await tempDir("lint");
    const built = { ...(await builtExecutable()), version: "1.0.0" };
    const deb = buildDebian(built, dir.path, ["-Zgzip", "-z1"]);
    expect(await mustRun(["lintian", "--allow-root", deb])).toBe("");
    const config = join(root, "deploy/packages/rpm/rpmlint.toml");
    const { stdout } = await run(["rpmlint", "-c", config, buildRpm(built, dir.path, "w1.gzdio")]);
    expect(stdout).toContain("0 errors, 0 warnings");
  },
  600_000,
);

longRealTest(
  "packages and archives have the same bytes, whenever and wherever they are made",
  async () => {
    expect((await ensureDebianPackages(packagingPackages)).reason).toBeUndefined();
    await using one = await tempDir("first");
    await using other = await tempDir("second-with-a-longer-name");
    const built = { ...(await builtExecutable()), version: "1.0.0" };
    const make = (folder: string): string[] => [
      buildDebian(built, folder, ["-Zgzip", "-z1"]),
      buildRpm(built, folder, "w1.gzdio"),
      buildArchive(built, folder),
    ];
    const files = make(one.path);
    const again = make(other.path);
    for (const [at, file] of files.entries()) await mustRun(["cmp", file, again[at] ?? ""]);
  },
  600_000,
);

longRealTest(
  "a package of rpm has a changelog also if it is made of sources without a time",
  async () => {
    expect((await ensureDebianPackages(packagingPackages)).reason).toBeUndefined();
    await using dir = await tempDir("rpm");
    const built = { arch: "x64", version: "1.0.0", epoch: 0, executable: "/bin/true" } as const;
    const rpm = buildRpm({ ...built, share: buildShare(dir.path) }, dir.path, "w1.gzdio");
    expect(await mustRun(["rpm", "-qp", "--changelog", rpm])).toContain("- 1.0.0-1");
  },
  120_000,
);
