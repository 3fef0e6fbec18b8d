import { posix } from "node:path";
import type { FileView } from "../node-files.ts";
import { lossyText, oddBytes } from "../node-files.ts";
import { TomlDocument, TomlSyntaxError } from "../toml-document.ts";
import type { Traits } from "./version.ts";

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
    const imports = document.leaf(["imports"]);
    const targets: unknown[] = Array.isArray(imports?.value) ? imports.value : [];
    for (const target of targets) {
      if (typeof target !== "string") continue;
      for (const path of resolveImport(view, next.path, target, traits)) {
        pending.push({ path, from: next.path, line: imports?.line ?? 1 });
      }
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

function resolveImport(view: FileView, parent: string, target: string, traits: Traits): string[] {
  const isGlob = target.includes("*");
  if (!posix.isAbsolute(target) && isGlob && traits.relativeGlobsFromWorkingDirectory) {
    // systemd starts services in /, which is where 1.x then looks.
    return glob(view, posix.join("/", target));
  }
  const path = posix.isAbsolute(target)
    ? posix.normalize(target)
    : posix.join(posix.dirname(parent), target);
  return isGlob ? glob(view, path) : [path];
}

/** Go's filepath.Glob as far as configurations use it: `*` and `?` within one path component. */
function glob(view: FileView, pattern: string): string[] {
  let found = ["/"];
  for (const part of pattern.split("/").filter(Boolean)) {
    if (!/[*?]/.test(part)) {
      found = found.map((path) => posix.join(path, part));
      continue;
    }
    const matches = new RegExp(
      `^${part
        .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
        .replaceAll("*", ".*")
        .replaceAll("?", ".")}$`,
    );
    found = found.flatMap((path) =>
      (view.list(path) ?? [])
        .filter((name) => matches.test(name))
        .map((name) => posix.join(path, name)),
    );
  }
  return found.filter((path) => view.read(path) !== undefined);
}
