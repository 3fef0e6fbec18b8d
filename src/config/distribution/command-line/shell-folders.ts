import path from "node:path";
import type { HostFolders } from "../container/notation.ts";
import { asWritten, mark, unresolvedIn } from "../container/unresolved.ts";
import type { ShellWord } from "./shell-values.ts";

/** Where relative paths lead after `cd`, `pushd` or `popd`. */
export function changedFolders(
  { working, home }: HostFolders,
  [program, ...words]: readonly ShellWord[],
): HostFolders {
  const target = words.find(({ text }) => !/^-[LPe@]*$|^--$/.test(text));
  const isKnown = program?.text !== "popd" && !target?.isOpen && target?.text !== "-";
  const name = target?.text.replace(/^~(?=\/|$)/, home) ?? home;
  const folder = isKnown && unresolvedIn(name) === undefined ? name : mark(`cd ${asWritten(name)}`);
  return { working: path.resolve(working, folder), home };
}
