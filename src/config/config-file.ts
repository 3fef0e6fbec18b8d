import path from "node:path";
import { pathPrefix, schemaProblems } from "./parsing/schema-problems.ts";
import { type ReadText, UnreadableError } from "./parsing/read-text.ts";
import type { ImportedConfig } from "./foreign/imported-config.ts";
import { unsupportedLines } from "./foreign/write-config.ts";
import { ForeignFile } from "./foreign/foreign-file.ts";
import type { YamlDocuments } from "./foreign/yaml-documents.ts";
import { type WrittenKey, writtenKeys } from "./effective/written-keys.ts";
import { importAdvice } from "./import-formats.ts";
import { isGardenerManifest, readManifest } from "./gardener/manifest.ts";
import type { Path, YamlSource } from "./parsing/yaml-source.ts";
import { ConfigError, type Problem, quote, sortProblems } from "./parsing/problems.ts";
import { hasMoreTokens } from "./parsing/yaml-tokens.ts";
import { type FileSettings, fileSchema } from "./schema.ts";

const MAX_BYTES = 1024 * 1024;

/**
 * Enough for a thousand upstreams. A running cache serves nothing while it reads its file, which takes
 * some 3 ms for a thousand tokens.
 */
const MAX_TOKENS = 20_000;

/** A configuration file that matches the schema, with the position of each value. */
export class ConfigFile {
  readonly settings: FileSettings;
  /** What is written, without secrets, and where. */
  readonly keys: readonly WrittenKey[];
  /** The directory that relative paths in the file refer to. */
  readonly folder: string;
  readonly #source: YamlSource;
  /** The converted configuration, if the file is a Gardener manifest. */
  readonly #imported: ImportedConfig | undefined;

  /**
   * @param name the path as the operator wrote it; messages use it
   * @param origin the flag or variable with the path, for the message if the file cannot be read
   * @throws ConfigError if the file cannot be read or does not match the schema
   */
  constructor(name: string, origin: string, readFile: ReadText) {
    this.folder = path.dirname(path.resolve(name));
    const file = new ForeignFile(name, read(name, origin, readFile));
    if (hasMoreTokens(file.text, MAX_TOKENS)) {
      const message = `is too large for an entrepot.yaml: it has more than ${MAX_TOKENS} keys, values and other tokens of YAML`;
      throw new ConfigError([{ file: name, line: 1, column: 1, message }]);
    }
    const documents = parse(file);
    this.#source = documents.source;
    this.#imported = isGardenerManifest(this.#source.value)
      ? readManifest(documents, { folder: path.join(this.folder, "secrets"), readFile })
      : undefined;
    const problems = this.#imported?.problems ?? [];
    if (problems.length > 0) throw new ConfigError(sortProblems(problems));
    // A file that is empty or has only comments means the defaults.
    const parsed = fileSchema.safeParse(this.written);
    if (!parsed.success) {
      throw (
        foreignError(file) ??
        new ConfigError(schemaProblems(parsed.error.issues, fileSchema, this.#source))
      );
    }
    this.settings = parsed.data;
    this.keys = writtenKeys(this.written, (at) => this.location(at));
  }

  /** The keys and values as they were written, before defaults and conversion. */
  get written(): unknown {
    return this.#imported?.value ?? this.#source.value ?? {};
  }

  /** The settings of a Gardener manifest that have no equivalent, one line each. */
  get unsupported(): readonly string[] {
    return this.#imported ? unsupportedLines(this.#imported) : [];
  }

  /** The position of a value, as `file:line:column`. */
  location(at: Path): string {
    const { file, line, column } = this.problem(at, "");
    return [file, line, column].filter((part) => part !== undefined).join(":");
  }

  /** A problem with a key or its value, with its position in the file. */
  problem(at: Path, message: string, subject: "key" | "value" = "value"): Problem {
    const text = pathPrefix(at) + message;
    const origin = this.#imported?.originOf(at);
    if (origin) {
      const { file, line, column, what } = origin;
      return { file, line, column, message: `${what}: ${message}` };
    }
    return subject === "key" ? this.#source.keyProblem(at, text) : this.#source.problem(at, text);
  }
}

/** @throws ConfigError if the file is not one YAML document */
function parse(file: ForeignFile): YamlDocuments {
  try {
    return file.onlyDocument();
  } catch (error) {
    throw foreignError(file) ?? error;
  }
}

/** Why a file of another program is no configuration, which says more than what is wrong with it as one. */
function foreignError(file: ForeignFile): ConfigError | undefined {
  const message = importAdvice(file);
  return message === undefined
    ? undefined
    : new ConfigError([{ file: file.name, line: 1, column: 1, message }]);
}

function read(name: string, origin: string, readFile: ReadText): string {
  try {
    return readFile(name, MAX_BYTES);
  } catch (cause) {
    if (!(cause instanceof UnreadableError)) throw cause;
    throw new ConfigError([{ message: `${origin}: ${name || quote(name)} ${cause.message}` }], {
      cause,
    });
  }
}
