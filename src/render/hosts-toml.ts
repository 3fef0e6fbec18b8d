import { posix } from "node:path";
import {
  CA_FILE,
  caFiles,
  header,
  type Notes,
  type RenderedFile,
  type RenderInput,
} from "./target.ts";

/** A dead cache costs this much per request; containerd before 2.0.7 ignores it and waits 30 s. */
const DIAL_TIMEOUT = "1s";

/**
 * One directory per registry below a containerd `config_path`. The authority's file comes first: a
 * hosts.toml that names one which is missing fails every pull.
 *
 * @param seenAs what containerd calls the root
 */
export function certsTree(
  root: string,
  input: RenderInput,
  notes: Notes,
  seenAs: string = root,
): RenderedFile[] {
  const ca = input.ca === undefined ? undefined : posix.join(seenAs, CA_FILE);
  const trees = input.upstreams.map(({ name, server }) => ({
    path: posix.join(root, directoryOf(name), "hosts.toml"),
    text: `${header(notes)}\n${hostsToml(server, input.cache, ca)}`,
  }));
  return [...caFiles(posix.join(root, CA_FILE), input), ...trees];
}

/**
 * From a template and never through a TOML library: containerd 2 reads the order of hosts from the
 * table headers, and drops hosts that are written in any other of TOML's ways without a word.
 */
export function hostsToml(server: string, cache: URL, ca?: string): string {
  return [
    `server = "${server}"`,
    "",
    `[host."${cache.origin}"]`,
    '  capabilities = ["pull", "resolve"]',
    `  dial_timeout = "${DIAL_TIMEOUT}"`,
    ...(ca === undefined ? [] : [`  ca = "${ca}"`]),
    "",
  ].join("\n");
}

/** `registry.test:5000` as `registry.test_5000_`, the form that is looked for first. */
export function directoryOf(name: string): string {
  return name.replace(/:(\d+)$/, "_$1_");
}
