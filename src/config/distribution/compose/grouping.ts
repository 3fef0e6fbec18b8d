import path from "node:path";
import { YamlSource } from "../../parsing/yaml-source.ts";
import type { ComposeFile } from "./project.ts";
import { MERGE_TAGS } from "./tree.ts";

/**
 * Groups Compose files into projects. A file overrides an earlier one of the same directory, as with
 * `docker compose -f A -f B`, if it is named after it (compose.yaml and compose.prod.yaml), or if it
 * has a service of the same name without an image. All others are projects of their own.
 */
export function groupProjects(files: readonly ComposeFile[]): ComposeFile[][] {
  const groups: ComposeFile[][] = [];
  for (const file of files) {
    const base = groups.find(([first]) => first && isOverride(file, first));
    if (base) base.push(file);
    else groups.push([file]);
  }
  return groups;
}

function isOverride(file: ComposeFile, first: ComposeFile): boolean {
  if (path.resolve(path.dirname(file.file)) !== path.resolve(path.dirname(first.file)))
    return false;
  const stem = path.basename(first.file).replace(/\.ya?ml$/, "");
  if (path.basename(file.file).startsWith(`${stem}.`)) return true;
  const known = servicesOf(first);
  return [...servicesOf(file)].some(([name, service]) => known.has(name) && isFragment(service));
}

function isFragment(service: unknown): boolean {
  if (typeof service !== "object" || service === null) return true;
  return !("image" in service || "build" in service || "extends" in service);
}

function servicesOf({ file, text }: ComposeFile): ReadonlyMap<string, unknown> {
  const { value } = YamlSource.ofTexts(file, text, MERGE_TAGS);
  const services =
    typeof value === "object" && value !== null && "services" in value ? value.services : undefined;
  return new Map(Object.entries(typeof services === "object" && services ? services : {}));
}
