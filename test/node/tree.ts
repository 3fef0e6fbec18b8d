import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** All files below a directory with mode and bytes, and all directories, for comparisons. */
export function tree(directory: string, prefix = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
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
