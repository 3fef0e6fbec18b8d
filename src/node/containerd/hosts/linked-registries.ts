import { posix } from "node:path";
import { FilesFault, type FileView } from "../../files/node-files.ts";
import type { Obstacle, Target } from "../../plan.ts";
import { isNamedByImages, registryDirectories } from "./hosts-directories.ts";

/**
 * Obstacles for registries that share one hosts.toml through a symbolic link. The file has one `server`:
 * written for one registry, it would send the other one's pulls to the wrong registry.
 */
export function linkedRegistries(
  view: FileView,
  root: string,
  targets: readonly Target[],
): Obstacle[] {
  const paths = targets.map((target) => target.path);
  const others = registryDirectories(view, root)
    .filter(isNamedByImages)
    .map((name) => posix.join(root, name, "hosts.toml"));
  const byFile = new Map<string, string>();
  return [...new Set([...paths, ...others])].flatMap((path): Obstacle[] => {
    const file = fileOf(view, path);
    if (file === undefined) return [];
    const first = byFile.get(file);
    if (first === undefined) byFile.set(file, path);
    if (first === undefined || !paths.includes(first)) return [];
    const what = `${path} is the same file, through a link: what is written for one registry would apply to the other too`;
    const advice =
      "replace the link with a copy, so that each registry has its own file, then plan again";
    return [{ code: "hosts-shared", at: { file: first }, what, advice }];
  });
}

/** Undefined for a loop of links, which must not make the plan of other registries fail. */
function fileOf(view: FileView, path: string): string | undefined {
  try {
    return view.resolve(path);
  } catch (error) {
    if (error instanceof FilesFault && error.kind === "loop") return undefined;
    throw error;
  }
}
