import type { Document } from "yaml";
import {
  Pair,
  Scalar,
  YAMLMap,
  YAMLSeq,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  parseDocument,
  visit,
} from "yaml";
import type { Position } from "../findings.ts";
import { keepLines } from "./kept-lines.ts";

/** One entry of `mirrors`. */
export interface MirrorEntry {
  readonly endpoints: readonly string[];
  /** It applies to every endpoint, the cache among them. */
  readonly hasRewrite: boolean;
  /** Whether it has a part in common with other entries, by an anchor, an alias or a merge key. */
  readonly isLinked: boolean;
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
      const what =
        error.code === "MULTIPLE_DOCS"
          ? "it has several documents, of which only the first is read"
          : message.replace(/ at line \d+, column \d+:?$/, "");
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
    const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
    const given = isMap(contents) ? contents.get("mirrors", true) : undefined;
    const entries = resolved(given);
    if (isMap(entries)) {
      for (const { key, value: node } of entries.items) {
        const name = isScalar(key) ? String(key.value) : String(key);
        const value = resolved(node);
        const list = isMap(value) ? resolved(value.get("endpoint", true)) : undefined;
        if (!isMap(value) && !isNull(value)) invalid(`mirrors.${name} is not a mapping`, value);
        else if (list !== undefined && !isSeq(list) && !isNull(list))
          invalid(`mirrors.${name}.endpoint is not a list`, list);
        const endpoints = isSeq(list)
          ? list.items.map((item) => String(isScalar(item) ? item.value : item))
          : [];
        const hasRewrite = isMap(value) && value.has("rewrite");
        const isLinked = isAlias(given) || hasLinks(node);
        mirrors.set(name, { endpoints, hasRewrite, isLinked, line: this.#lineOf(key) });
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

  /**
   * Removes the cache from every registry, and the CA certificate that was given to it.
   *
   * @param former registries that had an entry before the cache came
   */
  removeCache(cache: string, caFile: string, former: ReadonlySet<string>): void {
    for (const [registry, { endpoints }] of this.mirrors) {
      const others = endpoints.filter((url) => bare(url) !== cache);
      if (others.length === endpoints.length) continue;
      this.setEndpoints(registry, others, false);
      if (others.length === 0) this.#prune(["mirrors", registry, "endpoint"], former.has(registry));
    }
    const { host } = new URL(cache);
    if (this.caFileOf(host) === caFile) this.#prune(["configs", host, "tls", "ca_file"], false);
  }

  /** Removes a key, and every mapping that is empty then unless the one that has the key has to stay. */
  #prune(path: readonly string[], keepsParent: boolean): void {
    this.#document.deleteIn(path);
    const parent = path.slice(0, -1);
    const left: unknown = this.#document.getIn(parent);
    if (!keepsParent && parent.length > 0 && isMap(left) && left.items.length === 0)
      this.#prune(parent, false);
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
    const options = { lineWidth: 0, indent, indentSeq };
    const edited = this.#document.toString(options);
    if (isNew) return edited;
    return keepLines(this.#text, parseDocument(this.#text).toString(options), edited);
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

/** An endpoint without the path that is added by itself. */
export function bare(url: string): string {
  return url.replace(/\/(?:v2\/?)?$/, "");
}

function hasLinks(node: unknown): boolean {
  let found = false;
  const link = (): symbol => {
    found = true;
    return visit.BREAK;
  };
  if (isNode(node)) {
    visit(node, {
      Alias: link,
      Value: (_, { anchor }) => (anchor === undefined ? undefined : link()),
      Pair: (_, { key }) => (isScalar(key) && key.value === "<<" ? link() : undefined),
    });
  }
  return found;
}

function isNull(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

function quoted(text: string): Scalar<string> {
  const scalar = new Scalar(text);
  scalar.type = Scalar.QUOTE_DOUBLE;
  return scalar;
}
