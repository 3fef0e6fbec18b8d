import path from "node:path";
import { mark } from "../distribution/container/unresolved.ts";
import { type ImportContext, reportProblems } from "../distribution/format.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { type Path, YamlSource } from "../parsing/yaml-source.ts";

const MAX_BYTES = 1024 * 1024;
/** Values with these tags are not what is written. */
const VAULT = "!vault";
const TAGS = [VAULT, "!unsafe"];

export type Mapping = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses a file of Ansible: YAML whose scalars keep their text. */
export function parseAnsible(file: string, text: string): YamlSource {
  return YamlSource.ofTexts(file, text, TAGS);
}

/** Finds the variables of roles and groups where Ansible looks for them. */
export class VariableFiles {
  readonly #context: ImportContext;

  constructor(context: ImportContext) {
    this.#context = context;
  }

  /** The defaults and the variables of a role. */
  ofRole(role: string): [string, unknown][] {
    return ["defaults", "vars"].flatMap((kind) => this.#named(path.join(role, kind), "main"));
  }

  /** The variables of a group, in `group_vars` beside the playbook. */
  ofGroup(folder: string, group: string): [string, unknown][] {
    if (!/^[\w.-]+$/.test(group)) return [];
    return this.#named(path.join(folder, "group_vars"), group);
  }

  /** `main.yml`, `main.yaml`, and the files in the folder `main`. */
  #named(folder: string, name: string): [string, unknown][] {
    const names = this.#context.listFolder(folder);
    const single = names.filter((one) => one.replace(/\.ya?ml$/, "") === name && one !== name);
    const inner = names.includes(name)
      ? this.#context.listFolder(path.join(folder, name)).map((one) => path.join(name, one))
      : [];
    return [...single, ...inner]
      .filter((one) => /\.ya?ml$/.test(one))
      .flatMap((one) => this.ofFile(path.join(folder, one)));
  }

  /** The variables of a file; none if it cannot be read. */
  ofFile(file: string): [string, unknown][] {
    const variables = reportProblems(file, this.#context, () => {
      try {
        const source = parseAnsible(file, this.#context.readFile(file, MAX_BYTES));
        this.#context.imported.alsoRead(file);
        return variablesAt(source, source.value, []);
      } catch (error) {
        // Its variables are missed where they are used.
        if (error instanceof UnreadableError) return [];
        throw error;
      }
    });
    return variables ?? [];
  }
}

/** The variables of a mapping, without the values that Ansible Vault has encrypted. */
export function variablesAt(source: YamlSource, value: unknown, at: Path): [string, unknown][] {
  return isMapping(value) ? Object.entries(masked(source, value, at)) : [];
}

/** Marks what Ansible Vault has encrypted: the text is not the value. */
export function masked(source: YamlSource, value: Mapping, at: Path): Mapping {
  const mask = (one: unknown, here: Path): unknown => {
    if (typeof one === "string" && source.tagAt(here) === VAULT)
      return mark("a value of Ansible Vault");
    if (Array.isArray(one))
      return one.map((inner: unknown, index) => mask(inner, [...here, index]));
    if (!isMapping(one)) return one;
    return Object.fromEntries(
      Object.entries(one).map(([key, inner]) => [key, mask(inner, [...here, key])]),
    );
  };
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, mask(one, [...at, key])]),
  );
}
