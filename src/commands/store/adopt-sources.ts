import {
  areShared,
  type FolderIdentity,
  identityOf,
} from "../../cache/adoption/adopted-folders.ts";
import { AdoptionError, registryRoot } from "../../cache/adoption/registry-v2-layout.ts";
import { type LoadedSettings, loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { describeData, type RegistryData } from "../../config/registry-data.ts";
import type { UpstreamName } from "../../oci/names.ts";
import { printable } from "../../printable.ts";
import { CommandError } from "./store-connection.ts";
import { volumeFolder } from "./volume-folder.ts";

/** What an entrepot.yaml says is to be adopted. */
export interface AdoptSource {
  readonly upstream: UpstreamName;
  readonly data: RegistryData;
}

/** One that can be adopted from `folder`, or why it cannot. */
export type PlannedSource =
  | { readonly source: AdoptSource; readonly folder: string }
  | { readonly source: AdoptSource; readonly problem: string };

/**
 * Reads what is to be adopted from the key `adopt` of the upstreams.
 *
 * @param only the upstream to which it is limited
 * @throws ConfigError if the file is invalid, CommandError if nothing is to be adopted
 */
export function readSources(file: string, only: UpstreamName | undefined): AdoptSource[] {
  const { upstreams } = load(file);
  const found = [...upstreams.values()].flatMap(({ name, adopt }) =>
    adopt && (only === undefined || only === name) ? [{ upstream: name, data: adopt }] : [],
  );
  if (found.length > 0) return found;
  const what = only === undefined ? "no upstream has" : `${only} does not have`;
  throw new CommandError(
    `${printable(file)}: ${what} the key adopt. entrepot import writes it; by hand, it is adopt: { folder: /srv/hub } or adopt: { volume: hub }`,
  );
}

/** Whether a reason is a missing permission. */
export function isForbidden(reason: string): boolean {
  return reason.includes("(EACCES)");
}

/** As `loadSettings`, whose messages name the option that was given. */
function load(file: string): LoadedSettings {
  try {
    return loadSettings({ flags: { config: file }, env: process.env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.map((problem) => ({
      ...problem,
      message: problem.message.replace(/^--config:/, "--from:"),
    }));
    throw new ConfigError(problems, { cause: error });
  }
}

/**
 * Finds the folders, and refuses those that are not adopted without `shared`: one folder that several
 * registries stored in.
 */
export async function planSources(
  sources: readonly AdoptSource[],
  shared: boolean,
): Promise<PlannedSource[]> {
  const found: (PlannedSource & { readonly identity?: FolderIdentity })[] = [];
  for (const source of sources) found.push(await locate(source));
  if (shared) return found;
  return found.map((one) => {
    const other = found.find(
      (candidate) =>
        candidate !== one &&
        one.identity &&
        candidate.identity &&
        areShared(one.identity, candidate.identity),
    );
    return other ? { source: one.source, problem: sharedProblem(other.source) } : one;
  });
}

function sharedProblem({ upstream, data }: AdoptSource): string {
  return `${upstream} has the same data (${printable(describeData(data))}), and it does not say whose images are in it: those of one registry would answer for those of the other. Remove adopt from the upstream to which they do not belong, or add --shared to have them answer for both`;
}

async function locate(
  source: AdoptSource,
): Promise<PlannedSource & { readonly identity?: FolderIdentity }> {
  const { data } = source;
  try {
    const folder =
      "folder" in data ? data.folder : await volumeFolder(data.volume, data.subpath ?? "");
    const { root } = await registryRoot(folder);
    return { source, folder, identity: await identityOf(root) };
  } catch (error) {
    if (!(error instanceof CommandError || error instanceof AdoptionError)) throw error;
    const needsRoot = process.getuid?.() !== 0 && isForbidden(error.message);
    return {
      source,
      problem: needsRoot ? `${error.message}. Run this command as root` : error.message,
    };
  }
}
