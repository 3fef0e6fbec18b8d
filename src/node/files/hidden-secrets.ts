const HIDDEN = '"(hidden)"';
const STRING = String.raw`"(?:[^"\\]|\\.)*"|'[^']*'`;
const KEY = String.raw`(?:${STRING}|[\w-]+)`;
const ASSIGNMENT = new RegExp(String.raw`^(${KEY}(?:\s*\.\s*${KEY})*)\s*=\s*(.*)$`, "s");
const TABLE = /^\[\[?(.+?)\]\]?\s*(?:#.*)?$/;
const NAMES = "password|auth|identitytoken|authorization|proxy-authorization|cookie";
const SECRET_KEY = new RegExp(`^(?:${NAMES})$`, "i");
const HEADERS = /^headers?$/i;
const INNER = new RegExp(String.raw`\b(${NAMES})(["']?\s*[=:]\s*)(?:${STRING})`, "gi");
const INNER_HEADERS = new RegExp(
  String.raw`\b(headers?["']?\s*=\s*)\{(?:${STRING}|[^"'}])*\}?`,
  "gi",
);

/** A line of YAML, as in the registries.yaml of k3s, where a value needs no quotes. */
const YAML_LINE = /^((?:["']?)(?:password|auth|token)["']?:)[ \t]+[^\s#].*$/i;
const YAML_FLOW = /\b(password|auth|token)(["']?:[ \t]+)[^\s,}\]"'{[][^,}\]]*/gi;

/** What ends a value that goes on in the next lines: a quote, or as many closing brackets. */
type OpenValue = { readonly quote: string } | { readonly depth: number };

/**
 * The text of a config.toml, hosts.toml or registries.yaml for a terminal or a log: without credentials, the values of
 * headers, and the user information of URLs. It goes by lines and not by TOML, because the text may be
 * damaged, and because a damaged file is kept as the comments of its successor.
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
  return text.replaceAll(/(\bhttps?:\/\/)[^\s/"']*@/gi, "$1(hidden)@");
}

class LineHider {
  #isHeaderTable = false;
  #open: OpenValue | undefined;

  hide(line: string): string {
    const [, lead = "", body = "", end = ""] = /^(\s*(?:#\s*)*)(.*?)(\r?)$/s.exec(line) ?? [];
    return lead + this.#hideBody(body) + end;
  }

  #hideBody(body: string): string {
    if (this.#open) {
      this.#open = stillOpen(body, this.#open);
      return body === "" ? "" : HIDDEN;
    }
    const [, table] = TABLE.exec(body) ?? [];
    if (table !== undefined) {
      this.#isHeaderTable = HEADERS.test(keysOf(table).at(-1) ?? "");
      return body;
    }
    if (YAML_LINE.test(body)) return body.replace(YAML_LINE, `$1 ${HIDDEN}`);
    const [, key, value = ""] = ASSIGNMENT.exec(body) ?? [];
    if (key === undefined) return this.#isHeaderTable && body !== "" ? HIDDEN : hideInner(body);
    const isSecret =
      this.#isHeaderTable ||
      keysOf(key).some((name) => SECRET_KEY.test(name) || HEADERS.test(name));
    if (!isSecret) return `${body.slice(0, body.length - value.length)}${hideInner(value)}`;
    this.#open = openValue(value);
    return `${key} = ${HIDDEN}`;
  }
}

function keysOf(path: string): string[] {
  return [...path.matchAll(new RegExp(KEY, "g"))].map(([key]) =>
    key.replaceAll(/^["']|["']$/g, ""),
  );
}

function hideInner(text: string): string {
  return text
    .replaceAll(INNER_HEADERS, (_, key: string) => `${key}${HIDDEN}`)
    .replaceAll(INNER, (_, key: string, equals: string) => `${key}${equals}${HIDDEN}`)
    .replaceAll(YAML_FLOW, (_, key: string, colon: string) => `${key}${colon}${HIDDEN}`);
}

function openValue(value: string): OpenValue | undefined {
  const [quote] = /^(?:"""|''')/.exec(value) ?? [];
  if (quote !== undefined) return value.includes(quote, 3) ? undefined : { quote };
  return stillOpen(value, { depth: 0 });
}

function stillOpen(text: string, open: OpenValue): OpenValue | undefined {
  if ("quote" in open) return text.includes(open.quote) ? undefined : open;
  const bare = text.replaceAll(new RegExp(`${STRING}|#.*$`, "g"), "");
  const count = (characters: RegExp): number => [...bare.matchAll(characters)].length;
  const depth = open.depth + count(/[[{]/g) - count(/[\]}]/g);
  return depth > 0 ? { depth } : undefined;
}
