import { readdirSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { secret, type SecretManifest } from "./manifest-schemas.ts";

const LIMIT = 1024 * 1024;

export interface SecretsOptions {
  /** Absent where nobody named one. */
  readonly folder: string | undefined;
  readonly readFile: ReadText;
  /** Stands in for the disk; throws where there is no such folder. */
  readonly list?: (folder: string) => readonly string[];
}

/** A Secret: for each key its value, and the file that holds just that, where there is one. */
export interface Secret {
  readonly values: ReadonlyMap<string, { readonly text: string; readonly file?: string }>;
  /** Unknown for a folder of files. */
  readonly isImmutable?: boolean;
}

/** Why a Secret cannot be used, as the end of a sentence that names it. */
export class SecretError extends Error {
  override readonly name = "SecretError";
}

/**
 * Secrets below a folder: `<name>/username` and `<name>/password`, as Kubernetes mounts them, or
 * manifests in `*.yaml`, as `kubectl get secret -o yaml` writes them.
 */
export class Secrets {
  readonly #options: SecretsOptions;
  readonly #beside: ReadonlyMap<string, Secret>;

  /** @param beside those that stand in the manifest's own file */
  constructor(options: SecretsOptions, beside: ReadonlyMap<string, Secret> = new Map()) {
    this.#options = options;
    this.#beside = beside;
  }

  /**
   * @param keys what it has to have, for whoever has to write it
   * @throws SecretError
   */
  find(name: string, keys: readonly string[]): Secret {
    const own = this.#beside.get(name);
    if (own) return own;
    const { folder } = this.#options;
    const files = (inside: string): string =>
      keys.map((key) => `${inside}${name}/${key}`).join(" and ");
    if (folder === undefined) {
      throw new SecretError(
        `is the Secret ${name}, and no folder of Secrets was given: put it into this file as a document of its own, or write it to ${files("secrets/")} and name the folder with --secrets`,
      );
    }
    const found = this.#mounted(folder, name) ?? this.#manifest(folder, name);
    if (found) return found;
    throw new SecretError(
      `is the Secret ${name}, which is not in ${folder}: it may be ${files("")}, ${name}.yaml, or a document of the manifest's own file`,
    );
  }

  #mounted(folder: string, name: string): Secret | undefined {
    // Whatever names the file may stand in another folder than whoever named this one.
    const below = path.resolve(folder, name);
    const names = this.#list(below)?.filter((entry) => !entry.startsWith("."));
    if (!names) return undefined;
    return {
      values: new Map(
        names.map((key) => {
          const file = path.join(below, key);
          return [key, { text: this.#read(file).replace(/\r?\n$/, ""), file }];
        }),
      ),
    };
  }

  #manifest(folder: string, name: string): Secret | undefined {
    const files = this.#list(folder)?.filter((entry) => /\.(?:ya?ml|json)$/.test(entry)) ?? [];
    for (const entry of files) {
      const parsed = secret.safeParse(parseQuietly(this.#read(path.join(folder, entry))));
      if (!parsed.success || parsed.data.metadata.name !== name) continue;
      return secretOf(parsed.data);
    }
    return undefined;
  }

  #list(folder: string): readonly string[] | undefined {
    try {
      return (this.#options.list ?? ((below) => readdirSync(below).sort()))(folder);
    } catch {
      return undefined;
    }
  }

  #read(file: string): string {
    try {
      return this.#options.readFile(file, LIMIT);
    } catch (error) {
      if (error instanceof UnreadableError)
        throw new SecretError(`needs ${file}, which ${error.message}`);
      throw error;
    }
  }
}

/** A Secret as its manifest has it. What stands in both, `stringData` says, as in Kubernetes. */
export function secretOf({ data, stringData, immutable }: SecretManifest): Secret {
  const decoded = Object.entries(data ?? {}).map(
    ([key, value]) => [key, { text: Buffer.from(value, "base64").toString("utf8") }] as const,
  );
  const plain = Object.entries(stringData ?? {}).map(([key, text]) => [key, { text }] as const);
  return { values: new Map([...decoded, ...plain]), isImmutable: immutable === true };
}

/** Other manifests may stand in the folder, and any text besides. */
function parseQuietly(text: string): unknown {
  try {
    const value: unknown = parse(text, { maxAliasCount: 0, logLevel: "silent" });
    return value;
  } catch {
    return undefined;
  }
}
