import { posix } from "node:path";
import { GlobMatcher, type GlobPart } from "../../../config/parsing/glob-matcher.ts";
import { tomlString } from "../../../config/containerd/toml-string.ts";
import type { FileView } from "../../files/node-files.ts";
import { lossyText, oddBytes } from "../../files/node-files.ts";
import { TomlDocument, TomlSyntaxError } from "../../files/toml-document.ts";
import type { Traits } from "../traits.ts";
import type { OddKey } from "./key-case.ts";
import { DocumentKeys } from "./key-case.ts";

export interface ConfigurationFile {
  readonly path: string;
  readonly document: TomlDocument;
  /** Its values under the keys that this version of containerd reads. */
  readonly keys: DocumentKeys;
  /** Its own `version =`; 0 if it has none. */
  readonly version: number;
}

/** A setting that keeps containerd from starting, is ignored, or has an unintended effect. */
export type Defect =
  | {
      readonly kind: "syntax";
      readonly file: string;
      readonly line: number;
      readonly column: number;
      readonly message: string;
    }
  /** A byte order mark or invalid UTF-8: 1.x accepts it, 2.x does not start. */
  | {
      readonly kind: "encoding";
      readonly file: string;
      readonly line: number;
      readonly what: string;
    }
  | {
      readonly kind: "import-missing";
      readonly file: string;
      readonly line: number;
      readonly target: string;
    }
  | {
      readonly kind: "version-too-new";
      readonly file: string;
      readonly line: number;
      readonly version: number;
    }
  /** 1.x: an imported file replaced a plugin's whole table; `lost` are the settings that it dropped. */
  | {
      readonly kind: "table-replaced";
      readonly file: string;
      readonly line: number;
      readonly table: string;
      readonly by: string;
      readonly lost: readonly string[];
    }
  /**
   * An imported file has a higher version than the root file. 2.0 to 2.2 do not migrate the root file's
   * settings then, and lose them; 2.3 exits.
   */
  | {
      readonly kind: "import-too-new";
      readonly file: string;
      readonly line: number;
      readonly version: number;
      readonly root: number;
    }
  /** `disabled_plugins` contains CRI, as in the configuration that Docker's own packages install. */
  | {
      readonly kind: "cri-disabled";
      readonly file: string;
      readonly line: number;
      readonly plugin: string;
    }
  /** Registry settings in a table that this containerd ignores in a file of this `version`. */
  | {
      readonly kind: "table-ignored";
      readonly file: string;
      readonly line: number;
      readonly table: string;
      readonly reads: string;
      /** Whether they would count if the file had `version = 2`: it was forgotten (containerd#5236). */
      readonly lacksVersion: boolean;
    }
  | ({ readonly kind: "key-case"; readonly file: string } & OddKey);

/**
 * Reads the main file and everything it imports, in the order in which containerd merges them. A file
 * that is missing or has a syntax error is left out and added to `defects`.
 */
export function readConfigurationFiles(
  view: FileView,
  main: string,
  traits: Traits,
  defects: Defect[],
): ConfigurationFile[] {
  const files: ConfigurationFile[] = [];
  const pending = [{ path: main, from: main, line: 1 }];
  const visited = new Set<string>();
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    if (visited.has(next.path)) continue;
    visited.add(next.path);
    const state = view.read(next.path);
    if (state === undefined) {
      // containerd exits if an import without a glob is missing, but starts without a main file.
      if (next.path !== main) {
        defects.push({
          kind: "import-missing",
          file: next.from,
          line: next.line,
          target: next.path,
        });
      }
      continue;
    }
    const text = lossyText(state.bytes);
    const badEncoding = oddBytes(text);
    if (badEncoding) defects.push({ kind: "encoding", file: next.path, ...badEncoding });
    const document = parse(text.replace(/^\uFEFF/, ""), next.path, defects);
    if (document === undefined) continue;
    const keys = new DocumentKeys(document, traits);
    const version = Number(keys.value("version")?.value ?? 0);
    files.push({ path: next.path, document, keys, version });
    const line = keys.value("imports")?.line ?? 1;
    for (const target of importsOf(keys)) {
      const path = absolute(next.path, target, traits);
      const paths = target.includes("*") ? glob(view, path) : [path];
      pending.push(...paths.map((found) => ({ path: found, from: next.path, line })));
    }
  }
  return files;
}

function parse(text: string, file: string, defects: Defect[]): TomlDocument | undefined {
  try {
    return new TomlDocument(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    const { line, column, message } = error;
    defects.push({ kind: "syntax", file, line, column, message });
    return undefined;
  }
}

/**
 * Whether a glob in `imports` matches a path, whether or not the file exists. Used for the temporary
 * file of an atomic replacement, which containerd must not read if it starts meanwhile.
 */
export function isImported(
  files: readonly ConfigurationFile[],
  path: string,
  traits: Traits,
): boolean {
  return files.some((file) =>
    importsOf(file.keys).some((target) => {
      const pattern = target.includes("*") ? absolute(file.path, target, traits) : undefined;
      const [globs, names] = [pattern?.split("/") ?? [], path.split("/")];
      return (
        globs.length === names.length &&
        globs.every((part, index) => matcherOf(part).matches(names[index] ?? ""))
      );
    }),
  );
}

/** The text of a file with its absolute imports below `directory`. */
export function rebasedImports({ document, keys }: ConfigurationFile, directory: string): string {
  const leaf = keys.value("imports");
  if (leaf === undefined) return document.text;
  const targets = importsOf(keys).map((target) =>
    tomlString(posix.isAbsolute(target) ? posix.join(directory, target) : target),
  );
  const [start, end] = leaf.node.value.range;
  return `${document.text.slice(0, start)}[${targets.join(", ")}]${document.text.slice(end)}`;
}

/** The directories that a file's imports name, without those that a glob names. */
export function importedDirectories({ path, keys }: ConfigurationFile): string[] {
  return importsOf(keys)
    .map((target) => posix.dirname(posix.resolve(posix.dirname(path), target)))
    .filter((directory) => !/[*?[]/.test(directory));
}

function importsOf(keys: DocumentKeys): string[] {
  const value = keys.value("imports")?.value;
  const targets: unknown[] = Array.isArray(value) ? value : [];
  return targets.filter((target) => typeof target === "string");
}

function absolute(parent: string, target: string, traits: Traits): string {
  if (posix.isAbsolute(target)) return posix.normalize(target);
  // 1.x resolves a relative glob in its working directory. systemd starts services in /.
  const isFromRoot = target.includes("*") && traits.relativeGlobsFromWorkingDirectory;
  return posix.join(isFromRoot ? "/" : posix.dirname(parent), target);
}

/** Go's filepath.Glob, as far as configurations use it. Wildcards match a leading dot too. */
function glob(view: FileView, pattern: string): string[] {
  let found = ["/"];
  for (const part of pattern.split("/").filter(Boolean)) {
    if (!/[*?[]/.test(part)) {
      found = found.map((path) => posix.join(path, part));
      continue;
    }
    const matcher = matcherOf(part);
    found = found.flatMap((path) =>
      (view.list(path) ?? [])
        .filter((name) => matcher.matches(name))
        .map((name) => posix.join(path, name)),
    );
  }
  return found.filter((path) => view.read(path) !== undefined);
}

/** One path component with `*`, `?` and character classes, which Go and regular expressions share. */
function matcherOf(part: string): GlobMatcher {
  const parts = (part.match(/\[\^?[^\]]+\]|[^]/g) ?? []).map((token): GlobPart => {
    if (token === "*") return { kind: "many", accepts: () => true };
    if (token === "?") return { kind: "one", accepts: () => true };
    if (token.length === 1) return { kind: "one", accepts: (character) => character === token };
    const expression = classOf(token);
    return { kind: "one", accepts: (character) => expression.test(character) };
  });
  return new GlobMatcher(parts);
}

function classOf(token: string): RegExp {
  try {
    return new RegExp(`^${token}$`);
  } catch {
    // A reversed range such as [9-0] matches nothing in Go either.
    return /(?!)/;
  }
}
