import {
  OWNERSHIP_MARK,
  cacheHost,
  renderHostsToml,
} from "../../../config/containerd/hosts-toml.ts";
import type { Traits } from "../traits.ts";
import { readHostsFile } from "./hosts-file.ts";

/**
 * First comment of a hosts.toml that entrepot wrote without the cache: mirrors that were converted, or
 * that remain while a watcher has removed the failing cache. Such a file is not recognised as entrepot's
 * own without the journal, because its mirrors would be lost.
 */
export const UNWIRED_MARK = "written by entrepot, without the cache";

/** The second comment of a hosts.toml that `entrepot node apply` wrote. */
export const CHANGE_ADVICE =
  "Change it with `entrepot node apply`; `entrepot node rollback` undoes it.";

/** A hosts.toml that entrepot rendered and that has not been edited since. */
export interface OwnHosts {
  /** Absent in a `_default`. */
  readonly server: string | undefined;
  /** The file without its comment lines. */
  readonly body: string;
}

/**
 * Recognises a hosts.toml that `entrepot render` wrote, or `entrepot node apply` on a node that has
 * lost its journal: it begins with the ownership mark, names a cache as its only host, and is exactly
 * what entrepot renders for that cache. Comments may differ. An edited file, or one into which hosts of
 * a foreign file were merged, is foreign: replacing it would lose what others wrote.
 *
 * @param directory where the file is; relative paths in it start there
 */
export function readOwnHosts(
  text: string,
  directory: string,
  traits: Traits,
): OwnHosts | undefined {
  if (!text.startsWith(`# ${OWNERSHIP_MARK}\n`)) return undefined;
  const { hosts, server, defects } = readHostsFile(text, directory, traits);
  const [host] = hosts;
  if (host === undefined || defects.length > 0) return undefined;
  const { url, ca, dialTimeout } = host;
  const rendered = renderHostsToml({
    comments: [],
    root: {},
    hosts: [cacheHost({ url, caFile: ca?.[0], dialTimeout })],
    ...(server === undefined ? {} : { server }),
  });
  const body = withoutComments(text);
  return body === rendered ? { server, body } : undefined;
}

export function withoutComments(text: string): string {
  return text.replaceAll(/^#.*\n/gm, "");
}
