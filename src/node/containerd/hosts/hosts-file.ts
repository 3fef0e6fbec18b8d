import { posix } from "node:path";
import type { HostEntry, HostFields } from "../../../config/containerd/hosts-toml.ts";
import { type Table, asTable, readKeys } from "./host-keys.ts";
import { oddBytes } from "../../files/node-files.ts";
import { TomlDocument, TomlSyntaxError } from "../../files/toml-document.ts";
import type { Traits } from "../traits.ts";

/**
 * A defect of a hosts.toml. With a fatal one (see `isFatal`), containerd ignores the file and pulls from
 * the registry directly.
 */
export type HostsDefect = { readonly line: number } & (
  | { readonly kind: "syntax"; readonly column: number; readonly message: string }
  | { readonly kind: "no-host" }
  | { readonly kind: "encoding"; readonly what: string }
  | { readonly kind: "unknown-capability"; readonly capability: string }
  | { readonly kind: "wrong-type"; readonly key: string; readonly expected: string }
  | { readonly kind: "inline-hosts"; readonly urls: readonly string[] }
  | { readonly kind: "server-in-host"; readonly url: string; readonly server: string }
  | { readonly kind: "unknown-key"; readonly key: string }
  | {
      readonly kind: "key-case";
      readonly key: string;
      readonly documented: string;
      readonly isRead: boolean;
    }
  | { readonly kind: "no-scheme"; readonly url: string }
  | { readonly kind: "http-with-tls"; readonly url: string }
  | { readonly kind: "doubled-v2"; readonly url: string }
  | { readonly kind: "bare-override"; readonly url: string }
  | { readonly kind: "hub-server"; readonly server: string }
  | { readonly kind: "ca-and-skip-verify"; readonly url: string }
);

/** A hosts.toml as one version of containerd reads it. */
export interface HostsFile {
  /** Whether containerd uses the file. If not, it logs one line and pulls from the registry directly. */
  readonly isRead: boolean;
  /** In the order in which containerd tries them, without the server. */
  readonly hosts: readonly HostEntry[];
  /** Hosts that this version drops without a message. */
  readonly dropped: readonly HostEntry[];
  readonly server: string | undefined;
  /** Fields at the root, which apply to the server. */
  readonly root: HostFields;
  readonly defects: readonly HostsDefect[];
}

/**
 * Reads a hosts.toml and collects its defects.
 *
 * @param directory where the file is; relative paths in it start there
 */
export function readHostsFile(content: string, directory: string, traits: Traits): HostsFile {
  const empty = { hosts: [], dropped: [], server: undefined, root: {} };
  const badEncoding = oddBytes(content);
  const text = content.replace(/^\uFEFF/, "");
  let document: TomlDocument;
  try {
    document = new TomlDocument(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    const { line, column, message } = error;
    return { ...empty, isRead: false, defects: [{ kind: "syntax", line, column, message }] };
  }
  const reader = new Reader(document, directory, traits);
  if (badEncoding) reader.defects.push({ kind: "encoding", ...badEncoding });
  const tables = asTable(document.value["host"]);
  const plain = new Set(
    document.headers.flatMap(({ path: [first, url] }) => (first === "host" && url ? [url] : [])),
  );
  const oddHost = Object.keys(document.value).find((key) => key !== "host" && /^host$/i.test(key));
  const odd = Object.entries(asTable(document.value[oddHost ?? ""])).map(([url, table]) =>
    reader.host(url, asTable(table), oddHost),
  );
  const all = [...plain, ...Object.keys(tables).filter((url) => !plain.has(url))];
  const entries = all.map((url) => reader.host(url, asTable(tables[url])));
  const inline = entries.filter((entry) => !plain.has(entry.url));
  const [firstInline] = inline;
  if (firstInline) {
    const urls = inline.map((entry) => entry.url);
    reader.defects.push({ kind: "inline-hosts", line: firstInline.line ?? 1, urls });
  }
  const root = reader.fields([], document.value);
  const server = reader.text([], readKeys(document.value, true, traits).fields, "server");
  if (server !== undefined) reader.checkServer(server);
  if (entries.length === 0 && text !== "" && !traits.readsServerOnly) {
    reader.defects.push({ kind: "no-host", line: 1 });
  }
  return {
    isRead: !reader.defects.some((defect) => isFatal(defect, traits)),
    hosts: traits.dropsInlineHosts ? entries.filter((entry) => plain.has(entry.url)) : entries,
    dropped: traits.dropsInlineHosts ? [...inline, ...odd] : odd,
    server,
    root,
    defects: reader.defects,
  };
}

/** Whether containerd cannot decode a file with this defect, and pulls from the registry directly. */
export function isFatal(defect: HostsDefect, traits: Traits): boolean {
  switch (defect.kind) {
    case "syntax":
    case "no-host":
    case "unknown-capability":
      return true;
    case "wrong-type":
      return defect.key !== "dial_timeout" || traits.readsDialTimeout;
    case "encoding":
      return !traits.acceptsBadEncoding;
    case "inline-hosts":
    case "server-in-host":
    case "unknown-key":
    case "key-case":
    case "no-scheme":
    case "http-with-tls":
    case "doubled-v2":
    case "bare-override":
    case "hub-server":
    case "ca-and-skip-verify":
      return false;
  }
}

class Reader {
  readonly defects: HostsDefect[] = [];
  readonly #document: TomlDocument;
  readonly #directory: string;
  readonly #traits: Traits;

  constructor(document: TomlDocument, directory: string, traits: Traits) {
    this.#document = document;
    this.#directory = directory;
    this.#traits = traits;
  }

  host(url: string, table: Table, key = "host"): HostEntry {
    const path = [key, url];
    const line = this.#line(path);
    const fields = this.fields(path, table);
    const server = table["server"];
    if (typeof server === "string") {
      const at = this.#line([...path, "server"]);
      this.defects.push({ kind: "server-in-host", line: at, url, server });
    }
    this.#checkUrl(url, line, fields);
    return { url, line, ...fields };
  }

  fields(path: readonly string[], written: Table): HostFields {
    const { fields: table, strange } = readKeys(written, path.length === 0, this.#traits);
    for (const { key, documented, isRead } of strange) {
      // `server` of a host's table has a defect of its own.
      if (path.length > 0 && key === "server") continue;
      const line = this.#line([...path, key]);
      if (documented === undefined) this.defects.push({ kind: "unknown-key", line, key });
      else this.defects.push({ kind: "key-case", line, key, documented, isRead });
    }
    const capabilities = this.#texts(path, table, "capabilities", false);
    for (const capability of capabilities ?? []) this.#checkCapability(path, capability);
    const ca = this.#texts(path, table, "ca", true)?.map((file) => this.#absolute(file));
    const client = this.#client(path, table);
    const skipVerify = this.#flag(path, table, "skip_verify");
    const overridePath = this.#flag(path, table, "override_path");
    const dialTimeout = this.text(path, table, "dial_timeout");
    const headers = Object.entries(asTable(table["header"])).map(([name, value]) => [
      name,
      [value].flat().map(String),
    ]);
    return {
      ...(capabilities ? { capabilities } : {}),
      ...(ca ? { ca } : {}),
      ...(client ? { client } : {}),
      ...(skipVerify === undefined ? {} : { skipVerify }),
      ...(overridePath === undefined ? {} : { overridePath }),
      ...(dialTimeout === undefined ? {} : { dialTimeout }),
      ...(headers.length > 0 ? { headers: Object.fromEntries(headers) } : {}),
    };
  }

  text(path: readonly string[], table: Table, key: string): string | undefined {
    const value = table[key];
    if (value === undefined || typeof value === "string") return value;
    this.#wrong(path, key, "a string");
    return undefined;
  }

  checkServer(server: string): void {
    const line = this.#line(["server"]);
    // containerd rewrites docker.io to registry-1.docker.io only if `server` is absent.
    if (hostOf(server) === "docker.io") this.defects.push({ kind: "hub-server", line, server });
    this.#checkUrl(server, line, {});
  }

  #checkUrl(url: string, line: number, fields: HostFields): void {
    const at = { line, url };
    if (!url.startsWith("http")) this.defects.push({ kind: "no-scheme", ...at });
    const path = pathOf(url);
    if (fields.overridePath && path === "") this.defects.push({ kind: "bare-override", ...at });
    if (!fields.overridePath && /\/v2\/./.test(path)) {
      this.defects.push({ kind: "doubled-v2", ...at });
    }
    if (fields.ca && fields.skipVerify) this.defects.push({ kind: "ca-and-skip-verify", ...at });
    if (url.startsWith("http://") && this.#traits.httpWithTlsTriesHttps && hasTls(fields)) {
      this.defects.push({ kind: "http-with-tls", ...at });
    }
  }

  #checkCapability(path: readonly string[], capability: string): void {
    const name = capability.toLowerCase();
    if (["pull", "resolve", "push"].includes(name)) return;
    if (name === "referrers" && this.#traits.knowsReferrers) return;
    const line = this.#line([...path, "capabilities"]);
    this.defects.push({ kind: "unknown-capability", line, capability });
  }

  #texts(
    path: readonly string[],
    table: Table,
    key: string,
    mayBeString: boolean,
  ): string[] | undefined {
    const value = table[key];
    if (value === undefined) return undefined;
    if (mayBeString && typeof value === "string") return [value];
    const list: unknown[] = Array.isArray(value) ? value : [];
    const texts = list.filter((item) => typeof item === "string");
    if (Array.isArray(value) && texts.length === list.length) return texts;
    this.#wrong(path, key, "an array of strings");
    return undefined;
  }

  #client(path: readonly string[], table: Table): [string, string][] | undefined {
    const value = table["client"];
    if (value === undefined) return undefined;
    if (typeof value === "string") return [[this.#absolute(value), ""]];
    const list: unknown[] = Array.isArray(value) ? value : [];
    return list.flatMap((item): [string, string][] => {
      if (typeof item === "string") return [[this.#absolute(item), ""]];
      const pair: unknown[] = Array.isArray(item) ? item : [];
      const [certificate, key] = pair;
      if (pair.length === 2 && typeof certificate === "string" && typeof key === "string") {
        return [[this.#absolute(certificate), this.#absolute(key)]];
      }
      this.#wrong(path, "client", "a file, or pairs of certificate and key");
      return [];
    });
  }

  #flag(path: readonly string[], table: Table, key: string): boolean | undefined {
    const value = table[key];
    if (value === undefined || typeof value === "boolean") return value;
    this.#wrong(path, key, "true or false");
    return undefined;
  }

  #wrong(path: readonly string[], key: string, expected: string): void {
    this.defects.push({ kind: "wrong-type", line: this.#line([...path, key]), key, expected });
  }

  #absolute(file: string): string {
    return file === "" ? "" : posix.resolve(this.#directory, file);
  }

  #line(path: readonly string[]): number {
    const [leaf] = this.#document.below(path);
    const header = this.#document.headers.find((entry) =>
      path.every((part, index) => entry.path[index] === part),
    );
    return header?.line ?? leaf?.line ?? 1;
  }
}

export function hasTls(fields: HostFields): boolean {
  return fields.ca !== undefined || fields.client !== undefined || fields.skipVerify !== undefined;
}

/** The `host[:port]` of a host's URL. The scheme may be missing: containerd assumes https then. */
export function hostOf(url: string): string {
  return /^(?:[a-z]+:\/\/)?([^/]*)/i.exec(url)?.[1] ?? "";
}

function pathOf(url: string): string {
  return url
    .replace(/^[a-z]+:\/\//i, "")
    .replace(/^[^/]*/, "")
    .replace(/\/+$/, "");
}
