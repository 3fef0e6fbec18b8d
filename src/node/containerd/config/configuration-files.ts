import { posix } from "node:path";
import type { FileView } from "../../files/node-files.ts";
import { lossyText, oddBytes } from "../../files/node-files.ts";
import { TomlDocument, TomlSyntaxError } from "../../files/toml-document.ts";
import type { Traits } from "../traits.ts";

export interface ConfigurationFile {
  readonly path: string;
  readonly document: TomlDocument;
  /** What it says itself; 0 where it does not. */
  readonly version: number;
}

/** Something in the files that has no effect, or another than its author meant. */
export type Defect =
  | {
      readonly kind: "syntax";
      readonly file: string;
      readonly line: number;
      readonly column: number;
      readonly message: string;
    }
  /** 1.x reads over it; 2.x does not start with it. */
  | {
      readonly kind: "odd-bytes";
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
  /** 1.x: an imported file replaced a plugin's whole table; `lost` are the settings that are gone. */
  | {
      readonly kind: "table-replaced";
      readonly file: string;
      readonly line: number;
      readonly table: string;
      readonly by: string;
      readonly lost: readonly string[];
    }
  /** 2.0 to 2.2: a newer import keeps root's settings from being migrated. 2.3: the daemon exits. */
  | {
      readonly kind: "import-too-new";
      readonly file: string;
      readonly line: number;
      readonly version: number;
      readonly root: number;
    }
  /** `disabled_plugins` names CRI, as the configuration of Docker's own packages does. */
  | {
      readonly kind: "cri-disabled";
      readonly file: string;
      readonly line: number;
      readonly plugin: string;
    }
  /** Registry settings in a table that this containerd does not read with this `version`. */
  | {
      readonly kind: "table-ignored";
      readonly file: string;
      readonly line: number;
      readonly table: string;
      readonly reads: string;
    };

/** The main file and all that it imports, in containerd's order. */
export function readFiles(
  view: FileView,
  main: string,
  traits: Traits,
  defects: Defect[],
): ConfigurationFile[] {
  const files: ConfigurationFile[] = [];
  const pending = [{ path: main, from: main, line: 1 }];
  const seen = new Set<string>();
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    if (seen.has(next.path)) continue;
    seen.add(next.path);
    const state = view.read(next.path);
    if (state === undefined) {
      // containerd exits where an import without a glob is missing; a missing main file is nothing.
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
    const odd = oddBytes(text);
    if (odd) defects.push({ kind: "odd-bytes", file: next.path, ...odd });
    const document = parse(text.replace(/^\uFEFF/, ""), next.path, defects);
    if (document === undefined) continue;
    const version = Number(document.leaf(["version"])?.value ?? 0);
    files.push({ path: next.path, document, version });
    const line = document.leaf(["imports"])?.line ?? 1;
    for (const target of importsOf(document)) {
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
 * Whether an import with a glob takes in a path, were it there: what is written beside a file before
 * it is renamed must never be read at a start.
 */
export function isImported(
  files: readonly ConfigurationFile[],
  path: string,
  traits: Traits,
): boolean {
  return files.some((file) =>
    importsOf(file.document).some((target) => {
      const pattern = target.includes("*") ? absolute(file.path, target, traits) : undefined;
      const [wanted, given] = [pattern?.split("/") ?? [], path.split("/")];
      return (
        wanted.length === given.length &&
        wanted.every((part, index) => patternOf(part).test(given[index] ?? ""))
      );
    }),
  );
}

function importsOf(document: TomlDocument): string[] {
  const value = document.leaf(["imports"])?.value;
  const targets: unknown[] = Array.isArray(value) ? value : [];
  return targets.filter((target) => typeof target === "string");
}

function absolute(parent: string, target: string, traits: Traits): string {
  if (posix.isAbsolute(target)) return posix.normalize(target);
  // systemd starts services in /, which is where 1.x looks for a relative glob.
  const isFromRoot = target.includes("*") && traits.relativeGlobsFromWorkingDirectory;
  return posix.join(isFromRoot ? "/" : posix.dirname(parent), target);
}

/** Go's filepath.Glob as far as configurations use it. A leading dot is matched as any other. */
function glob(view: FileView, pattern: string): string[] {
  let found = ["/"];
  for (const part of pattern.split("/").filter(Boolean)) {
    if (!/[*?[]/.test(part)) {
      found = found.map((path) => posix.join(path, part));
      continue;
    }
    const matches = patternOf(part);
    found = found.flatMap((path) =>
      (view.list(path) ?? [])
        .filter((name) => matches.test(name))
        .map((name) => posix.join(path, name)),
    );
  }
  return found.filter((path) => view.read(path) !== undefined);
}

/** One component: `*`, `?`, and classes, which Go and regular expressions write alike. */
function patternOf(part: string): RegExp {
  const text = part.replaceAll(/\[\^?[^\]]+\]|[^]/g, (token) => {
    if (token === "*") return ".*";
    if (token === "?") return ".";
    return token.length > 1 ? token : token.replace(/[.+^${}()|[\]\\]/, String.raw`\$&`);
  });
  try {
    return new RegExp(`^${text}$`);
  } catch {
    // A range the wrong way round matches nothing in Go either.
    return /(?!)/;
  }
}
