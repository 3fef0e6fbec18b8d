import { readdirSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";

const MAX_BYTES = 1024 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A Secret as `kubectl get secret -o yaml` prints it. */
export const secret = z.object({
  kind: z.literal("Secret"),
  metadata: z.object({ name: z.string().min(1) }),
  immutable: z.boolean().nullish(),
  data: z
    .record(
      z.string(),
      z.string().refine((value) => BASE64.test(value.replaceAll(/\s/g, "")), {
        message: "is not valid Base64: encode it, or write it as plain text under stringData",
      }),
    )
    .nullish(),
  stringData: z.record(z.string(), z.string()).nullish(),
});

export type SecretManifest = z.infer<typeof secret>;

export interface SecretsOptions {
  /** The directory of the Secrets. Undefined if the operator gave none. */
  readonly folder: string | undefined;
  readonly readFile: ReadText;
  /**
   * Where a container has a Secret. They are not here then, but in the cluster; one that is here all the same is
   * looked at.
   */
  readonly mountOf?: (name: string) => string;
  /** Replaces the file system in tests. Throws if the directory does not exist. */
  readonly list?: (folder: string) => readonly string[];
}

/** A Kubernetes Secret: its values by key, with the file that contains only this value, if there is one. */
export interface Secret {
  readonly values: ReadonlyMap<string, { readonly text: string; readonly file?: string }>;
  /** Undefined for a directory of files, where it is unknown. */
  readonly isImmutable?: boolean;
}

/** A Secret cannot be used. The message follows the key that references it. */
export class SecretError extends Error {
  override readonly name = "SecretError";
}

/**
 * Finds Secrets in a directory: as files `<name>/username` and `<name>/password`, as Kubernetes mounts them,
 * or as manifests in `*.yaml`, as `kubectl get secret -o yaml` prints them.
 */
export class Secrets {
  readonly #options: SecretsOptions;
  readonly #inManifest: ReadonlyMap<string, Secret>;

  /** @param inManifest the Secrets in the file of the manifest */
  constructor(options: SecretsOptions, inManifest: ReadonlyMap<string, Secret> = new Map()) {
    this.#options = options;
    this.#inManifest = inManifest;
  }

  /** The folder of a container that has a Secret; undefined if they are read here. */
  mountOf(name: string): string | undefined {
    return this.#options.mountOf?.(name);
  }

  /**
   * Finds a Secret by name, first in the file of the manifest.
   *
   * @param keys the keys that the Secret must have, for the message
   * @throws SecretError if it does not exist or cannot be read
   */
  find(name: string, keys: readonly string[]): Secret {
    const inManifest = this.#inManifest.get(name);
    if (inManifest) return inManifest;
    const { folder } = this.#options;
    const files = (prefix: string): string =>
      keys.map((key) => `${prefix}${name}/${key}`).join(" and ");
    if (folder === undefined) {
      throw new SecretError(
        `refers to the Secret ${name}, but no directory of Secrets was given: add the Secret to this file as a separate document, or write it to ${files("secrets/")} and add --secrets secrets`,
      );
    }
    const found = this.#mounted(folder, name) ?? this.#manifest(folder, name);
    if (found) return found;
    throw new SecretError(
      `refers to the Secret ${name}, which is not in ${folder}: add ${files("")} or ${name}.yaml there, or add the Secret to the file of the manifest`,
    );
  }

  #mounted(folder: string, name: string): Secret | undefined {
    // An absolute path: the configuration that names the file may be in another directory.
    const secretFolder = path.resolve(folder, name);
    const names = this.#list(secretFolder)?.filter((entry) => !entry.startsWith("."));
    if (!names) return undefined;
    return {
      values: new Map(
        names.map((key) => {
          const file = path.join(secretFolder, key);
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
      return (this.#options.list ?? ((directory) => readdirSync(directory).sort()))(folder);
    } catch {
      return undefined;
    }
  }

  #read(file: string): string {
    try {
      return this.#options.readFile(file, MAX_BYTES);
    } catch (error) {
      if (error instanceof UnreadableError)
        throw new SecretError(`needs ${file}, which ${error.message}`);
      throw error;
    }
  }
}

/** Converts a Secret manifest. As in Kubernetes, `stringData` takes precedence over `data`. */
export function secretOf({ data, stringData, immutable }: SecretManifest): Secret {
  const decoded = Object.entries(data ?? {}).map(
    ([key, value]) => [key, { text: Buffer.from(value, "base64").toString("utf8") }] as const,
  );
  const plain = Object.entries(stringData ?? {}).map(([key, text]) => [key, { text }] as const);
  return { values: new Map([...decoded, ...plain]), isImmutable: immutable === true };
}

/** Returns undefined for invalid YAML: the directory may have any files. */
function parseQuietly(text: string): unknown {
  try {
    const value: unknown = parse(text, { maxAliasCount: 0, logLevel: "silent" });
    return value;
  } catch {
    return undefined;
  }
}
