import { posix } from "node:path";
import {
  DEFAULT_DIRECTORY,
  registryOfDirectory,
} from "../../../config/containerd/registry-directory.ts";
import { FilesFault, type FileView } from "../../files/node-files.ts";
import type { Obstacle, Target } from "../../plan.ts";
import { registryDirectories } from "./hosts-directories.ts";

/**
 * Links by which registries share a hosts.toml. It has one `server`: what is written there for one
 * registry would have another one's images pulled from the first.
 */
export function linkedRegistries(
  view: FileView,
  root: string,
  targets: readonly Target[],
): Obstacle[] {
  const paths = targets.map((target) => target.path);
  const others = registryDirectories(view, root)
    .filter(isRegistry)
    .map((name) => posix.join(root, name, "hosts.toml"));
  const byFile = new Map<string, string>();
  return [...new Set([...paths, ...others])].flatMap((path): Obstacle[] => {
    const file = fileOf(view, path);
    if (file === undefined) return [];
    const first = byFile.get(file);
    if (first === undefined) byFile.set(file, path);
    if (first === undefined || !paths.includes(first)) return [];
    const what = `${path} is the same file, by a link: what is written for one registry would count for the other`;
    const advice =
      "put a copy in place of the link, so that each registry has a file of its own, then plan again";
    return [{ code: "hosts-shared", at: { file: first }, what, advice }];
  });
}

/** As containerd tells a registry from the first part of an image's name. */
function isRegistry(directory: string): boolean {
  return directory === DEFAULT_DIRECTORY || /[.:]|^localhost$/.test(registryOfDirectory(directory));
}

/** Undefined where links lead to each other, which is no reason to fail over another registry's file. */
function fileOf(view: FileView, path: string): string | undefined {
  try {
    return view.resolve(path);
  } catch (error) {
    if (error instanceof FilesFault && error.kind === "loop") return undefined;
    throw error;
  }
}
