import path from "node:path";
import type { HostFolders } from "../container/notation.ts";
import { mark, unresolvedIn } from "../container/unresolved.ts";
import { type ReadText, UnreadableError } from "../../parsing/read-text.ts";
import { expand, expandWhole, type Scope, type ShellWord } from "./shell-values.ts";
import { literalOf, type Word } from "./shell-lexer.ts";
import { ARGUMENTS, assignedIn, assignmentIn, DECLARATIONS, SETTERS } from "./shell-assignments.ts";
import { changedFolders } from "./shell-folders.ts";
import { parseScript, type Statement } from "./shell-program.ts";
import { substitutionsIn } from "./shell-substitutions.ts";

/** A command that a script runs, with the values that are known by then. */
export interface ShellCommand {
  readonly file: string;
  readonly words: readonly ShellWord[];
  /** The directories by then: `cd` changes what relative paths mean. */
  readonly folders?: HostFolders;
  /** The variables that the script sets for the command, by `export` or before its name. */
  readonly environment?: ReadonlyMap<string, string>;
}

/** What a script does, for whoever looks for containers in it. */
export interface ScriptObserver {
  readonly command: (command: ShellCommand) => void;
  /** The text of a here-document. */
  readonly document: (file: string, line: number, text: string) => void;
  /** The script has more steps than are followed. */
  readonly tooLong: (file: string) => void;
}

/** Far more commands, loops and branches than a script has that starts some containers. */
const MAX_STEPS = 10_000;
const MAX_DEPTH = 64;
/** Values that double at each assignment would exhaust the memory. */
const MAX_LENGTH = 64 * 1024;
const MAX_ITEMS = 1024;
const MAX_BYTES = 1024 * 1024;

interface Function {
  readonly body: readonly Statement[];
  readonly file: string;
  isCalled: boolean;
}

/**
 * Follows a script without running anything: assignments of constants, loops over constants and
 * calls of functions. What depends on anything else has no value.
 */
export class ScriptReader {
  readonly #observer: ScriptObserver;
  #folders: HostFolders;
  readonly #readFile: ReadText;
  readonly #functions = new Map<string, Function>();
  #variables = new Map<string, string | readonly string[]>();
  readonly #exported = new Set<string>();
  #isComplete = true;
  #arguments: readonly string[] | undefined;
  #file = "";
  #steps = 0;
  #depth = 0;

  constructor(folders: HostFolders, readFile: ReadText, observer: ScriptObserver) {
    this.#folders = folders;
    this.#readFile = readFile;
    this.#observer = observer;
  }

  read(file: string, text: string, firstLine = 1): void {
    this.#file = file;
    this.#run(parseScript(text, firstLine));
    // A function that nothing in the script calls is for callers that are not known.
    for (const one of this.#functions.values()) if (!one.isCalled) this.#call(one, undefined);
  }

  get #scope(): Scope {
    return {
      variables: this.#variables,
      arguments: this.#arguments,
      folders: this.#folders,
      isComplete: this.#isComplete,
    };
  }

  #run(statements: readonly Statement[]): void {
    if (this.#depth > MAX_DEPTH) return;
    this.#depth += 1;
    for (const statement of statements) {
      if (this.#steps > MAX_STEPS) break;
      this.#steps += 1;
      if (this.#steps === MAX_STEPS) this.#observer.tooLong(this.#file);
      this.#statement(statement);
    }
    this.#depth -= 1;
  }

  #statement(statement: Statement): void {
    if ("command" in statement) this.#command(statement.command);
    else if ("loop" in statement) this.#loop(statement.loop, statement.body);
    else if ("defines" in statement) {
      const { defines, body } = statement;
      this.#functions.set(defines, { body, file: this.#file, isCalled: false });
    } else if ("document" in statement) {
      this.#observer.document(this.#file, statement.line, statement.document);
    } else this.#alternatives(statement.alternatives, statement.repeats);
  }

  #loop(
    { name, words }: { readonly name: string; readonly words: readonly Word[] | undefined },
    body: readonly Statement[],
  ): void {
    this.#substitutions(words ?? []);
    const values = words
      ? words.flatMap((word) => expand(word, this.#scope))
      : (this.#arguments ?? []).map((text) => ({ text, line: 0, isOpen: false }));
    const isKnown = (words ?? this.#arguments) && !values.some(({ isOpen }) => isOpen);
    if (!isKnown || values.some(({ text }) => /[*?]|\{[^}]*[,.]/.test(text))) {
      this.#forget(name);
      this.#alternatives([body], true);
      return;
    }
    for (const { text } of values) {
      this.#variables.set(name, text);
      this.#run(body);
    }
  }

  /** Runs each list from the same start. Afterwards, a variable that any of them changed is not known. */
  #alternatives(alternatives: readonly (readonly Statement[])[], repeats: boolean): void {
    const [before, folders, given] = [this.#variables, this.#folders, this.#arguments];
    let isElsewhere = false;
    const changed = new Set<string>();
    const start = new Map(before);
    // In a later round, a variable may have the value of the round before.
    if (repeats) {
      const assigned = alternatives.flatMap(assignedIn);
      for (const name of assigned) start.set(name, mark(`$${name}`));
      if (assigned.includes(ARGUMENTS)) this.#arguments = undefined;
    }
    for (const body of alternatives) {
      this.#variables = new Map(start);
      this.#folders = folders;
      if (!repeats) this.#arguments = given;
      this.#run(body);
      isElsewhere ||= this.#folders.working !== folders.working;
      for (const name of new Set([...before.keys(), ...this.#variables.keys()])) {
        if (String(before.get(name)) !== String(this.#variables.get(name))) changed.add(name);
      }
    }
    this.#variables = new Map(before);
    for (const name of changed) this.#forget(name);
    if (alternatives.flatMap(assignedIn).includes(ARGUMENTS)) this.#arguments = undefined;
    this.#folders = isElsewhere ? { ...folders, working: mark("cd") } : folders;
  }

  #command(words: readonly Word[]): void {
    this.#substitutions(words);
    const first = words.findIndex((word) => !assignmentIn(word));
    const [name] = first < 0 ? [] : words.slice(first);
    const program = name && literalOf(name);
    if (first < 0 || (program !== undefined && DECLARATIONS.has(program))) {
      for (const word of words) {
        this.#assign(word);
        const exported = assignmentIn(word)?.name ?? literalOf(word);
        if (program === "export" && exported !== undefined) this.#exported.add(exported);
      }
      return;
    }
    const expanded = words.slice(first).flatMap((word) => expand(word, this.#scope));
    const called = program === undefined ? undefined : this.#functions.get(program);
    if (called) this.#call(called, expanded);
    else if (program === "shift" || program === "set") this.#changeArguments(program, expanded);
    else if (program === "cd" || program === "pushd" || program === "popd") {
      this.#folders = changedFolders(this.#folders, expanded);
    } else if (program === "." || program === "source") this.#source(expanded[1]?.text);
    else {
      if (program === "eval") this.#forgetAll();
      if (program !== undefined && SETTERS.has(program)) {
        for (const { text } of expanded.slice(1)) this.#forget(/\w+/.exec(text)?.[0] ?? "");
      }
      if (expanded.length > 0) {
        this.#observer.command({
          file: this.#file,
          words: expanded,
          folders: this.#folders,
          environment: this.#environment(words.slice(0, first)),
        });
      }
    }
  }

  /** Follows the commands inside words. What they set does not outlive them. */
  #substitutions(words: readonly Word[]): void {
    for (const { text, line } of words.flatMap(substitutionsIn)) {
      const before = [this.#variables, this.#folders, this.#arguments] as const;
      this.#variables = new Map(this.#variables);
      this.#run(parseScript(text, line));
      [this.#variables, this.#folders, this.#arguments] = before;
    }
  }

  #changeArguments(program: string, words: readonly ShellWord[]): void {
    const [, first, ...rest] = words;
    if (program === "shift") this.#arguments = this.#arguments?.slice(Number(first?.text ?? 1));
    else if (first?.text === "--") {
      const isKnown = !rest.some(({ isOpen }) => isOpen);
      this.#arguments = isKnown ? rest.map(({ text }) => text) : undefined;
    }
  }

  /** @param assignments those before the command's name, which are for this command alone */
  #environment(assignments: readonly Word[]): ReadonlyMap<string, string> {
    const environment = new Map<string, string>();
    for (const name of this.#exported) {
      const value = this.#variables.get(name);
      if (typeof value === "string") environment.set(name, value);
    }
    for (const assignment of assignments.map(assignmentIn)) {
      const value = assignment && expandWhole(assignment.value, this.#scope);
      if (value !== undefined) environment.set(assignment?.name ?? "", value);
    }
    return environment;
  }

  #assign(word: Word): void {
    const assignment = assignmentIn(word);
    if (!assignment) return;
    const { name, isAppended, value } = assignment;
    const before = isAppended ? this.#variables.get(name) : undefined;
    if (word.list) {
      const items = word.list.flatMap((one) => expand(one, this.#scope));
      // A list with an unknown number of elements has no value.
      const start = typeof before === "string" ? [before] : (before ?? []);
      const length = start.length + items.length;
      if (this.#assignElements(name, items)) return;
      if (items.some(({ isOpen }) => isOpen) || length > MAX_ITEMS) this.#forget(name);
      else this.#variables.set(name, [...start, ...items.map(({ text }) => text)]);
      return;
    }
    const text = expandWhole(value, this.#scope);
    const isKnown = unresolvedIn(text) === undefined && text.length <= MAX_LENGTH;
    if (!isKnown || Array.isArray(before)) this.#forget(name);
    else this.#variables.set(name, `${typeof before === "string" ? before : ""}${text}`);
  }

  /** Assigns `([hub]=5000 [ghcr]=5010)`. Returns false for a list without keys. */
  #assignElements(name: string, items: readonly ShellWord[]): boolean {
    const entries = items.map(({ text }) => /^\[([^\]]+)\]=([\s\S]*)$/.exec(text));
    if (entries.length === 0 || entries.includes(null)) return false;
    for (const [, key = "", value = ""] of entries.filter((one) => one !== null)) {
      this.#variables.set(`${name}[${key}]`, value);
    }
    return true;
  }

  /** From now on, a variable has a value that is not known. */
  #forget(name: string): void {
    this.#variables.set(name, mark(`$${name}`));
  }

  #forgetAll(): void {
    for (const name of this.#variables.keys()) this.#forget(name);
    this.#isComplete = false;
  }

  /** Follows a function with the arguments of a call; undefined if they are not known. */
  #call(called: Function, words: readonly ShellWord[] | undefined): void {
    called.isCalled = true;
    const [file, before] = [this.#file, this.#arguments];
    const given = words?.slice(1);
    this.#file = called.file;
    this.#arguments = given?.some(({ isOpen }) => isOpen)
      ? undefined
      : given?.map(({ text }) => text);
    this.#run(called.body);
    [this.#file, this.#arguments] = [file, before];
  }

  /** Follows another script, or forgets all values if it cannot be read. */
  #source(name: string | undefined): void {
    const text = name === undefined ? undefined : this.#tryRead(name);
    if (name === undefined || text === undefined) {
      this.#forgetAll();
      return;
    }
    const file = this.#file;
    this.#file = path.join(path.dirname(file), name);
    this.#run(parseScript(text));
    this.#file = file;
  }

  #tryRead(name: string): string | undefined {
    try {
      return this.#readFile(path.resolve(this.#folders.working, name), MAX_BYTES);
    } catch (error) {
      if (error instanceof UnreadableError) return undefined;
      throw error;
    }
  }
}
