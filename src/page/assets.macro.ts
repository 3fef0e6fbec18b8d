import path from "node:path";

/** Runs while the program is bundled, or loaded from its sources: what the browser gets is part of the program. */
export function browserAssets(): { readonly script: string; readonly style: string } {
  return {
    script: built("browser/browser.tsx"),
    style: built("styles/page.css"),
  };
}

function built(name: string): string {
  const entry = path.join(import.meta.dir, name);
  const flags = ["--no-install", "build", "--minify", "--target=browser", "--env=disable"];
  const { success, stdout, stderr } = Bun.spawnSync([process.execPath, ...flags, entry], {
    cwd: path.join(import.meta.dir, "../.."),
  });
  if (!success) throw new Error(stderr.toString());
  return stdout.toString();
}
