import { RegistrySearch } from "../distribution/command-line/docker-run.ts";
import { readCompose } from "../distribution/compose/compose.ts";
import { type Container, isRegistry } from "../distribution/container/container.ts";
import { readContainer } from "../distribution/container/read-container.ts";
import {
  asWritten,
  mark,
  unresolvedIn,
  withoutMarks,
} from "../distribution/container/unresolved.ts";
import { eachFile, type Format, hostFolders, type ImportContext } from "../distribution/format.ts";
import type { RegistrySettings } from "../distribution/registry-settings.ts";
import { ForeignFile } from "../foreign/foreign-file.ts";
import type { Origin } from "../foreign/imported-config.ts";
import { readManifests } from "../kubernetes/kubernetes.ts";
import { ConfigError } from "../parsing/problems.ts";
import { stringify } from "yaml";
import { ContainerModule, containerModule } from "./container-module.ts";
import { OPEN_LOOP, type Task, TaskReader } from "./tasks.ts";
import { Templates } from "./templates.ts";
import { isMapping, type Mapping, parseAnsible } from "./variable-files.ts";
import { WrittenFiles } from "./written-files.ts";

const COMPOSE = /^(?:community\.(?:docker|general)\.)?(?:docker_compose(?:_v2)?|docker_stack)$/;
const KUBERNETES = /^(?:(?:kubernetes\.core|community\.(?:kubernetes|okd))\.)?k8s$/;
const SHELL = /^(?:ansible\.(?:builtin|legacy)\.)?(?:command|shell|raw)$/;

/** Ansible's playbooks and task files, with the roles and files that they include. */
export const playbook: Format = {
  title: "a file of Ansible tasks",
  matches: ({ name, text }) => hasTasks(name, text),
  read: eachFile(({ name, text }, context) => new Playbook(context).read(name, text)),
};

/** Whether a text is a list of plays or of tasks. */
function hasTasks(name: string, text: string): boolean {
  const first = text.split("\n").find((line) => !/^\s*(?:#|---|\r?$)/.test(line));
  if (!first?.trimStart().startsWith("- ")) return false;
  try {
    const { value } = parseAnsible(name, text);
    return Array.isArray(value) && value.some((entry) => isMapping(entry) && isTask(entry));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return false;
  }
}

function isTask(entry: Mapping): boolean {
  const keys = ["hosts", "block", "import_playbook", "roles", "tasks"];
  return (
    keys.some((key) => key in entry) ||
    containerModule(entry) !== undefined ||
    Object.keys(entry).some(
      (key) =>
        COMPOSE.test(key) ||
        KUBERNETES.test(key) ||
        SHELL.test(key) ||
        /^(?:ansible\.|community\.|containers\.|(?:import|include)_)/.test(key),
    ) ||
    ("name" in entry && ("when" in entry || "become" in entry || "register" in entry))
  );
}

class Playbook {
  readonly #context: ImportContext;
  readonly #templates = new Templates();
  readonly #files: WrittenFiles;

  constructor(context: ImportContext) {
    this.#context = context;
    this.#files = new WrittenFiles(context, this.#templates);
  }

  read(file: string, text: string): RegistrySettings[] {
    const { imported } = this.#context;
    const countBefore = imported.problems.length;
    const reader = new TaskReader(this.#context, this.#templates);
    reader.readFile(file, withoutMarks(text));
    for (const task of reader.tasks) this.#files.add(task);
    const found = reader.tasks.flatMap((task) => this.#registries(task));
    for (const { from } of this.#files.unused()) {
      const advice =
        "describes a registry that no task here starts: import it as a file of its own";
      imported.warn({ ...from, line: from.line + 1 }, advice, "registry");
    }
    if (found.length === 0 && imported.problems.length === countBefore) {
      const at = { file, line: 1, column: 1, what: "" };
      imported.reject(at, "no task runs registry:2 or registry:3");
    }
    return found;
  }

  #registries(task: Task): RegistrySettings[] {
    const module = containerModule(task.values);
    if (module !== undefined) return this.#container(task, module);
    for (const key of Object.keys(task.values)) {
      if (COMPOSE.test(key)) return this.#compose(task, key);
      if (KUBERNETES.test(key)) return this.#manifest(task, key);
      if (SHELL.test(key)) return this.#command(task, key);
    }
    return [];
  }

  #options(task: Task, key: string): Mapping {
    const rendered = this.#templates.render(task.values[key], task.scope);
    if (isMapping(rendered)) return rendered;
    // The old notation: `docker_container: name=hub image=registry:2`.
    const pairs = String(rendered).matchAll(/(?<!\w)(\w+)=("[^"]*"|'[^']*'|\S+)/g);
    return Object.fromEntries(
      [...pairs].map(([, name = "", value = ""]) => [name, value.replaceAll(/^["']|["']$/g, "")]),
    );
  }

  #container(task: Task, key: string): RegistrySettings[] {
    const { imported, readFile } = this.#context;
    const options = this.#options(task, key);
    // A task that removes or stops a container runs none.
    if (options["state"] === "absent" || options["state"] === "stopped") return [];
    const module = new ContainerModule(task, key, options, this.#context);
    const described = module.container();
    const container: Container = { ...described, mounts: this.#files.mounted(described.mounts) };
    const mentions = /registry|distribution/i.test(JSON.stringify([task.values, options]));
    const loop = task.scope.get(OPEN_LOOP);
    if (!isRegistry(container)) {
      if (mentions && unresolvedIn(container.image) !== undefined) {
        imported.reject(
          container.from,
          `the image of this container, ${asWritten(container.image)}, is not known: write it out, or leave the task out if it runs no registry`,
        );
      }
      return [];
    }
    if (typeof loop === "string") {
      imported.reject(
        task.origin([]),
        `${container.from.what}: loops over ${asWritten(loop)}, whose value is not known: write the list out`,
      );
      return [];
    }
    for (const { value, from } of module.unknownOptions()) {
      imported.reject(from, `takes its value from ${value}, which is not known: write it out`);
    }
    const registry = readContainer(container, readFile, imported);
    return registry && this.#isKnown(registry) ? [registry] : [];
  }

  /** Rejects settings of a written config.yml that depend on more than constants. */
  #isKnown({ settings }: RegistrySettings): boolean {
    const unknown = [...settings.values()].flatMap(({ value, from }) => {
      const expression = unresolvedIn(value);
      return expression === undefined ? [] : [{ expression, from }];
    });
    for (const { expression, from } of unknown) {
      const message = `takes its value from ${expression}, which is not known: write it out`;
      this.#context.imported.reject(from, message);
    }
    return unknown.length === 0;
  }

  #compose(task: Task, key: string): RegistrySettings[] {
    const { imported, readFile } = this.#context;
    const options = this.#options(task, key);
    if (options["state"] === "absent") return [];
    const folder = options["project_src"];
    const written =
      typeof folder === "string"
        ? COMPOSE_FILES.map((name) => this.#files.at(`${folder}/${name}`)).find((one) => one)
        : undefined;
    const definition = options["definition"] ?? options["compose"];
    const text = isMapping(definition) ? stringify(definition) : written?.text;
    const from = isMapping(definition)
      ? lineBefore(task.origin([key, "definition"]))
      : written?.from;
    if (text === undefined || !from) {
      const reason = "starts containers that a Compose file describes: import that file as well";
      imported.warn(task.origin([key], key), reason, "registry");
      return [];
    }
    const unknown = unresolvedIn(text);
    if (unknown !== undefined && /registry|distribution/i.test(text)) {
      const line = from.line + text.slice(0, text.indexOf(mark(unknown))).split("\n").length;
      const message = `has ${unknown}, whose value is not known: write it out`;
      imported.reject({ ...from, line }, message);
      return [];
    }
    const project = [{ file: from.file, text: atLine(text, from) }];
    return readCompose(project, this.#context.home, readFile, imported);
  }

  #manifest(task: Task, key: string): RegistrySettings[] {
    const options = this.#options(task, key);
    if (options["state"] === "absent") return [];
    const definition = options["definition"] ?? options["resource_definition"] ?? options["inline"];
    const from = task.origin([key, "definition"]);
    if (definition === undefined) {
      const reason = "applies manifests from elsewhere: import those files as well";
      this.#context.imported.warn(from, reason, "registry");
      return [];
    }
    const isText = typeof definition === "string";
    const text = Array.isArray(definition)
      ? definition.map((one: unknown) => stringify(one)).join("---\n")
      : isText
        ? definition
        : stringify(definition);
    if (!/registry|distribution/i.test(text)) return [];
    const place = isText && text.includes("\n") ? from : lineBefore(from);
    return readManifests([new ForeignFile(from.file, atLine(text, place))], this.#context);
  }

  #command(task: Task, key: string): RegistrySettings[] {
    const { imported, readFile } = this.#context;
    const rendered = this.#templates.render(task.values[key], task.scope);
    const options: Mapping = isMapping(rendered) ? rendered : { cmd: rendered };
    const argv = options["argv"];
    const text = Array.isArray(argv)
      ? argv.map((word) => `'${String(word).replaceAll("'", String.raw`'\''`)}'`).join(" ")
      : options["cmd"];
    if (typeof text !== "string" || !/registry|distribution/i.test(text)) return [];
    const from = task.origin([key]);
    const folders = hostFolders(from.file, this.#context);
    const search = new RegistrySearch(folders, readFile, imported);
    search.read(from.file, text, text.includes("\n") ? from.line + 1 : from.line);
    return search.found;
  }
}

const COMPOSE_FILES = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/** A text behind as many empty lines as there are up to its place, so that messages have its lines. */
function atLine(text: string, { line }: Origin): string {
  return `${"\n".repeat(Math.max(0, line))}${text}`;
}

/** A text begins in the line behind the one of its origin. */
function lineBefore(from: Origin): Origin {
  return { ...from, line: from.line - 1 };
}
