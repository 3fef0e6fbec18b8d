import { expect } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mustRun } from "./harness/processes.ts";
import { longRealTest } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SOURCES = ["src", "scripts", "bin", "deploy", "package.json", "package-lock.json"];
const SETTINGS = ["tsconfig.json", "bunfig.toml", ".npmrc"];

/** Builds the image of a copy of the sources, as another user on another machine would. */
async function buildIn(
  folder: string,
  shell: string,
  env: Record<string, string>,
): Promise<string> {
  mkdirSync(join(folder, ".cache"), { recursive: true });
  const copied = [...SOURCES, ...SETTINGS].filter((name) => existsSync(join(ROOT, name)));
  await mustRun(["cp", "-a", ...copied, folder], { cwd: ROOT });
  // A link would give modules the same path in both builds.
  await mustRun(["cp", "-aL", join(ROOT, "node_modules"), folder]);
  await mustRun(["ln", "-s", join(ROOT, ".cache/debian"), join(folder, ".cache/debian")]);
  const build = `${shell}; exec node scripts/image.mjs ${process.arch} --output ${folder}/out`;
  await mustRun(["sh", "-c", build], {
    cwd: folder,
    env: { SOURCE_DATE_EPOCH: "1700000000", ...env },
  });
  return join(folder, "out");
}

longRealTest(
  "two builds in different folders, with another umask, time zone and locale, give the same bytes",
  async () => {
    await using one = await tempDir("build");
    await using other = await tempDir("build");
    const first = await buildIn(one.file("a"), "umask 022", { TZ: "UTC", LC_ALL: "C" });
    const second = await buildIn(other.file("longer/name"), "umask 077", {
      TZ: "Asia/Tokyo",
      LC_ALL: "C.UTF-8",
    });
    expect(await mustRun(["diff", "--recursive", first, second])).toBe("");
    const index = await Bun.file(join(first, "entrepot-image/index.json")).text();
    expect(index).toContain("2023-11-14T22:13:20Z");
  },
  300_000,
);
