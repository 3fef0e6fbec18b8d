import type { z } from "zod";
import { explainIssues } from "../parsing/schema-problems.ts";
import { type ImportedConfig, type Origin, originIn } from "../foreign/imported-config.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import type { Reference } from "./manifest-schemas.ts";
import { type Secret, SecretError, type Secrets } from "./secrets.ts";

/** A manifest that is being read, and what comes of it. */
export class Reading {
  readonly source: YamlSource;
  readonly draft: ImportedConfig;
  readonly #secrets: Secrets;
  /** A Shoot's `spec.resources`; absent where the manifest has none, so that names mean Secrets. */
  references: readonly Reference[] | undefined;

  constructor(source: YamlSource, draft: ImportedConfig, secrets: Secrets) {
    this.source = source;
    this.draft = draft;
    this.#secrets = secrets;
  }

  /** Checks the form of a part of the manifest; what is wrong is reported. */
  parse<Schema extends z.ZodType>(
    schema: Schema,
    value: unknown,
    base: Path,
  ): z.infer<Schema> | undefined {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    this.draft.problems.push(...explainIssues(parsed.error.issues, schema, this.source, base));
    return undefined;
  }

  origin(at: Path): Origin {
    return originIn(this.source, at);
  }

  refuse(at: Path, message: string): void {
    this.draft.refuse(this.origin(at), message);
  }

  leave(at: Path, why: string): void {
    this.draft.leave(this.origin(at), why);
  }

  /**
   * The Secret that a reference means; what is wrong with either is reported.
   *
   * @param keys what it has to have
   */
  secret(at: Path, name: string, keys: readonly string[]): Secret | undefined {
    const reference = this.references?.find((one) => one.name === name);
    if (this.references && !reference) {
      this.refuse(at, `${name} is not among spec.resources`);
      return undefined;
    }
    if (reference && reference.resourceRef.kind !== "Secret") {
      this.refuse(at, `${name} is a ${reference.resourceRef.kind}: it has to be a Secret`);
      return undefined;
    }
    try {
      return this.#secrets.find(reference?.resourceRef.name ?? name, keys);
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      this.refuse(at, error.message);
      return undefined;
    }
  }
}
