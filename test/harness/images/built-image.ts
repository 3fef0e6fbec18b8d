import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "../../../scripts/components/apt.mjs";
import { mustRun } from "../processes.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const CACHE = join(ROOT, ".cache");
/** What the image is made of, and what makes it. */
const SOURCES = ["src", "scripts", "bin", "package.json", "package-lock.json", "tsconfig.json"];
const PREFIX = "image-";

/** The name that the image has in its archive. */
export const BUILT_IMAGE = "docker.io/library/entrepot:latest";

/**
 * The archive of this architecture's image, as `npm run image` builds it, built once for each state of the
 * sources and shared by all tests.
 */
export async function builtImage(): Promise<string> {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  return join(await builtImageFolder(), `entrepot-image-linux-${architecture}.tar`);
}

/** The folder with that archive, the layout `entrepot-image` and the documents beside it, as dist/ has them. */
export async function builtImageFolder(): Promise<string> {
  const folder = join(CACHE, `${PREFIX}${sourcesFingerprint()}`);
  const layout = join(folder, "entrepot-image/index.json");
  if (await Bun.file(layout).exists()) return folder;
  await withLock("image", async () => {
    if (await Bun.file(layout).exists()) return;
    mkdirSync(CACHE, { recursive: true });
    for (const entry of readdirSync(CACHE))
      if (entry.startsWith(PREFIX)) rmSync(join(CACHE, entry), { recursive: true, force: true });
    const work = `${folder}.new`;
    await mustRun(["node", "scripts/image.mjs", process.arch, "--output", work], { cwd: ROOT });
    renameSync(work, folder);
  });
  return folder;
}

/** Changes with every file that a build reads. */
export function sourcesFingerprint(): string {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    const path = join(ROOT, source);
    const names = source.includes(".")
      ? [""]
      : readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
    for (const name of names) {
      if (name.endsWith(".test.ts")) continue;
      try {
        hash.update(`${source}/${name}\0`).update(readFileSync(join(path, name)));
      } catch (error) {
        // A folder has no bytes, and another test's temporary file may be gone again.
        if (!(error instanceof Error && "code" in error)) throw error;
      }
    }
  }
  return hash.digest("hex").slice(0, 16);
}
