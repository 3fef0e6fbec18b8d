import { RegistrySearch } from "../distribution/command-line/docker-run.ts";
import type { ShellWord } from "../distribution/command-line/shell-values.ts";
import { readConfigYml } from "../distribution/config-yml.ts";
import { surroundingsOf } from "../distribution/container/container-surroundings.ts";
import { bareContainer, type Variable } from "../distribution/container/container.ts";
import { readNamedFile } from "../distribution/container/env-file.ts";
import type { HostFolders } from "../distribution/container/notation.ts";
import { applyEnvironment } from "../distribution/container/registry-environment.ts";
import { asWritten, mark, unresolvedIn } from "../distribution/container/unresolved.ts";
import { eachFile, type Format, type ImportContext } from "../distribution/format.ts";
import type { RegistrySettings } from "../distribution/registry-settings.ts";
import { withDropIns } from "./drop-ins.ts";
import { parseEnvironmentFile } from "./environment-file.ts";
import { type Assignment, hasSection, SYSTEMD_LINES, UnitFile } from "./unit-file.ts";
import { identityOf } from "./unit-identity.ts";
import { UnitValues } from "./unit-values.ts";

/** A container may be created before the service starts it. */
const COMMAND_KEYS = ["ExecStartPre", "ExecStart", "ExecStartPost"];
/** The program of a registry without a container: docker-registry in Debian's package. */
const REGISTRY = /(?:^|\/)(?:docker-)?registry$/;

/** systemd's services that run a registry, in a container or by itself. */
export const serviceUnit: Format = {
  title: "a unit of systemd",
  matches: ({ name, text }) => name.endsWith(".service") || hasSection(text, "Service"),
  read: eachFile(({ name, text }, context) => {
    const unit = withDropIns(UnitFile.parse(name, text, SYSTEMD_LINES), SYSTEMD_LINES, context);
    const service = new UnitValues(unit, "Service", identityOf(name, context.home), context);
    return new Service(service, context).registries();
  }),
};

class Service {
  readonly #values: UnitValues;
  readonly #context: ImportContext;
  readonly #folders: HostFolders;

  constructor(values: UnitValues, context: ImportContext) {
    this.#values = values;
    this.#context = context;
    const working = values.text("WorkingDirectory")?.value.replace(/^-/, "");
    const home = values.identity.home;
    this.#folders = { working: working === "~" ? home : (working ?? "/"), home };
  }

  registries(): RegistrySettings[] {
    const { imported, readFile } = this.#context;
    const { unit } = this.#values;
    const countBefore = imported.problems.length;
    const environment = this.#environment();
    const search = new RegistrySearch(this.#folders, readFile, imported);
    // `-e NAME` takes its value from there.
    const inherited = new Map(environment.map(({ name, value = "" }) => [name, value]));
    const own: RegistrySettings[] = [];
    for (const line of COMMAND_KEYS.flatMap((key) => unit.all("Service", key))) {
      const words = this.#words(line, environment);
      const [program, verb] = words;
      if (program && verb?.text === "serve" && REGISTRY.test(program.text)) {
        const registry = this.#served(words, line, environment);
        if (registry) own.push(registry);
      } else search.command({ file: line.at.file, words, environment: inherited });
    }
    const found = [...own, ...search.found];
    if (found.length === 0 && imported.problems.length === countBefore) {
      const at = { file: unit.name, line: 1, column: 1, what: "" };
      imported.reject(at, "no command of this unit runs registry:2 or registry:3");
    }
    return found;
  }

  /** The settings of a registry without a container: they are on this host. */
  #served(
    words: readonly ShellWord[],
    { key, at }: Assignment,
    environment: readonly Variable[],
  ): RegistrySettings | undefined {
    const { imported, readFile } = this.#context;
    const from = { ...at, what: `${key}=` };
    const path = environment.find(({ name }) => name === "REGISTRY_CONFIGURATION_PATH")?.value;
    const name = words.slice(2).find(({ text }) => !text.startsWith("-"))?.text ?? path;
    if (name === undefined) {
      imported.reject(from, "names no configuration: import its config.yml");
      return undefined;
    }
    const file = readNamedFile(name, from, this.#folders.working, readFile, imported);
    if (!file) return undefined;
    const { settings } = readConfigYml(file.file, file.text);
    applyEnvironment(environment, settings, imported);
    // Its proxies and CA files are in the variables of the unit.
    const process = { ...bareContainer(from, ""), environment };
    return { from, settings, surroundings: surroundingsOf(process, (onHost) => onHost) };
  }

  #environment(): Variable[] {
    const { imported, readFile } = this.#context;
    const filed = this.#values.words("EnvironmentFile").flatMap(({ value, from }): Variable[] => {
      const isOptional = value.startsWith("-");
      const problems = isOptional ? imported.problems.length : undefined;
      const file = readNamedFile(value.replace(/^-/, ""), from, "/", readFile, imported);
      // systemd ignores a missing file that is marked so.
      if (!file && problems !== undefined) imported.problems.length = problems;
      return parseEnvironmentFile(file?.text ?? "").map(({ name, value: text, line }) => ({
        name,
        value: text,
        from: { file: file?.file ?? value, line, column: 1, what: name },
      }));
    });
    return [...this.#values.variables(), ...filed];
  }

  /** The words of a command as the program gets them: systemd.service(5), "Command lines". */
  #words(line: Assignment, environment: readonly Variable[]): ShellWord[] {
    const prefix = /^[@\-:+!|]*/.exec(line.value)?.[0] ?? "";
    const words = this.#values.split({ ...line, value: line.value.slice(prefix.length) });
    const program = words.slice(0, 1);
    // With @, the second word is the name that the program gets to see.
    const rest = words.slice(prefix.includes("@") ? 2 : 1);
    const substituted = prefix.includes(":")
      ? rest.map(({ value }) => value)
      : rest.flatMap(({ value }) => substitute(value, environment));
    const texts = [...program.map(({ value }) => value), ...substituted];
    return texts.map((text) => ({
      text,
      line: line.at.line,
      // An unknown variable by itself may be any number of words.
      isOpen: unresolvedIn(text) !== undefined && mark(asWritten(text)) === text,
    }));
  }
}

/** Substitutes `${NAME}` anywhere, and `$NAME` that is a word by several words. */
function substitute(word: string, environment: readonly Variable[]): string[] {
  const valueOf = (name: string): string | undefined =>
    environment.findLast((variable) => variable.name === name)?.value;
  const alone = /^\$([A-Za-z_]\w*)$/.exec(word)?.[1];
  if (alone !== undefined) {
    const value = valueOf(alone);
    return value === undefined ? [mark(word)] : value.split(/\s+/).filter((one) => one !== "");
  }
  const text = word.replaceAll(/\$\$|\$\{([A-Za-z_]\w*)\}/g, (written, name: string | undefined) =>
    name === undefined ? "$" : (valueOf(name) ?? mark(written)),
  );
  return [text];
}
