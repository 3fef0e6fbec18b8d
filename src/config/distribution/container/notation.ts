import path from "node:path";
import type { Origin } from "../../foreign/imported-config.ts";
import { isSubpath } from "../../registry-data.ts";
import type { Mount, MountSource, Variable } from "./container.ts";
import { asWritten, unresolvedIn } from "./unresolved.ts";

/** Where relative paths and `~` of a description lead. */
export interface HostFolders {
  /** The directory of the description, or the one in which the command runs. */
  readonly working: string;
  /** The home directory of the user who imports. */
  readonly home: string;
}

const VOLUME_NAME = /^[a-zA-Z0-9][\w.-]*$/;

/** Reads `NAME=VALUE` or `NAME`. */
export function parseVariable(text: string, from: Origin): Variable {
  const end = text.indexOf("=");
  return end < 0
    ? { name: text, value: undefined, from }
    : { name: text.slice(0, end), value: text.slice(end + 1), from };
}

/** Reads `SOURCE:TARGET[:OPTIONS]`. A target alone is an anonymous volume, which has no mount. */
export function parseVolume(text: string, from: Origin, folders: HostFolders): Mount | undefined {
  // A colon inside a variable, `${DATA:-/srv}`, separates nothing.
  const fields = text.match(/(?:\u{E000}[^\u{E001}]*\u{E001}|[^:])+|(?<=:)(?=:|$)/gu) ?? [];
  const [source = "", target = ""] = fields;
  if (target === "" || source === "") return undefined;
  return { source: sourceOf(source, folders), target: normalTarget(target), from };
}

/** Reads `type=bind,source=/srv/x,target=/var/lib/registry`, the notation of `--mount`. */
export function parseMountFields(
  text: string,
  from: Origin,
  folders: HostFolders,
): Mount | undefined {
  const fields = new Map(
    text.split(",").map((field): [string, string] => {
      const [name = "", ...value] = field.split("=");
      return [name.trim().toLowerCase(), value.join("=").trim()];
    }),
  );
  const field = (...names: string[]): string =>
    names.map((name) => fields.get(name)).find((value) => value !== undefined) ?? "";
  const [source, target] = [field("source", "src"), field("target", "destination", "dst")];
  const type = field("type") || "volume";
  if (source === "" || target === "" || !["bind", "volume"].includes(type)) return undefined;
  // As Docker and Podman call it.
  const subpath = field("volume-subpath", "subpath");
  const mounted = inVolume(typedSource(type, source, folders), subpath);
  return { source: mounted, target: normalTarget(target), from };
}

/** A folder in a volume; what is no volume is as it was. */
export function inVolume(source: MountSource, subpath: string): MountSource {
  if (!("volume" in source) || subpath === "") return source;
  if (unresolvedIn(subpath) === undefined && isSubpath(subpath)) return { ...source, subpath };
  return { unresolved: `${source.volume}/${asWritten(subpath)}` };
}

/** The source of a mount whose type is known, as in Compose's long notation. */
export function typedSource(type: string, source: string, folders: HostFolders): MountSource {
  if (type === "volume" && VOLUME_NAME.test(source)) return { volume: source };
  return type === "bind" ? hostFolder(source, folders) : sourceOf(source, folders);
}

/** A source whose type follows from its form: a path begins with `.`, `/` or `~`. */
export function sourceOf(source: string, folders: HostFolders): MountSource {
  if (unresolvedIn(source) !== undefined || /^[./~]/.test(source))
    return hostFolder(source, folders);
  return VOLUME_NAME.test(source) ? { volume: source } : hostFolder(source, folders);
}

function hostFolder(source: string, { working, home }: HostFolders): MountSource {
  if (unresolvedIn(source) !== undefined) return { unresolved: asWritten(source) };
  if (source === "~" || source.startsWith("~/")) {
    return { folder: path.join(home, source.slice(1)) };
  }
  // Another user's home directory.
  if (source.startsWith("~")) return { unresolved: source };
  const folder = path.resolve(working, source);
  return unresolvedIn(folder) === undefined ? { folder } : { unresolved: source };
}

function normalTarget(target: string): string {
  return path.posix.normalize(target).replace(/(?<=.)\/+$/, "");
}
