import { createHash } from "node:crypto";
import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Everything of a tree that a backup would keep: names, owners, modes, times and bytes. */
export function fingerprint(folder: string): string {
  const hash = createHash("sha256");
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  for (const name of ["", ...names]) {
    const file = join(folder, name);
    const stats = lstatSync(file);
    hash.update(JSON.stringify([name, stats.uid, stats.gid, stats.mode, stats.mtimeMs]));
    if (stats.isFile()) hash.update(readFileSync(file));
  }
  return hash.digest("hex");
}
