import path from "node:path";
import type { Address } from "../../config/parsing/address.ts";
import type { PortableConfig } from "../../config/portable-config.ts";
import { comment, RenderError, type RenderedFile } from "../target.ts";
import { quoted, yamlText } from "./yaml-text.ts";

/** Where the unit reads its configuration. */
export const CONFIG_PATH = "/etc/entrepot/entrepot.yaml";
const ENVIRONMENT_PATH = "/etc/entrepot/environment";
const DROP_IN = "/etc/systemd/system/entrepot.service.d/entrepot-yaml.conf";
const DATA = "/var/lib/entrepot";

/** The unit hides these from the service: `ProtectHome` and `PrivateTmp`. */
const HIDDEN = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/** What the cache's own machine needs for a configuration, beside its unit. */
export interface CacheFiles {
  /** To be written as they are. */
  readonly files: readonly RenderedFile[];
  /** Comments about what has to be put there by hand, since it may be secret. */
  readonly missing: string;
  /** A folder that has to be made for the service's user. */
  readonly dataDirectory?: string;
}

/** @throws RenderError if the service could not read what the configuration names */
export function cacheFiles(config: PortableConfig): CacheFiles {
  for (const file of config.files) reachable(file.path, file.key);
  const dataDirectory =
    config.dataDirectory === undefined ? undefined : reachable(config.dataDirectory, "storage.dir");
  const isElsewhere = dataDirectory !== undefined && !isBelow(dataDirectory, DATA);
  const settings = [
    ...(config.variables.length > 0 ? [`EnvironmentFile=${ENVIRONMENT_PATH}`] : []),
    ...(isElsewhere ? [`ReadWritePaths=${unitQuoted(dataDirectory)}`] : []),
  ];
  const unit = isElsewhere ? `[Unit]\nRequiresMountsFor=${unitQuoted(dataDirectory)}\n\n` : "";
  return {
    files: [
      { path: CONFIG_PATH, text: yamlText(config.written) },
      ...(settings.length > 0
        ? [{ path: DROP_IN, text: `${unit}[Service]\n${settings.join("\n")}\n` }]
        : []),
    ],
    missing: missingText(config),
    ...(isElsewhere ? { dataDirectory } : {}),
  };
}

/** All addresses that the service opens for nodes. */
export function addressesOf({
  listen,
  upstreams,
}: PortableConfig): { readonly address: Address; readonly what: string }[] {
  return [
    { address: listen, what: "listen" },
    ...upstreams.flatMap(({ name, address, isAlone }) =>
      address ? [{ address, what: `upstreams.${name}.${isAlone ? "listen" : "port"}` }] : [],
    ),
  ];
}

function missingText({ files, variables }: PortableConfig): string {
  if (files.length === 0 && variables.length === 0) return "";
  const list = files.map(({ key, path: written, isFolder }) => {
    const mode = isFolder ? "0750, its files 0640" : "0640";
    return comment(
      `  ${quoted(absolute(written))} (${quoted(key)}), root:entrepot, mode ${mode}`,
      "    ",
    );
  });
  const names = variables.map(({ name }) => `${quoted(name)}=…`).join(" and ");
  const environment =
    names === ""
      ? []
      : [comment(`  ${ENVIRONMENT_PATH} with the lines ${names}, root:root, mode 0600`, "    ")];
  const title = comment(
    "entrepot.yaml names what is not part of this file, since it may be secret. Put it on the machine; until all of it is there, the service is started again every two seconds:",
  );
  return `${[title, ...list, ...environment].join("\n")}\n`;
}

function absolute(written: string): string {
  return path.posix.resolve(path.posix.dirname(CONFIG_PATH), written);
}

function reachable(written: string, key: string): string {
  const full = absolute(written);
  // They would end a comment or a line of a unit, or hide what a person reads.
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(full)) {
    throw new RenderError(`${key}: ${quoted(written)} has invisible characters: rename it`);
  }
  const hidden = HIDDEN.find((folder) => isBelow(full, folder));
  if (hidden === undefined) return full;
  const better = key === "storage.dir" ? DATA : path.posix.dirname(CONFIG_PATH);
  throw new RenderError(
    `${key}: the service does not see ${quoted(full)}, since its unit hides ${hidden}: use a path such as ${better}`,
  );
}

function isBelow(file: string, folder: string): boolean {
  return file === folder || file.startsWith(`${folder}/`);
}

/** A word of a unit: systemd replaces what begins with %, and takes quotes and backslashes apart. */
function unitQuoted(text: string): string {
  const escaped = text.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll("%", "%%");
  return /^[\w./%-]+$/.test(text) ? escaped : `"${escaped}"`;
}
