import { z } from "zod";
import type { Origin } from "../foreign/imported-config.ts";
import { secret, SecretError, secretOf, type Secrets } from "../foreign/secrets.ts";
import { isSameNamespace, type ManifestObject } from "./manifest-object.ts";

const configMap = z.object({
  data: z.record(z.string(), z.coerce.string()).nullish(),
  binaryData: z.record(z.string(), z.string()).nullish(),
});

/** A line of a config.yml that makes a registry a pull-through cache. */
const CONFIGURATION = /^[^#\n]*\bremoteurl["']?:\s*["']?https?:/m;

/** A value of a ConfigMap or a Secret, and where it was written. */
export interface StoredValue {
  readonly text: string;
  readonly from: Origin;
}

/** Why a ConfigMap or a Secret cannot be used. The message follows what refers to it. */
export interface MissingValues {
  readonly missing: string;
}

/** The ConfigMaps and Secrets that pods refer to: among the imported files, or in the folder of Secrets. */
export class StoredValues {
  readonly #objects: readonly ManifestObject[];
  readonly #secrets: Secrets;
  readonly #used = new Set<ManifestObject>();

  constructor(objects: readonly ManifestObject[], secrets: Secrets) {
    this.#objects = objects;
    this.#secrets = secrets;
  }

  configMap(name: string, user: ManifestObject): ReadonlyMap<string, StoredValue> | MissingValues {
    const found = this.#find("ConfigMap", name, user);
    const parsed = found && configMap.safeParse(found.value);
    if (!found || !parsed?.success) {
      return { missing: `refers to the ConfigMap ${name}: import the file that has it, too` };
    }
    const plain = Object.entries(parsed.data.data ?? {});
    const decoded = Object.entries(parsed.data.binaryData ?? {}).map(
      ([key, text]): [string, string] => [key, Buffer.from(text, "base64").toString("utf8")],
    );
    return new Map(
      [...plain, ...decoded].map(([key, text]) => [
        key,
        { text, from: contentOrigin(found.origin(["data", key], `${name}.${key}`), text) },
      ]),
    );
  }

  /** @param keys the keys that the Secret must have, for the message if it does not exist */
  secret(
    name: string,
    keys: readonly string[],
    user: ManifestObject,
    reference: Origin,
  ): ReadonlyMap<string, StoredValue> | MissingValues {
    const found = this.#find("Secret", name, user);
    const parsed = found && secret.safeParse(found.value);
    if (found && !parsed?.success) {
      return { missing: `refers to the Secret ${name}, which is not valid` };
    }
    try {
      const { values } = parsed?.success ? secretOf(parsed.data) : this.#secrets.find(name, keys);
      return new Map(
        [...values].map(([key, { text, file }]) => {
          const inFile = file === undefined ? undefined : { file, line: 1, column: 1, what: key };
          const inManifest = found?.origin(["data", key], `${name}.${key}`);
          return [key, { text, from: inManifest ?? inFile ?? reference }];
        }),
      );
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      return { missing: error.message };
    }
  }

  #find(kind: string, name: string, user: ManifestObject): ManifestObject | undefined {
    const found = this.#objects.find(
      (object) => object.kind === kind && object.name === name && isSameNamespace(object, user),
    );
    if (found) this.#used.add(found);
    return found;
  }

  /** The ConfigMaps with the configuration of a pull-through cache to which nothing refers. */
  unusedConfigurations(): ManifestObject[] {
    return this.#objects.filter((object) => {
      if (object.kind !== "ConfigMap" || this.#used.has(object)) return false;
      const { data } = configMap.safeParse(object.value);
      return Object.values(data?.data ?? {}).some((text) => CONFIGURATION.test(text));
    });
  }
}

/** Lines of a text are counted from the line before it: a block (`|`) begins behind its key. */
function contentOrigin(from: Origin, text: string): Origin {
  return text.includes("\n") ? from : { ...from, line: from.line - 1 };
}
