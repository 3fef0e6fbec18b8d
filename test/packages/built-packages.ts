import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { withLock } from "../../scripts/apt.mjs";
import { build, buildShare } from "../../scripts/build.mjs";
import { root } from "../../scripts/fresh-bundle.mjs";
import type { Built } from "../../scripts/package/tree.mjs";
import { sourcesFingerprint } from "../harness/built-image.ts";

/** The time of everything in packages of tests: 2026-01-01. */
const EPOCH = 1_767_225_600;
const CACHE = join(root, ".cache");
const PREFIX = "executable-";

/**
 * The executable of this machine's architecture with its manual pages and completions, built once for each state of
 * the sources.
 */
export async function builtExecutable(): Promise<Omit<Built, "version">> {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const folder = join(CACHE, `${PREFIX}${sourcesFingerprint()}`);
  const executable = join(folder, `entrepot-linux-${arch}`);
  const built = { arch, epoch: EPOCH, executable, share: join(folder, "share") } as const;
  if (await Bun.file(executable).exists()) return built;
  await withLock("executable", async () => {
    if (await Bun.file(executable).exists()) return;
    mkdirSync(CACHE, { recursive: true });
    for (const entry of readdirSync(CACHE))
      if (entry.startsWith(PREFIX)) rmSync(join(CACHE, entry), { recursive: true, force: true });
    buildShare(folder);
    build(arch, folder);
  });
  return built;
}
