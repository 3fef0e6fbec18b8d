import type { Document } from "yaml";
import { Pair, Scalar, YAMLMap, YAMLSeq, isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { Position } from "../findings.ts";

/** One entry of `mirrors`. */
export interface MirrorEntry {
  readonly endpoints: readonly string[];
  /** It applies to every endpoint, the cache among them. */
  readonly hasRewrite: boolean;
  readonly line: number;
}

/** Why registries.yaml cannot be read or edited. */
export interface YamlDefect {
  readonly code: "config-syntax" | "config-invalid";
  readonly at: Position;
  readonly what: string;
}

const MARK =
  " managed by entrepot\n Change it with `entrepot node apply`; `entrepot node rollback` undoes it.";

/** registries.yaml of k3s and RKE2, edited in place: comments and everything else in it stay. */
export class RegistriesYaml {
  readonly mirrors: ReadonlyMap<string, MirrorEntry>;
  readonly defects: readonly YamlDefect[];
  readonly #document: Document;
  readonly #text: string;

  constructor(text: string, path: string) {
    this.#text = text;
    const document = parseDocument(text);
    this.#document = document;
    const [error] = document.errors;
    if (error) {
      const [start] = error.linePos ?? [];
      const at = { file: path, ...(start ? { line: start.line, column: start.col } : {}) };
      const [message = ""] = error.message.split("\n");
      const what = message.replace(/ at line \d+, column \d+:?$/, "");
      this.defects = [{ code: "config-syntax", at, what }];
      this.mirrors = new Map();
      return;
    }
    const defects: YamlDefect[] = [];
    const mirrors = new Map<string, MirrorEntry>();
    const invalid = (what: string, node: unknown): void => {
      defects.push({ code: "config-invalid", at: { file: path, line: this.#lineOf(node) }, what });
    };
    const { contents } = document;
    if (contents !== null && !isMap(contents) && !isNull(contents)) {
      invalid("it is not a mapping", contents);
    }
    const entries = isMap(contents) ? contents.get("mirrors", true) : undefined;
    if (isMap(entries)) {
      for (const { key, value } of entries.items) {
        const name = isScalar(key) ? String(key.value) : String(key);
        const list = isMap(value) ? value.get("endpoint", true) : undefined;
        if (!isMap(value) && !isNull(value)) invalid(`mirrors.${name} is not a mapping`, value);
        else if (list !== undefined && !isSeq(list) && !isNull(list))
          invalid(`mirrors.${name}.endpoint is not a list`, list);
        const endpoints = isSeq(list)
          ? list.items.map((item) => String(isScalar(item) ? item.value : item))
          : [];
        const hasRewrite = isMap(value) && value.has("rewrite");
        mirrors.set(name, { endpoints, hasRewrite, line: this.#lineOf(key) });
      }
    } else if (entries !== undefined && !isNull(entries)) {
      invalid("mirrors is not a mapping", entries);
    }
    this.mirrors = mirrors;
    this.defects = defects;
  }

  /** A file that was given to TLS of a host before. */
  caFileOf(host: string): string | undefined {
    const value = this.#document.getIn(["configs", host, "tls", "ca_file"]);
    return typeof value === "string" ? value : undefined;
  }

  /** Sets the endpoints of a registry, which is added if it is absent, and drops its rewrites if asked to. */
  setEndpoints(registry: string, endpoints: readonly string[], dropRewrite: boolean): void {
    const mirror = this.#child(this.#child(this.#root(), "mirrors"), registry);
    const present: unknown = mirror.get("endpoint", true);
    const kept = isSeq(present) ? present : new YAMLSeq();
    // The nodes of endpoints that stay are kept, with their comments.
    kept.items = endpoints.map(
      (url) => kept.items.find((item) => isScalar(item) && item.value === url) ?? quoted(url),
    );
    if (kept !== present) mirror.set("endpoint", kept);
    if (dropRewrite) mirror.delete("rewrite");
  }

  setCaFile(host: string, file: string): void {
    const config = this.#child(this.#child(this.#root(), "configs"), host);
    this.#child(config, "tls").set("ca_file", file);
  }

  toString(): string {
    const isNew = this.#text.trim() === "";
    if (isNew) this.#document.commentBefore = MARK;
    // A long line is not folded, and lists are indented as they were.
    const indentSeq = !/^( *)[\w"'.*:-]+:[^\n]*\n(?: *#[^\n]*\n)*\1- /m.test(this.#text);
    const indent =
      /^\w[^\n]*:[^\n]*\n(?:\s*#[^\n]*\n|\s*\n)*( +)/m.exec(this.#text)?.[1]?.length ?? 2;
    return this.#document.toString({ lineWidth: 0, indent, indentSeq });
  }

  #root(): YAMLMap {
    const { contents } = this.#document;
    if (isMap(contents)) return contents;
    const root = new YAMLMap();
    this.#document.contents = root;
    return root;
  }

  /** The mapping below a key, which may be absent or null. */
  #child(parent: YAMLMap, key: string): YAMLMap {
    const present = parent.get(key, true);
    if (isMap(present)) return present;
    const child = new YAMLMap();
    const pair = parent.items.find((it) => isScalar(it.key) && it.key.value === key);
    if (pair) pair.value = child;
    else parent.items.push(new Pair(/^[a-z]+$/.test(key) ? new Scalar(key) : quoted(key), child));
    return child;
  }

  #lineOf(node: unknown): number {
    const range = typeof node === "object" && node !== null && "range" in node ? node.range : null;
    const [start] = Array.isArray(range) ? range : [];
    return this.#text.slice(0, typeof start === "number" ? start : 0).split("\n").length;
  }
}

function isNull(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

function quoted(text: string): Scalar<string> {
  const scalar = new Scalar(text);
  scalar.type = Scalar.QUOTE_DOUBLE;
  return scalar;
}
