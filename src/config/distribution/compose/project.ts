import path from "node:path";
import type { ImportedConfig } from "../../foreign/imported-config.ts";
import { ConfigError } from "../../parsing/problems.ts";
import { type ReadText, UnreadableError } from "../../parsing/read-text.ts";
import { readNamedFile } from "../container/env-file.ts";
import { mergeNodes, withoutReset } from "./merge.ts";
import {
  type ComposeNode,
  fieldOf,
  fieldsOf,
  itemsOf,
  nodeAt,
  readTree,
  replaceContent,
  textOf,
} from "./tree.ts";
import { parseEnvFile } from "./dotenv.ts";
import type { Lookup } from "./interpolation.ts";

/** A file of a project, as it was given or found. */
export interface ComposeFile {
  readonly file: string;
  readonly text: string;
}

/** What the files of one `docker compose` describe, merged, with all variables that are known. */
export interface ComposeProject {
  readonly name: string;
  readonly folder: string;
  readonly services: ReadonlyMap<string, ComposeNode>;
  /** The rest of the files: `volumes`, `configs`, `secrets`. */
  readonly root: ComposeNode;
  readonly lookup: Lookup;
}

export interface ComposeContext {
  readonly readFile: ReadText;
  readonly imported: ImportedConfig;
  /** The home directory of the user who imports. */
  readonly home: string;
}

const DEFAULT_FILES = /^(?:docker-)?compose\.ya?ml$/;
/** In the order in which Compose looks for one. */
const OVERRIDES = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];
const MAX_BYTES = 1024 * 1024;
/** Deeper chains of `include` and `extends` are circles. */
const MAX_DEPTH = 8;

/**
 * Loads a project from its files, each of which overrides those before it. A single file with one of
 * Compose's own names is overridden by the override file next to it.
 */
export function loadProject(
  files: readonly ComposeFile[],
  context: ComposeContext,
): ComposeProject | undefined {
  const [first] = files;
  if (!first) return undefined;
  const folder = path.resolve(path.dirname(first.file));
  const override = files.length === 1 ? overrideFile(first.file, context) : undefined;
  return load(override ? [first, override] : files, folder, () => undefined, context, 0);
}

function load(
  files: readonly ComposeFile[],
  folder: string,
  outer: Lookup,
  context: ComposeContext,
  depth: number,
): ComposeProject | undefined {
  const variables = readDotEnv(files[0]?.file ?? "", folder, outer, context);
  const lookup: Lookup = (name) =>
    outer(name) ?? variables.get(name) ?? { PWD: folder, HOME: context.home }[name];
  let root: ComposeNode | undefined;
  for (const { file, text } of files) {
    const tree = tryReadTree(file, text, folder, lookup, context);
    if (!tree) return undefined;
    root = root ? mergeNodes(root, tree) : withoutReset(tree);
  }
  if (!root) return undefined;
  const included = fieldOf(root, "include");
  for (const one of included ? itemsOf(included) : []) {
    root = include(root, one, folder, lookup, context, depth) ?? root;
  }
  const services = new Map<string, ComposeNode>();
  for (const [name, service] of fieldsOf(fieldOf(root, "services"))) {
    const extended = extend(service, fieldOf(root, "services"), lookup, context, depth);
    if (extended) services.set(name, extended);
  }
  return {
    name: textOf(fieldOf(root, "name")) ?? variables.get("COMPOSE_PROJECT_NAME") ?? nameOf(folder),
    folder,
    services,
    root,
    lookup,
  };
}

/** Compose's name for a project in a directory. */
function nameOf(folder: string): string {
  return path
    .basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");
}

function tryReadTree(
  file: string,
  text: string,
  folder: string,
  lookup: Lookup,
  { imported }: ComposeContext,
): ComposeNode | undefined {
  try {
    return readTree(file, text, folder, lookup);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    imported.problems.push(...error.problems);
    return undefined;
  }
}

function overrideFile(
  file: string,
  { readFile, imported }: ComposeContext,
): ComposeFile | undefined {
  if (!DEFAULT_FILES.test(path.basename(file))) return undefined;
  for (const name of OVERRIDES) {
    const override = path.join(path.dirname(file), name);
    const text = tryRead(override, readFile);
    if (text === undefined) continue;
    imported.alsoRead(override);
    return { file: override, text };
  }
  return undefined;
}

/** The variables of `.env` in the project's directory. */
function readDotEnv(
  file: string,
  folder: string,
  outer: Lookup,
  { readFile, imported }: ComposeContext,
): ReadonlyMap<string, string> {
  const shown = path.join(path.dirname(file), ".env");
  const text = tryRead(path.join(folder, ".env"), readFile);
  if (text === undefined) return new Map();
  imported.alsoRead(shown);
  const entries = parseEnvFile(text, outer);
  const others = entries.find(({ name }) => name === "COMPOSE_FILE");
  if (others?.value) {
    const from = { file: shown, line: others.line, column: 1, what: "COMPOSE_FILE" };
    const reason = "Compose reads these files instead: import them together, in this order";
    imported.warn(from, reason, "registry");
  }
  return new Map(
    entries.flatMap(({ name, value }): [string, string][] =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

function tryRead(file: string, readFile: ReadText): string | undefined {
  try {
    return readFile(file, MAX_BYTES);
  } catch (error) {
    if (error instanceof UnreadableError) return undefined;
    throw error;
  }
}

/** Adds the services, volumes, configs and secrets of included files, each with its own directory. */
function include(
  root: ComposeNode,
  entry: ComposeNode,
  folder: string,
  lookup: Lookup,
  context: ComposeContext,
  depth: number,
): ComposeNode | undefined {
  const given = "fields" in entry ? fieldOf(entry, "path") : entry;
  const files = itemsOf(given).flatMap((one): ComposeFile[] => {
    const found = readNamed(one, folder, context);
    return found ? [found] : [];
  });
  const [first] = itemsOf(given);
  const name = textOf(first);
  if (files.length === 0 || name === undefined) return undefined;
  if (depth >= MAX_DEPTH) {
    context.imported.reject(entry.from, "files include each other without end");
    return undefined;
  }
  const project = textOf(fieldOf(entry, "project_directory"));
  const inner = path.resolve(folder, project ?? path.dirname(name));
  const loaded = load(files, inner, lookup, context, depth + 1);
  if (!loaded) return undefined;
  const services = replaceContent(entry, { fields: loaded.services });
  const kept = ["volumes", "configs", "secrets"].flatMap((key): [string, ComposeNode][] => {
    const node = fieldOf(loaded.root, key);
    return node ? [[key, node]] : [];
  });
  const added = replaceContent(root, { fields: new Map([...kept, ["services", services]]) });
  return mergeNodes(added, root);
}

function readNamed(
  node: ComposeNode,
  folder: string,
  { readFile, imported }: ComposeContext,
): ComposeFile | undefined {
  const name = textOf(node) ?? "";
  return readNamedFile(name, node.from, folder, readFile, imported);
}

/** Merges a service into the one that it extends, of the same or another file. */
function extend(
  service: ComposeNode,
  siblings: ComposeNode | undefined,
  lookup: Lookup,
  context: ComposeContext,
  depth: number,
): ComposeNode | undefined {
  const node = fieldOf(service, "extends");
  if (!node) return service;
  const { imported } = context;
  if (depth >= MAX_DEPTH) {
    imported.reject(node.from, "services extend each other without end");
    return undefined;
  }
  const name = textOf(node) ?? textOf(fieldOf(node, "service")) ?? "";
  const file = fieldOf(node, "file");
  let others = siblings;
  if (file) {
    const found = readNamed(file, node.folder, context);
    if (!found) return undefined;
    const folder = path.resolve(node.folder, path.dirname(textOf(file) ?? ""));
    others = nodeAt(tryReadTree(found.file, found.text, folder, lookup, context), "services");
  }
  const base = fieldOf(others, name);
  if (!base) {
    imported.reject(node.from, `there is no service ${name} to extend`);
    return undefined;
  }
  const extended = extend(base, others, lookup, context, depth + 1);
  return extended && mergeNodes(extended, service);
}
