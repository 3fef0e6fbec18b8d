import type { FileView } from "./files/node-files.ts";
import { lossyText } from "./files/node-files.ts";
import type { Obstacle } from "./plan.ts";

/** First lines that configuration managers write above what they own. */
const MARK =
  /^\s*(?:#|\/\/)\s*(?:.*\b(?:managed|generated|maintained|controlled) by\s+(?<by>Ansible|Puppet|Chef|Salt(?:Stack)?|Terraform|cfengine|Rudder)|(?<ansible>Ansible managed))/im;

/** Lines in which the mark of a manager is looked for. */
const HEAD_LINES = 10;

/**
 * The obstacle to changing a file that something else writes again and again.
 *
 * @param setting what has to be set there instead
 */
export function managedFileObstacles(view: FileView, path: string, setting: string): Obstacle[] {
  const what = managerOf(view, path);
  if (what === undefined) return [];
  const advice = `set ${setting} there, and let it write the file`;
  return [{ code: "managed", at: { file: path }, what, advice }];
}

function managerOf(view: FileView, path: string): string | undefined {
  const undoes = "and would undo this change";
  if (view.resolve(path).includes("/nix/store/")) {
    return `NixOS writes ${path} itself (it is a link to /nix/store) ${undoes}`;
  }
  const head = lossyText(view.read(path)?.bytes ?? new Uint8Array()).split("\n", HEAD_LINES);
  for (const [index, line] of head.entries()) {
    const { by, ansible } = MARK.exec(line)?.groups ?? {};
    const name = by ?? (ansible === undefined ? undefined : "Ansible");
    if (name !== undefined)
      return `${name} writes ${path} itself (line ${index + 1} says so) ${undoes}`;
  }
  return undefined;
}
