const HIDDEN = '"(hidden)"';
const STRING = String.raw`"(?:[^"\\]|\\.)*"|'[^']*'`;
const KEY = String.raw`(?:${STRING}|[\w-]+)`;
const ASSIGNMENT = new RegExp(String.raw`^(${KEY}(?:\s*\.\s*${KEY})*)\s*=\s*(.*)$`, "s");
const TABLE = /^\[\[?(.+?)\]\]?\s*(?:#.*)?$/;
const SECRET_NAMES =
  "password|passwd|passphrase|secret|token|credential|authorization|cookie|(?:api|access|private)[-_]?key";
/** Also a name with escapes, which may spell any of them. */
const SECRET_KEY = new RegExp(String.raw`^auths?$|${SECRET_NAMES}|\\`, "i");
const HEADERS = /^headers?$/i;

/** A line of YAML that begins with a key, as in the registries.yaml of k3s. */
const YAML_LINE = new RegExp(String.raw`^((?:[-?]\s+)*)(${KEY})(\s*:(?:\s+|$))(.*)$`, "s");
const YAML_EXPLICIT_KEY = new RegExp(String.raw`^\?\s+(${KEY})\s*$`);
const YAML_MAPPING = new RegExp(String.raw`^(?:-\s+)*${KEY}\s*:(?:\s|$)`);
/** Quoted strings are one token, so that nothing inside of them is taken for a key. */
const TOKEN = new RegExp(String.raw`(${STRING}|[\w-]+)(\s*=\s*|\s*:\s+|(?<=["']):)?|.`, "gsy");
const BRACKET = new RegExp(String.raw`${STRING}|[[{\]}]`, "gs");
const VALUE = new RegExp(String.raw`${STRING}|[^,}\]#]+`, "sy");

/** What ends a value that goes on in the next lines: a quote, or as many closing brackets. */
type OpenValue =
  | { readonly quote: string }
  | { readonly depth: number }
  /** The lines that are indented further, except keys if the value may be a mapping. */
  | { readonly indent: number; readonly showsKeys: boolean };

/**
 * The text of a node's file (TOML, YAML or JSON) for a terminal or a log: without credentials, the values
 * of headers, and the user information of URLs. It goes by lines and not by the grammar, because the text
 * may be damaged, and because a damaged file is kept as the comments of its successor.
 */
export function hideSecrets(text: string): string {
  const hider = new LineHider();
  return hideUserinfo(
    text
      .split("\n")
      .map((line) => hider.hide(line))
      .join("\n"),
  );
}

/** Hides the credentials of URLs in any text. */
export function hideUserinfo(text: string): string {
  return text.replaceAll(/(\b[a-z][a-z\d+.-]*:\/\/)[^\s/"']*@/gi, "$1(hidden)@");
}

class LineHider {
  #isHeaderTable = false;
  #open: OpenValue | undefined;

  hide(line: string): string {
    const [, lead = "", body = "", end = ""] = /^(\s*(?:#\s*)*)(.*?)(\r?)$/s.exec(line) ?? [];
    return lead + this.#hideBody(body, lead.length) + end;
  }

  #hideBody(body: string, indent: number): string {
    if (this.#open && "indent" in this.#open) {
      const { indent: outer, showsKeys } = this.#open;
      if (body === "") return "";
      const isInside = indent > outer && !(showsKeys && YAML_MAPPING.test(body));
      if (isInside) return HIDDEN;
      this.#open = undefined;
    }
    if (this.#open) {
      this.#open = stillOpen(body, this.#open);
      return body === "" ? "" : HIDDEN;
    }
    const [, table] = TABLE.exec(body) ?? [];
    if (table !== undefined) {
      this.#isHeaderTable = HEADERS.test(keysOf(table).at(-1) ?? "");
      return body;
    }
    const yaml = this.#hideYaml(body, indent);
    if (yaml !== undefined) return yaml;
    const [, key, value = ""] = ASSIGNMENT.exec(body) ?? [];
    if (key === undefined)
      return this.#isHeaderTable && body !== "" ? HIDDEN : this.#hideInner(body);
    if (!this.#isHeaderTable && !keysOf(key).some(isSecret))
      return `${body.slice(0, body.length - value.length)}${this.#hideInner(value)}`;
    this.#open = openValue(value);
    return `${key} = ${HIDDEN}`;
  }

  /** Undefined unless the line begins with a key of YAML or JSON whose value has to be hidden. */
  #hideYaml(body: string, indent: number): string | undefined {
    const [, explicit] = YAML_EXPLICIT_KEY.exec(body) ?? [];
    if (explicit !== undefined && keysOf(explicit).some(isSecret)) {
      // Its value is in the next line, which begins with a colon in the same column.
      this.#open = { indent: indent - 1, showsKeys: true };
      return body;
    }
    const [, lead = "", key = "", colon = "", value = ""] = YAML_LINE.exec(body) ?? [];
    const [name = ""] = keysOf(key);
    if (!isSecret(name)) return undefined;
    const at = indent + lead.length;
    if (/^(?:[&!]\S*\s*)*(?:#.*)?$/.test(value)) {
      this.#open = { indent: at, showsKeys: !HEADERS.test(name) };
      return body;
    }
    this.#open = /^[[{]/.test(value)
      ? stillOpen(value, { depth: 0 })
      : { indent: at, showsKeys: false };
    return `${lead}${key}${colon}${HIDDEN}${/,\s*$/.test(value) ? "," : ""}`;
  }

  /** Hides the values of keys in the middle of a line, as in an inline table, a flow mapping, or JSON. */
  #hideInner(text: string): string {
    let shown = "";
    let at = 0;
    while (at < text.length) {
      TOKEN.lastIndex = at;
      const [token = "", key = "", separator] = TOKEN.exec(text) ?? [];
      if (token === "") break;
      shown += token;
      at += token.length;
      if (separator === undefined || !keysOf(key).some(isSecret)) continue;
      const end = valueEnd(text, at);
      if (end === at) continue;
      if (end === undefined) this.#open = stillOpen(text.slice(at), { depth: 0 });
      shown += HIDDEN;
      at = end ?? text.length;
    }
    return shown;
  }
}

function isSecret(key: string): boolean {
  return SECRET_KEY.test(key) || HEADERS.test(key);
}

/** Where the value that begins at an index ends. Undefined if its brackets are not closed. */
function valueEnd(text: string, start: number): number | undefined {
  if (!/[[{]/.test(text.charAt(start))) {
    VALUE.lastIndex = start;
    return start + (VALUE.exec(text)?.[0].length ?? 0);
  }
  let depth = 0;
  for (const { 0: token, index } of text.slice(start).matchAll(BRACKET)) {
    if (/^[[{]/.test(token)) depth += 1;
    else if (/^[\]}]/.test(token)) depth -= 1;
    if (depth === 0) return start + index + 1;
  }
  return undefined;
}

function keysOf(path: string): string[] {
  return [...path.matchAll(new RegExp(KEY, "g"))].map(([key]) =>
    key.replaceAll(/^["']|["']$/g, ""),
  );
}

function openValue(value: string): OpenValue | undefined {
  const [quote] = /^(?:"""|''')/.exec(value) ?? [];
  if (quote !== undefined) return value.includes(quote, 3) ? undefined : { quote };
  return stillOpen(value, { depth: 0 });
}

function stillOpen(
  text: string,
  open: Exclude<OpenValue, { readonly indent: number }>,
): OpenValue | undefined {
  if ("quote" in open) return text.includes(open.quote) ? undefined : open;
  const bare = text.replaceAll(new RegExp(`${STRING}|#.*$`, "g"), "");
  const count = (characters: RegExp): number => [...bare.matchAll(characters)].length;
  const depth = open.depth + count(/[[{]/g) - count(/[\]}]/g);
  return depth > 0 ? { depth } : undefined;
}
