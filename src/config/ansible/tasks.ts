import path from "node:path";
import { type ImportContext, reportProblems } from "../distribution/format.ts";
import { unresolvedIn } from "../distribution/container/unresolved.ts";
import { type Origin, originIn } from "../foreign/imported-config.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import type { Scope } from "./expression.ts";
import type { Templates } from "./templates.ts";
import {
  isMapping,
  type Mapping,
  masked,
  parseAnsible,
  VariableFiles,
  variablesAt,
} from "./variable-files.ts";

const MAX_BYTES = 1024 * 1024;
/** Files that include each other. */
const MAX_DEPTH = 10;
/** Far more than a playbook that sets up some registries has. */
const MAX_TASKS = 2_000;
/** A task with its variables, once for each item of its loop. */
export interface Task {
  readonly values: Readonly<Record<string, unknown>>;
  readonly scope: Scope;
  readonly file: string;
  /** The directory of the role or playbook, for `files/` and `templates/`. */
  readonly folder: string;
  /** The origin of a value of the task. */
  readonly origin: (at: Path, what?: string) => Origin;
}

/** Where a task stands. */
interface Place {
  /** The variables of the tasks that follow it. */
  readonly known: Map<string, unknown>;
  readonly scope: Scope;
  readonly folder: string;
  readonly from: Origin;
}

/** Walks through playbooks, roles, blocks and includes, and expands loops over constants. */
export class TaskReader {
  readonly tasks: Task[] = [];
  readonly #context: ImportContext;
  readonly #templates: Templates;
  readonly #variables: VariableFiles;
  #depth = 0;
  #steps = 0;

  constructor(context: ImportContext, templates: Templates) {
    this.#context = context;
    this.#templates = templates;
    this.#variables = new VariableFiles(context);
  }

  /** Reads a file of plays or of tasks. */
  readFile(file: string, text: string): void {
    const source = parseAnsible(file, text);
    // A task file of a role has the variables of the role.
    const role =
      path.basename(path.dirname(file)) === "tasks" ? path.dirname(path.dirname(file)) : undefined;
    const folder = role ?? path.dirname(file);
    const scope = new Map<string, unknown>(
      role === undefined ? this.#variables.ofGroup(folder, "all") : this.#variables.ofRole(role),
    );
    this.#list(source, source.value, [], scope, folder);
  }

  #list(source: YamlSource, value: unknown, at: Path, scope: Scope, folder: string): void {
    if (!Array.isArray(value)) return;
    const known = new Map(scope);
    for (const [index, entry] of value.entries()) {
      if (!isMapping(entry)) continue;
      const here = [...at, index];
      if ("hosts" in entry) this.#play(source, entry, here, known, folder);
      else if (typeof entry["import_playbook"] === "string") {
        this.#include(entry["import_playbook"], folder, known, originIn(source, here));
      } else this.#task(source, entry, here, known, folder);
    }
  }

  #play(source: YamlSource, play: Mapping, at: Path, scope: Scope, folder: string): void {
    const known = new Map([
      ...scope,
      ...this.#variables.ofGroup(folder, textOf(play["hosts"])),
      ...variablesAt(source, play["vars"], [...at, "vars"]),
    ]);
    for (const name of listOf(play["vars_files"])) {
      const file = path.join(folder, textOf(this.#templates.render(name, known)));
      for (const [key, value] of this.#variables.ofFile(file)) known.set(key, value);
    }
    const lists = ["pre_tasks", "tasks", "post_tasks", "handlers"];
    for (const [index, role] of listOf(play["roles"]).entries()) {
      const own = isMapping(role)
        ? variablesAt(source, role["vars"], [...at, "roles", index, "vars"])
        : [];
      const name = isMapping(role) ? (role["role"] ?? role["name"]) : role;
      const inline = isMapping(role) ? Object.entries(role) : [];
      this.#role(
        name,
        "main",
        folder,
        new Map([...known, ...inline, ...own]),
        originIn(source, [...at, "roles", index]),
      );
    }
    for (const key of lists) this.#list(source, play[key], [...at, key], known, folder);
  }

  #task(
    source: YamlSource,
    task: Mapping,
    at: Path,
    known: Map<string, unknown>,
    folder: string,
  ): void {
    const scope = new Map([...known, ...variablesAt(source, task["vars"], [...at, "vars"])]);
    if (task["when"] === "false") return;
    for (const key of ["block", "rescue", "always"]) {
      if (key in task) this.#list(source, task[key], [...at, key], scope, folder);
    }
    const facts = task["set_fact"] ?? task["ansible.builtin.set_fact"];
    if (isMapping(facts)) {
      // Facts stay known to the tasks that follow.
      for (const [key, value] of variablesAt(source, facts, [...at, "set_fact"])) {
        known.set(key, this.#templates.render(value, scope));
      }
      return;
    }
    const from = originIn(source, at);
    const values = masked(source, task, at);
    const origin = (below: Path, what = below.map(String).join(".")): Origin =>
      originIn(source, [...at, ...below], what);
    for (const item of this.#items(task, scope)) {
      if (this.#isTooLong(from)) return;
      const own = new Map([...scope, ...item]);
      if (this.#includes(task, { known, scope: own, folder, from })) continue;
      this.tasks.push({ values, scope: own, file: from.file, folder, origin });
    }
  }

  /** The variables of each round of a loop; one round without any if there is no loop. */
  #items(task: Mapping, scope: Scope): readonly Scope[] {
    const key = Object.keys(task).find((name) => name === "loop" || name.startsWith("with_"));
    if (key === undefined) return [new Map()];
    const control = task["loop_control"];
    const name = isMapping(control) ? textOf(control["loop_var"] ?? "item") : "item";
    const rendered = this.#templates.render(task[key], scope);
    const rounds = (list: readonly unknown[]): Scope[] =>
      list.map((item, index) => new Map([[name, item], ...indexVariable(control, index)]));
    if (key === "with_dict" && isMapping(rendered)) {
      return rounds(Object.entries(rendered).map(([one, value]) => ({ key: one, value })));
    }
    const isKnown = key === "loop" || key === "with_items" || key === "with_list";
    if (isKnown && Array.isArray(rendered)) {
      return rounds(key === "with_items" ? rendered.flat() : rendered);
    }
    // How many rounds there are is not known: whoever reads the task decides whether it matters.
    const written = typeof rendered === "string" ? (unresolvedIn(rendered) ?? key) : key;
    return [new Map([[OPEN_LOOP, written]])];
  }

  /** Follows a task that includes others. */
  #includes(task: Mapping, place: Place): boolean {
    const { known, scope, folder, from } = place;
    for (const [key, value] of Object.entries(task)) {
      const action = key.replace(/^ansible\.(?:builtin|legacy)\./, "");
      const named = isMapping(value) ? (value["file"] ?? value["name"]) : value;
      if (/^(?:(?:include|import)_tasks|include)$/.test(action)) {
        this.#include(textOf(this.#templates.render(named, scope)), folder, scope, from);
        return true;
      }
      if (/^(?:include|import)_role$/.test(action) && isMapping(value)) {
        const tasks = textOf(value["tasks_from"] ?? "main");
        this.#role(value["name"], tasks, folder, scope, from);
        return true;
      }
      if (action === "include_vars") {
        const name = textOf(this.#templates.render(named, scope));
        const files = [path.join(folder, name), path.join(folder, "vars", name)];
        for (const [variable, one] of files.flatMap((file) => this.#variables.ofFile(file))) {
          known.set(variable, one);
        }
        return true;
      }
    }
    return false;
  }

  #include(name: string, folder: string, scope: Scope, from: Origin): void {
    if (this.#isUnknown(name, from)) return;
    const candidates = [path.join(folder, "tasks", name), path.join(folder, name)];
    const file = candidates.find((one) => this.#exists(one));
    if (file === undefined) {
      this.#context.imported.warn(
        from,
        `includes ${name}, which does not exist here: import it too if it starts registries`,
        "registry",
      );
      return;
    }
    this.#tasksOf(
      file,
      scope,
      path.join(folder, "tasks", name) === file ? folder : path.dirname(file),
    );
  }

  #role(name: unknown, tasks: string, folder: string, scope: Scope, from: Origin): void {
    const role = textOf(this.#templates.render(name, scope));
    if (this.#isUnknown(role, from)) return;
    const folders = [folder, path.dirname(folder)].flatMap((base) => [
      path.join(base, "roles", role),
      path.join(base, role),
    ]);
    for (const one of folders) {
      const file = [".yml", ".yaml"]
        .map((extension) => path.join(one, "tasks", `${tasks}${extension}`))
        .find((candidate) => this.#exists(candidate));
      if (file === undefined) continue;
      this.#tasksOf(file, new Map([...this.#variables.ofRole(one), ...scope]), one);
      return;
    }
    this.#context.imported.warn(
      from,
      `the role ${role} is not here: import its tasks too if it starts registries`,
      "registry",
    );
  }

  /** Counts the tasks and includes. Reports once that there are more than are followed. */
  #isTooLong(from: Origin): boolean {
    this.#steps += 1;
    if (this.#steps === MAX_TASKS + 1) {
      const message = `here are more than ${MAX_TASKS} tasks: import the files alone that start registries`;
      this.#context.imported.reject({ ...from, what: "" }, message);
    }
    return this.#steps > MAX_TASKS;
  }

  #tasksOf(file: string, scope: Scope, folder: string): void {
    if (this.#depth >= MAX_DEPTH) return;
    this.#depth += 1;
    reportProblems(file, this.#context, () => {
      const source = parseAnsible(file, this.#context.readFile(file, MAX_BYTES));
      this.#context.imported.alsoRead(file);
      this.#list(source, source.value, [], scope, folder);
    });
    this.#depth -= 1;
  }

  #isUnknown(name: string, from: Origin): boolean {
    const expression = unresolvedIn(name);
    if (expression === undefined) return false;
    const message = `includes ${expression}, whose value is not known: import that file too if it starts registries`;
    this.#context.imported.warn(from, message, "registry");
    return true;
  }

  #exists(file: string): boolean {
    return this.#context.listFolder(path.dirname(file)).includes(path.basename(file));
  }
}

/** The variable that a task in a loop without a known list has. */
export const OPEN_LOOP = "\0loop";

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

function indexVariable(control: unknown, index: number): [string, unknown][] {
  const name = isMapping(control) ? control["index_var"] : undefined;
  return typeof name === "string" ? [[name, String(index)]] : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
