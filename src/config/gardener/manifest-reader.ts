import type { z } from "zod";
import { schemaProblems } from "../parsing/schema-problems.ts";
import { type ImportedConfig, type Origin, originIn } from "../foreign/imported-config.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import type { Reference } from "./manifest-schemas.ts";
import { type Secret, SecretError, type Secrets } from "../foreign/secrets.ts";

/** Reads a Gardener manifest into an imported configuration. */
export class ManifestReader {
  readonly source: YamlSource;
  readonly imported: ImportedConfig;
  readonly #secrets: Secrets;
  /** A Shoot's `spec.resources`. Undefined for other manifests, in which references are names of Secrets. */
  references: readonly Reference[] | undefined;

  constructor(source: YamlSource, imported: ImportedConfig, secrets: Secrets) {
    this.source = source;
    this.imported = imported;
    this.#secrets = secrets;
  }

  /** Validates a part of the manifest. Returns undefined after reporting problems. */
  parse<Schema extends z.ZodType>(
    schema: Schema,
    value: unknown,
    base: Path,
  ): z.infer<Schema> | undefined {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    this.imported.problems.push(...schemaProblems(parsed.error.issues, schema, this.source, base));
    return undefined;
  }

  origin(at: Path): Origin {
    return originIn(this.source, at);
  }

  reject(at: Path, message: string): void {
    this.imported.reject(this.origin(at), message);
  }

  skip(at: Path, reason: string): void {
    this.imported.skip(this.origin(at), reason);
  }

  /**
   * Resolves a reference to a Secret. Returns undefined after reporting a problem, and for one that is only
   * mounted.
   *
   * @param keys the keys that the Secret must have, for the message if it does not exist
   */
  secret(at: Path, name: string, keys: readonly string[]): Secret | undefined {
    const found = this.#nameOfSecret(at, name);
    if (found === undefined) return undefined;
    try {
      return this.#secrets.find(found, keys);
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      if (this.#secrets.mountOf(found) === undefined) this.reject(at, error.message);
      return undefined;
    }
  }

  /**
   * The folder of a container in which a Secret is mounted, for a setting that names it. Undefined if Secrets
   * are read here.
   */
  mount(name: string, keys: readonly string[], target: Path): string | undefined {
    const { resourceRef } = this.#reference(name) ?? {};
    const secret = resourceRef?.name ?? name;
    const folder = this.#secrets.mountOf(secret);
    if (folder !== undefined) this.imported.needs.secrets.push({ name: secret, keys, at: target });
    return folder;
  }

  #reference(name: string): Reference | undefined {
    return this.references?.find((candidate) => candidate.name === name);
  }

  #nameOfSecret(at: Path, name: string): string | undefined {
    const reference = this.#reference(name);
    if (this.references && !reference) {
      this.reject(at, `${name} is not in spec.resources`);
      return undefined;
    }
    if (reference && reference.resourceRef.kind !== "Secret") {
      this.reject(at, `${name} is a ${reference.resourceRef.kind}: it must be a Secret`);
      return undefined;
    }
    return reference?.resourceRef.name ?? name;
  }
}
