import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { withLock } from "../../scripts/components/apt.mjs";
import { buildShare } from "../../scripts/build.mjs";
import type { Built } from "../../scripts/package/tree.mjs";
import { builtImage } from "../harness/images/built-image.ts";
import { mustRun } from "../harness/processes.ts";

/** The time of everything in packages of tests: 2026-01-01. */
const EPOCH = 1_767_225_600;
const manifest = z.tuple([z.object({ Layers: z.array(z.string()) })]);

/**
 * This machine's executable with its manual pages and completions. It is that of the image, which tests build once for
 * each state of the sources.
 */
export async function builtExecutable(): Promise<Omit<Built, "version">> {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const archive = await builtImage();
  const folder = join(dirname(archive), "packages");
  const executable = join(folder, "usr/local/bin/entrepot");
  const built = { arch, epoch: EPOCH, executable, share: join(folder, "share") } as const;
  if (await Bun.file(executable).exists()) return built;
  await withLock("packages", async () => {
    if (await Bun.file(executable).exists()) return;
    const work = `${folder}.new`;
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work);
    const index: unknown = JSON.parse(await mustRun(["tar", "-xOf", archive, "manifest.json"]));
    const layer = manifest.parse(index)[0].Layers.at(-1) ?? "";
    await mustRun(["tar", "-xf", archive, "-C", work, layer]);
    await mustRun(["tar", "-xzf", join(work, layer), "-C", work, "--wildcards", "*bin/entrepot"]);
    buildShare(work);
    for (const name of readdirSync(work))
      if (name === "blobs") rmSync(join(work, name), { recursive: true });
    renameSync(work, folder);
  });
  return built;
}
