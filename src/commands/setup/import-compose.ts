import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, rmSync, type Stats, statSync } from "node:fs";
import path from "node:path";
import {
  formatPublishedPort,
  listenInContainer,
} from "../../config/foreign/container-addresses.ts";
import type { ContainerSetting, ImportedConfig } from "../../config/foreign/imported-config.ts";
import { writeConfig } from "../../config/foreign/write-config.ts";
import { loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { readText } from "../../config/parsing/read-text.ts";
import { describeData } from "../../config/registry-data.ts";
import {
  CONFIG_IN_CONTAINER,
  composeText,
  IMAGE_USER,
  type ReadOnlyMount,
} from "../../render/cache-machine/compose.ts";
import { printable } from "../../printable.ts";
import { composeSteps } from "./compose-steps.ts";
import { writeNew } from "./write-new.ts";

export interface ComposeOutput {
  /** The path of entrepot.yaml. */
  readonly config: string;
  /** The path of the Compose file. */
  readonly compose: string;
  /** The command line that creates them, for their first lines. */
  readonly command: string;
}

/** Its name keeps the new project apart from the old one, whose folder it may share. */
const PROJECT = "entrepot";
/** The folder in the container in which the data of the old registries is mounted. */
const OLD_DATA = "/old";
const TOKEN_BYTES = 24;
/** What Docker takes: anything else, such as a variable without a known value, stays a warning. */
const EXTRA_HOST = /^[\w.-]+[:=][\w.:[\]-]+$/;
const NAME_SERVER = /^[\d.]+$|^[\da-fA-F:.]+$/;

/**
 * Writes an imported configuration for a container, the Compose file that runs it, and the token of its
 * admin port.
 *
 * @returns what is to be done next, one line each
 * @throws ConfigError if a file exists or cannot be written: then none of them is
 */
export function writeForCompose(imported: ImportedConfig, output: ComposeOutput): string[] {
  const { config, compose, command } = output;
  const adoptable = mountOldData(imported);
  const tokenFile = path.join(path.dirname(config), `${path.parse(config).name}.admin-token`);
  const { isOnHostNetwork } = imported;
  const network = isOnHostNetwork
    ? "host"
    : listenInContainer(imported, path.basename(tokenFile)).map(formatPublishedPort);
  const extraHosts = carriedOver(imported, imported.extraHosts, EXTRA_HOST);
  const nameServers = carriedOver(imported, imported.nameServers, NAME_SERVER);
  const text = writeConfig(imported, command);
  const token = `${randomBytes(TOKEN_BYTES).toString("base64url")}\n`;
  const secrets = [{ file: config, text }];
  if (!isOnHostNetwork) secrets.push({ file: tokenFile, text: token });
  const written: string[] = [];
  const write = (file: string, content: string): void => {
    writeNew(file, content);
    written.push(file);
  };
  try {
    for (const secret of secrets) {
      write(secret.file, secret.text);
      letImageUserRead(secret.file);
    }
    const named = filesNamedIn(config, tokenFile);
    const unreadable = [...written, ...named].filter((file) => !canImageUserRead(file));
    const steps = composeSteps(imported, { compose, unreadable, user: IMAGE_USER });
    const body = composeText({
      name: PROJECT,
      config: relativeTo(compose, config),
      network,
      extraHosts,
      nameServers,
      files: [
        ...(isOnHostNetwork ? [] : [tokenMount(compose, tokenFile)]),
        ...named.map((file) => ({ path: file, target: file })),
      ],
      adoptable,
    });
    const head = [`Created by: ${command}`, "", ...steps];
    const comment = head.map((line) => `# ${printable(line)}`.trimEnd()).join("\n");
    write(compose, `${comment}\n${body}`);
    // Nothing in it is secret, and whoever may use Docker reads it.
    chmodSync(compose, 0o644);
    return steps;
  } catch (error) {
    for (const file of written) rmSync(file, { force: true });
    throw error;
  }
}

/** The settings that the new container can have, too: nothing is lost of them, so no warning is left. */
function carriedOver(
  imported: ImportedConfig,
  settings: readonly ContainerSetting[],
  isValid: RegExp,
): string[] {
  const carried = settings.filter(({ value }) => isValid.test(value));
  imported.dropWarnings(carried.map(({ from }) => from));
  return [...new Set(carried.map(({ value }) => value))];
}

/** Makes the data of the old registries that of a container, which is to mount what is returned. */
function mountOldData(imported: ImportedConfig): ReadOnlyMount[] {
  return imported.adoptable.map(({ upstream, data }) => {
    // A colon, before a registry's port, would separate mounts.
    const target = `${OLD_DATA}/${upstream.replaceAll(":", "_")}`;
    const at = ["upstreams", upstream, "adopt"];
    const folder = "volume" in data ? path.posix.join(target, data.subpath ?? "") : target;
    const from = imported.originOf(at);
    if (from) imported.set(at, [{ folder }], from, `${describeData(data)}, in the service adopt`);
    return "volume" in data ? { volume: data.volume, target } : { path: data.folder, target };
  });
}

/** The files that a configuration names, such as certificates and passwords, whether they exist or not. */
function filesNamedIn(config: string, tokenFile: string): string[] {
  const files = new Set<string>();
  try {
    loadSettings({
      flags: { config },
      readFile: (file, limit) => {
        files.add(path.resolve(file));
        return readText(file, limit);
      },
      hasProgram: () => true,
    });
  } catch (error) {
    // A file that is missing here is named all the same, and reported by the service.
    if (!(error instanceof ConfigError)) throw error;
  }
  for (const own of [config, tokenFile]) files.delete(path.resolve(own));
  return [...files];
}

/** Mounted beside entrepot.yaml, where that file expects it on the host too. */
function tokenMount(compose: string, tokenFile: string): ReadOnlyMount {
  const target = path.posix.join(path.posix.dirname(CONFIG_IN_CONTAINER), path.basename(tokenFile));
  return { path: relativeTo(compose, tokenFile), target };
}

function relativeTo(compose: string, file: string): string {
  const relative = path.relative(path.dirname(path.resolve(compose)), path.resolve(file));
  return relative.startsWith("..") ? relative : `./${relative}`;
}

/** Its owner may change the file, and the container's user read it. Only root can arrange that. */
function letImageUserRead(file: string): void {
  try {
    chownSync(file, -1, IMAGE_USER);
    chmodSync(file, 0o640);
  } catch {
    // What is to be done is among the steps.
  }
}

/** A file that is not here yet, or whose path is none, is not known to be unreadable. */
function canImageUserRead(file: string): boolean {
  let stats: Stats;
  try {
    stats = statSync(file);
  } catch {
    return true;
  }
  const { uid, gid, mode } = stats;
  const bit = uid === IMAGE_USER ? 0o400 : gid === IMAGE_USER ? 0o040 : 0o004;
  return (mode & bit) !== 0;
}
