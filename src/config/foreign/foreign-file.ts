import { ConfigError } from "../parsing/problems.ts";
import { YamlSource } from "../parsing/yaml-source.ts";
import { mainDocument, type YamlDocuments } from "./yaml-documents.ts";

/** A file of another program, whose format is not yet known. It is parsed as YAML once, if at all. */
export class ForeignFile {
  #parsed: readonly YamlSource[] | ConfigError | undefined;

  constructor(
    /** The path as the operator wrote it. */
    readonly name: string,
    readonly text: string,
  ) {}

  /** Its YAML documents without the empty ones; none if it is not valid YAML. */
  get documents(): readonly YamlSource[] {
    const parsed = this.#parse();
    return parsed instanceof ConfigError ? [] : parsed;
  }

  /** The value of its first YAML document; undefined if it is not valid YAML. */
  get value(): unknown {
    return this.documents[0]?.value;
  }

  /** @throws ConfigError if it is not valid YAML, or has more than one document apart from Secrets */
  onlyDocument(): YamlDocuments {
    const parsed = this.#parse();
    if (parsed instanceof ConfigError) throw parsed;
    return mainDocument(this.name, parsed);
  }

  #parse(): readonly YamlSource[] | ConfigError {
    if (this.#parsed) return this.#parsed;
    try {
      this.#parsed = YamlSource.all(this.name, this.text);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#parsed = error;
    }
    return this.#parsed;
  }
}
