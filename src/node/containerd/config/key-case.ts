import { tomlString } from "../../../config/containerd/toml-string.ts";
import type { TomlDocument, TomlLeaf } from "../../files/toml-document.ts";
import { samePath, startsWith } from "../../files/toml-document.ts";
import type { Traits } from "../traits.ts";

/** The plugin whose table 2.x decodes into a struct. It copies the older tables, key by key. */
export const IMAGES_TABLE = "io.containerd.cri.v1.images";
export const OLD_CRI_TABLE = "io.containerd.grpc.v1.cri";
export const VERSION_1_TABLE = "cri";

/** Keys that matter here, in the case in which containerd documents them. */
interface Known {
  readonly keys?: Readonly<Record<string, Known>>;
  /** Below a map, whose keys are names and have to be exact: a plugin, a host, a header. */
  readonly named?: (name: string) => Known;
}

const VALUE: Known = {};
const keys = (...names: readonly string[]): Known => ({
  keys: Object.fromEntries(names.map((name) => [name, VALUE])),
});
const each = (known: Known): Known => ({ named: () => known });
const AUTH = keys("username", "password", "auth", "identitytoken");
const TLS = keys("insecure_skip_verify", "ca_file", "cert_file", "key_file");
const REGISTRY: Known = {
  keys: {
    config_path: VALUE,
    mirrors: each(keys("endpoint")),
    configs: each({ keys: { auth: AUTH, tls: TLS } }),
    auths: each(AUTH),
    headers: each(VALUE),
  },
};
const CRI: Known = {
  keys: { registry: REGISTRY, use_local_image_pull: VALUE, max_concurrent_downloads: VALUE },
};
const CRI_TABLES = new Set([VERSION_1_TABLE, OLD_CRI_TABLE, IMAGES_TABLE]);
const ROOT: Known = {
  keys: {
    version: VALUE,
    imports: VALUE,
    disabled_plugins: VALUE,
    plugins: { named: (name) => (CRI_TABLES.has(name) ? CRI : VALUE) },
  },
};

/** A value with the path under which this version of containerd reads it. */
export interface ReadLeaf extends TomlLeaf {
  /** `path` with the keys that it reads in another case as they are documented. */
  readonly read: readonly string[];
}

/** A key that matters here, in another case than the documented one. */
export interface OddKey {
  /** As it is written, with the keys above it. */
  readonly path: readonly string[];
  /** The same path as containerd documents it. */
  readonly documented: readonly string[];
  readonly line: number;
  /** Whether this version of containerd reads it all the same. */
  readonly isRead: boolean;
}

/**
 * The values of a configuration file under the keys that containerd reads. 2.x ignores the case of a
 * struct's keys. 1.x also takes them in capitals, unless the documented key is there too.
 */
export class DocumentKeys {
  readonly leaves: readonly ReadLeaf[];
  readonly emptyTables: readonly { readonly read: readonly string[]; readonly line: number }[];
  readonly odd: readonly OddKey[];
  readonly #document: TomlDocument;
  readonly #traits: Traits;

  constructor(document: TomlDocument, traits: Traits) {
    this.#document = document;
    this.#traits = traits;
    this.leaves = document.leaves.map((leaf) => ({ ...leaf, read: this.#read(leaf.path) }));
    this.emptyTables = document.emptyTables.map(({ path, line }) => ({
      read: this.#read(path),
      line,
    }));
    this.odd = this.#oddKeys();
  }

  /** A top-level value. Where it is written in two cases, the last one counts. */
  value(name: string): ReadLeaf | undefined {
    return this.leaves.findLast((leaf) => samePath(leaf.read, [name]));
  }

  /** The values in the table at `path`. */
  below(path: readonly string[]): ReadLeaf[] {
    return this.leaves.filter((leaf) => startsWith(leaf.read, path));
  }

  #read(path: readonly string[]): string[] {
    return this.#walk(path, () => {});
  }

  /** Follows a path, and calls `found` for each key in another case. Returns what containerd reads. */
  #walk(path: readonly string[], found: (odd: Omit<OddKey, "line">) => void): string[] {
    const read: string[] = [];
    const documented: string[] = [];
    let known: Known | undefined = ROOT;
    let isRead = true;
    for (const [index, key] of path.entries()) {
      const name = documentedKey(known, key);
      documented.push(name);
      if (name !== key) {
        isRead &&= this.#isReadAs(path.slice(0, index), key, name);
        found({ path: path.slice(0, index + 1), documented: [...documented], isRead });
      }
      read.push(isRead ? name : key);
      known = known?.keys?.[name] ?? known?.named?.(key);
    }
    return read;
  }

  #isReadAs(above: readonly string[], key: string, name: string): boolean {
    if (this.#traits.foldsKeys) {
      // `registry` of an older table is copied under this very name.
      return above.length !== 2 || above[1] === IMAGES_TABLE;
    }
    return key === name.toUpperCase() && !this.#has([...above, name]);
  }

  #has(path: readonly string[]): boolean {
    const { headers, leaves } = this.#document;
    return [...headers, ...leaves].some((entry) => startsWith(entry.path, path));
  }

  #oddKeys(): OddKey[] {
    const odd = new Map<string, OddKey>();
    const { headers, leaves } = this.#document;
    const entries = [...headers, ...leaves].sort((a, b) => a.line - b.line);
    for (const { path, line } of entries) {
      this.#walk(path, (key) => {
        const id = key.path.join("\0");
        if (!odd.has(id)) odd.set(id, { ...key, line });
      });
    }
    return [...odd.values()];
  }
}

/** The known key that equals this one apart from its case, or the key itself. */
function documentedKey(known: Known | undefined, key: string): string {
  if (known?.keys === undefined || Object.hasOwn(known.keys, key)) return key;
  const name = key.toLowerCase();
  return Object.hasOwn(known.keys, name) ? name : key;
}

/** A path of keys as it is written in TOML. */
export function keyText(path: readonly string[]): string {
  return path.map((key) => (/^[\w-]+$/.test(key) ? key : tomlString(key))).join(".");
}
