/** Variables by name. Values are what YAML has: texts, lists and mappings. */
export type Scope = ReadonlyMap<string, unknown>;

/** An expression needs more than constants, or more than is understood here. */
export class UnknownValue extends Error {
  override readonly name = "UnknownValue";
}

/** How a variable is looked up: its value may itself be a template. */
export type Lookup = (name: string) => unknown;

/** Far more than a setting has. */
const MAX_LENGTH = 64 * 1024;

const TOKEN =
  /\s*(?:(?<text>'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*")|(?<number>\d+(?:\.\d+)?)|(?<name>[A-Za-z_]\w*)|(?<sign>[.[\]()|,~+]))/y;

interface Token {
  readonly kind: "text" | "number" | "name" | "sign" | "end";
  readonly value: string;
}

const FILTERS: Readonly<Record<string, (value: unknown, args: readonly unknown[]) => unknown>> = {
  string: asText,
  int: (value) => String(Math.trunc(Number(asText(value))) || 0),
  bool: (value) => String(/^(?:1|true|yes|on)$/i.test(asText(value))),
  lower: (value) => asText(value).toLowerCase(),
  upper: (value) => asText(value).toUpperCase(),
  trim: (value) => asText(value).trim(),
  replace: (value, [from, to]) => replaced(asText(value), asText(from), asText(to)),
  first: (value) => asList(value)[0],
  last: (value) => asList(value).at(-1),
  list: asList,
  flatten: (value) => asList(value).flat(Infinity),
  join: (value, [between = ""]) => asList(value).map(asText).join(asText(between)),
  dict2items: (value) =>
    Object.entries(asMapping(value)).map(([key, inner]) => ({ key, value: inner })),
  mandatory: (value) => value,
  no_log: (value) => value,
};

/**
 * Evaluates an expression of Jinja: names, members, literals, `~` and some filters. Nothing else is
 * understood, and no function is called.
 *
 * @throws UnknownValue
 */
export function evaluate(text: string, lookup: Lookup): unknown {
  return new Evaluation(tokensOf(text), lookup).result();
}

class Evaluation {
  readonly #tokens: readonly Token[];
  readonly #lookup: Lookup;
  #position = 0;

  constructor(tokens: readonly Token[], lookup: Lookup) {
    this.#tokens = tokens;
    this.#lookup = lookup;
  }

  result(): unknown {
    const value = this.#sum();
    if (this.#next.kind !== "end") throw new UnknownValue();
    return value;
  }

  get #next(): Token {
    return this.#tokens[this.#position] ?? { kind: "end", value: "" };
  }

  #take(sign: string): boolean {
    const { kind, value } = this.#next;
    if (kind !== "sign" || value !== sign) return false;
    this.#position += 1;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#take(sign)) throw new UnknownValue();
  }

  #sum(): unknown {
    let value = this.#filtered();
    while (this.#take("~") || this.#take("+")) {
      const other = this.#filtered();
      value = limited(
        Array.isArray(value) && Array.isArray(other)
          ? [...value, ...other]
          : `${asText(value)}${asText(other)}`,
      );
    }
    return value;
  }

  #filtered(): unknown {
    let value: unknown;
    let isMissing = false;
    const start = this.#position;
    try {
      value = this.#member();
    } catch (error) {
      if (!(error instanceof UnknownValue)) throw error;
      // Only `default` can follow a name that is not known.
      this.#position = start;
      this.#skipMember();
      isMissing = true;
    }
    while (this.#take("|")) {
      const { kind, value: name } = this.#next;
      if (kind !== "name") throw new UnknownValue();
      this.#position += 1;
      const args = this.#take("(") ? this.#list(")") : [];
      if (name === "default" || name === "d") {
        const isEmpty = args[1] !== undefined && (value === "" || value === null);
        if (isMissing || value === undefined || isEmpty) value = args[0] ?? "";
        isMissing = false;
      } else {
        const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
        if (isMissing || !filter) throw new UnknownValue();
        value = limited(filter(value, args));
      }
    }
    if (isMissing || value === undefined) throw new UnknownValue();
    return value;
  }

  #member(): unknown {
    let value = this.#primary();
    for (;;) {
      if (this.#take(".")) {
        const { kind, value: key } = this.#next;
        if (kind !== "name" && kind !== "number") throw new UnknownValue();
        this.#position += 1;
        // A method of Python, such as `.split(',')`.
        if (this.#next.value === "(" && this.#next.kind === "sign") throw new UnknownValue();
        value = memberOf(value, key);
      } else if (this.#take("[")) {
        const key = this.#sum();
        this.#expect("]");
        value = memberOf(value, asText(key));
      } else return value;
    }
  }

  #primary(): unknown {
    const { kind, value } = this.#next;
    if (this.#take("(")) {
      const inner = this.#sum();
      this.#expect(")");
      return inner;
    }
    if (this.#take("[")) return this.#list("]");
    if (kind !== "text" && kind !== "number" && kind !== "name") throw new UnknownValue();
    this.#position += 1;
    if (kind === "text") return value.slice(1, -1).replaceAll(/\\([\s\S])/g, "$1");
    if (kind === "number") return value;
    if (/^(?:true|false)$/i.test(value)) return value.toLowerCase();
    const found = this.#lookup(value);
    if (found === undefined || this.#next.value === "(") throw new UnknownValue();
    return found;
  }

  #list(end: string): unknown[] {
    const values: unknown[] = [];
    if (this.#take(end)) return values;
    do values.push(this.#sum());
    while (this.#take(","));
    this.#expect(end);
    return values;
  }

  /** Goes to the next filter, or to the end of the same level. */
  #skipMember(): void {
    let depth = 0;
    for (; this.#next.kind !== "end"; this.#position += 1) {
      const sign = this.#next.kind === "sign" ? this.#next.value : "";
      if (depth === 0 && ["|", ")", "]", ",", "~", "+"].includes(sign)) return;
      if (sign === "(" || sign === "[") depth += 1;
      if (sign === ")" || sign === "]") depth -= 1;
    }
  }
}

/** Values that grow at each step would exhaust the memory. */
function limited<Value>(value: Value): Value {
  const length = typeof value === "string" || Array.isArray(value) ? value.length : 0;
  if (length > MAX_LENGTH) throw new UnknownValue();
  return value;
}

function replaced(text: string, from: string, to: string): string {
  const parts = text.split(from);
  if (from === "" || parts.length * to.length > MAX_LENGTH) throw new UnknownValue();
  return parts.join(to);
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const groups = TOKEN.exec(text)?.groups;
    if (!groups) throw new UnknownValue();
    const kinds = ["text", "number", "name", "sign"] as const;
    const kind = kinds.find((one) => groups[one] !== undefined);
    if (kind) tokens.push({ kind, value: groups[kind] ?? "" });
  }
  return tokens;
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) {
    throw new UnknownValue();
  }
  const found: unknown = Reflect.get(value, key);
  return found;
}

export function asText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new UnknownValue();
}

function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new UnknownValue();
}

function asMapping(value: unknown): object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new UnknownValue();
}
