import { posix } from "node:path";
import type { FileView } from "../../files/node-files.ts";
import { lossyText } from "../../files/node-files.ts";
import type { Route } from "../../runtime.ts";
import type { Traits } from "../traits.ts";
import { defaultServer } from "./convert-mirrors.ts";
import { directoryInForce } from "./hosts-directories.ts";
import { isFatal, readHostsFile } from "./hosts-file.ts";

/**
 * The route of a registry as hosts directories define it.
 *
 * @param title of the runtime that reads them
 */
export function routeThroughDirectories(
  view: FileView,
  directories: readonly string[],
  namespace: string,
  traits: Traits,
  title: string,
): Route {
  const direct = { hosts: [], server: defaultServer(namespace), serverCa: [] };
  const directory = directoryInForce(view, directories, namespace, traits);
  if (directory === undefined)
    return { ...direct, problems: ["there is no hosts.toml for this registry"] };
  const file = posix.join(directory, "hosts.toml");
  const text = lossyText(view.read(file)?.bytes ?? new Uint8Array());
  const read = readHostsFile(text, directory, traits);
  if (text === "" || !read.isRead) {
    const fatal = read.defects.find((defect) => isFatal(defect, traits));
    const why = fatal ? `line ${fatal.line}: ${fatal.kind}` : "the file is empty";
    return { ...direct, file, problems: [`${title} ignores this file (${why})`] };
  }
  return {
    file,
    hosts: read.hosts.map((host) => host.url),
    server: read.server ?? direct.server,
    serverCa: read.root.ca ?? [],
    problems: [],
  };
}
