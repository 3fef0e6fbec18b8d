import path from "node:path";
import { explainIssues, pathPrefix } from "./parsing/schema-problems.ts";
import { type ReadText, UnreadableError } from "./parsing/read-text.ts";
import type { ImportedConfig } from "./foreign/imported-config.ts";
import { leftOverLines } from "./foreign/write-config.ts";
import { readDocuments } from "./gardener/yaml-documents.ts";
import { isManifest, readManifest } from "./gardener/manifest.ts";
import type { Path, YamlSource } from "./parsing/yaml-source.ts";
import { ConfigError, type Problem, quote, sortProblems } from "./parsing/problems.ts";
import { type FileSettings, fileSchema } from "./schema.ts";

const MAX_BYTES = 1024 * 1024;

/** A configuration file whose form was checked, and which knows where everything in it stands. */
export class ConfigFile {
  readonly settings: FileSettings;
  /** Where its relative paths begin. */
  readonly folder: string;
  readonly #source: YamlSource;
  /** Where the file is a manifest of Gardener's: what came of it. */
  readonly #draft: ImportedConfig | undefined;

  /**
   * @param name as it was given: that is how messages call it
   * @param origin what gave the name, for the message where there is no such file
   * @throws ConfigError
   */
  constructor(name: string, origin: string, readFile: ReadText) {
    this.folder = path.dirname(path.resolve(name));
    const documents = readDocuments(name, read(name, origin, readFile));
    this.#source = documents.source;
    this.#draft = isManifest(this.#source.value)
      ? readManifest(documents, { folder: path.join(this.folder, "secrets"), readFile })
      : undefined;
    const problems = this.#draft?.problems ?? [];
    if (problems.length > 0) throw new ConfigError(sortProblems(problems));
    // An empty file, or one of comments alone, changes nothing.
    const parsed = fileSchema.safeParse(this.#draft?.value ?? this.#source.value ?? {});
    if (!parsed.success) {
      throw new ConfigError(explainIssues(parsed.error.issues, fileSchema, this.#source));
    }
    this.settings = parsed.data;
  }

  /** What a foreign file says that has no equal here, a line for each. */
  get leftOver(): readonly string[] {
    return this.#draft ? leftOverLines(this.#draft) : [];
  }

  /** `file:line:column` of a value. */
  place(at: Path): string {
    const { file, line, column } = this.problem(at, "");
    return [file, line, column].filter((part) => part !== undefined).join(":");
  }

  /** Something that is wrong with a key or the value of it. */
  problem(at: Path, message: string, place: "key" | "value" = "value"): Problem {
    const text = pathPrefix(at) + message;
    const origin = this.#draft?.originOf(at);
    if (origin) {
      const { file, line, column, what } = origin;
      return { file, line, column, message: `${what}: ${message}` };
    }
    return place === "key" ? this.#source.keyProblem(at, text) : this.#source.problem(at, text);
  }
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
