import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Every file below a folder with its mode and bytes, and every folder; for comparing. */
export function tree(folder: string, prefix = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    const stat = lstatSync(path);
    const key = prefix + name;
    if (stat.isDirectory()) {
      found[`${key}/`] = "";
      Object.assign(found, tree(path, `${key}/`));
    } else {
      found[key] = `${(stat.mode & 0o7777).toString(8)} ${readFileSync(path, "latin1")}`;
    }
  }
  return found;
}
