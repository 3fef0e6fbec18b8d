import { isIP } from "node:net";
import type { Finding, Position } from "../findings.ts";
import { JsonDocument, JsonSyntaxError } from "../files/json-edit.ts";
import type { FileView } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";

export const MIRRORS = "registry-mirrors";
export const INSECURE = "insecure-registries";

/** dockerd's daemon.json, as far as it concerns registries. */
export interface DaemonJson {
  readonly path: string;
  readonly exists: boolean;
  readonly document: JsonDocument;
  /** Without trailing slashes. */
  readonly mirrors: readonly string[];
  readonly insecure: readonly string[];
  /** `features.containerd-snapshotter`. */
  readonly containerdStore: boolean | undefined;
}

/** What keeps dockerd from reading its daemon.json. */
export interface DaemonJsonDefect {
  readonly code: "config-syntax" | "config-invalid" | "flag-conflict";
  readonly at: Position;
  readonly what: string;
  readonly advice: string;
}

/**
 * @param flags of the dockerd command line
 * @throws FilesFault
 */
export function readDaemonJson(
  view: FileView,
  path: string,
  flags: readonly string[],
): DaemonJson | { readonly defects: readonly DaemonJsonDefect[] } {
  const text = readText(view, path);
  let document: JsonDocument;
  try {
    document = new JsonDocument(text ?? "{}\n");
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const at = { file: path, line: error.line, column: error.column };
    const what = `it is not valid JSON: ${error.message}`;
    const advice = "fix the syntax: dockerd does not start with this file, and a reload ignores it";
    return { defects: [{ code: "config-syntax", at, what, advice }] };
  }
  const defects = [MIRRORS, INSECURE].flatMap((key): DaemonJsonDefect[] => {
    const other = document.keys.find((it) => it !== key && it.toLowerCase() === key);
    if (other !== undefined) {
      const at = positionOf(document, path, other);
      const what = `${other} is no key of dockerd, which does not start with it: it has to be ${key}`;
      return [{ code: "config-invalid", at, what, advice: `write "${key}"` }];
    }
    if (!document.has(key)) return [];
    const at = positionOf(document, path, key);
    const flag = flagOf(key);
    if (isSet(flags, flag)) {
      const what = `${key} is set here and by the flag ${flag}, with which dockerd does not start`;
      const advice = "remove the flag from the unit's ExecStart, or the key from this file";
      return [{ code: "flag-conflict", at, what, advice }];
    }
    if (document.strings(key) !== undefined) return [];
    const what = `${key} is not a list of strings, with which dockerd does not start`;
    return [{ code: "config-invalid", at, what, advice: `write "${key}": ["…"]` }];
  });
  defects.push(...invalidMirrors(document, path));
  if (defects.length > 0) return { defects };
  const store = document.value("features", "containerd-snapshotter");
  return {
    path,
    exists: text !== undefined,
    document,
    mirrors: (document.strings(MIRRORS) ?? []).map((url) => url.replace(/\/$/, "")),
    insecure: document.strings(INSECURE) ?? [],
    containerdStore: typeof store === "boolean" ? store : undefined,
  };
}

/** dockerd takes no mirror with credentials, a query or a fragment. */
function invalidMirrors(document: JsonDocument, path: string): DaemonJsonDefect[] {
  const reasons = (document.strings(MIRRORS) ?? []).flatMap((text) => {
    const url = URL.parse(text);
    const shown = text.replace(/^.*@/s, "(hidden)@");
    if (url === null || !/^https?:\/\//i.test(text))
      return [`${shown} is no URL with http:// or https://`];
    if (url.username !== "" || url.password !== "") return [`${shown} has credentials`];
    return /[?#]/.test(text) ? [`${shown} has a query or a fragment`] : [];
  });
  return reasons.map((reason) => ({
    code: "config-invalid",
    at: positionOf(document, path, MIRRORS),
    what: `${reason}, and dockerd does not start with such a mirror`,
    advice: "remove it, or write only its scheme, host and port",
  }));
}

function positionOf(document: JsonDocument, file: string, key: string): Position {
  const line = document.lineOf(key);
  return { file, ...(line === undefined ? {} : { line }) };
}

/** The flag of a list, whose name dockerd has in the singular: --registry-mirror, --insecure-registry. */
export function flagOf(key: string): string {
  return `--${key.replace(/ies$/, "y").replace(/s$/, "")}`;
}

export function isSet(flags: readonly string[], flag: string): boolean {
  return flags.some((it) => it === flag || it.startsWith(`${flag}=`));
}

export function defectFinding(defect: DaemonJsonDefect): Finding {
  const consequence = "dockerd does not start again, and ignores the file until then";
  return { ...defect, severity: "error", consequence };
}

/** Whether dockerd itself takes a host to be on this machine, and so accepts plain HTTP from it. */
export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, "");
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}
