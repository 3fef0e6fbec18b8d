import { posix } from "node:path";
import {
  CA_FILE_NAME,
  OWNERSHIP_MARK,
  cacheHost,
  renderHostsToml,
} from "../config/containerd/hosts-toml.ts";
import { directoryName } from "../config/containerd/registry-directory.ts";
import { caFiles, header, type Notes, type RenderedFile, type RenderInput } from "./target.ts";

/** `config_path` of a containerd that is configured in /etc/containerd/config.toml. */
export const ETC_CERTS = "/etc/containerd/certs.d";

/** Where the cache's CA certificate goes. */
export interface CaPath {
  readonly path: string;
  /** Its path for containerd, if the rendered directory is mounted elsewhere. */
  readonly seenAs?: string;
}

/**
 * The hosts.toml files below /etc/containerd/certs.d. Apart from comments they are byte for byte what
 * `entrepot node apply` writes there, which treats them as its own.
 *
 * @param notes go into each file as comments; without them it has the ownership mark alone
 */
export function etcCertsTree(input: RenderInput, notes?: Notes): RenderedFile[] {
  return certsTree(ETC_CERTS, input, notes, { path: `/etc/containerd/${CA_FILE_NAME}` });
}

/**
 * One directory per registry below a containerd `config_path`. The CA certificate comes first: a
 * hosts.toml that names a missing one fails every pull of its registry.
 */
export function certsTree(
  root: string,
  input: RenderInput,
  notes?: Notes,
  ca: CaPath = { path: posix.join(root, CA_FILE_NAME) },
): RenderedFile[] {
  const caFile = input.ca === undefined ? undefined : (ca.seenAs ?? ca.path);
  const host = cacheHost({ url: input.cache.origin, caFile });
  const comments = [OWNERSHIP_MARK, ...(notes ? commentLines(notes) : [])];
  const trees = input.upstreams.map(({ name, server }) => ({
    path: posix.join(root, directoryName(name), "hosts.toml"),
    text: renderHostsToml({ comments, server, root: {}, hosts: [host] }),
  }));
  return [...caFiles(ca.path, input), ...trees];
}

/** The notes as comment lines without `#`. */
function commentLines(notes: Notes): string[] {
  return header(notes)
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^# ?/, ""));
}
