import path from "node:path";
import type { ImportContext } from "../distribution/format.ts";
import { reportProblems } from "../distribution/format.ts";
import { type LineRules, UnitFile } from "./unit-file.ts";

const MAX_BYTES = 1024 * 1024;

/** Adds the drop-ins of a unit, `NAME.container.d/*.conf` and those for several units beside it. */
export function withDropIns(unit: UnitFile, rules: LineRules, context: ImportContext): UnitFile {
  const folder = path.dirname(unit.name);
  const files = new Map<string, string>();
  for (const name of dropInFolders(path.basename(unit.name))) {
    const found = context
      .listFolder(path.join(folder, name))
      .filter((entry) => entry.endsWith(".conf"));
    // A file in a more specific folder replaces one of the same name.
    for (const entry of found) files.set(entry, path.join(folder, name, entry));
  }
  const sorted = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
  return unit.with(
    sorted.flatMap(
      (file) =>
        reportProblems(file, context, () => {
          const text = context.readFile(file, MAX_BYTES);
          context.imported.alsoRead(file);
          return UnitFile.parse(file, text, rules);
        }) ?? [],
    ),
  );
}

/** The folders that apply to a unit, from the broadest to the one of its own name. */
function dropInFolders(name: string): string[] {
  const type = path.extname(name);
  const [prefix = "", instance] = path.basename(name, type).split("@", 2);
  const parts = prefix.split("-").slice(0, -1);
  const truncated = parts.map((_, index) => `${parts.slice(0, index + 1).join("-")}-${type}.d`);
  const template = instance ? [`${prefix}@${type}.d`] : [];
  return [`${type.slice(1)}.d`, ...truncated, ...template, `${name}.d`];
}
