import { mark } from "../container/unresolved.ts";

/** The value of a variable; undefined if it is not set. */
export type Lookup = (name: string) => string | undefined;

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-+?]/y;
/** Deeper nesting of defaults could exhaust the stack. */
const MAX_DEPTH = 16;

/** Applies {@link interpolate} to all texts of a value; keys stay as they are. */
export function interpolateAll(value: unknown, lookup: Lookup): unknown {
  if (typeof value === "string") return interpolate(value, lookup);
  if (Array.isArray(value)) return value.map((one) => interpolateAll(one, lookup));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, interpolateAll(one, lookup)]),
  );
}

/**
 * Substitutes variables as Compose does: `$NAME`, `${NAME}`, and `${NAME:-default}` with its
 * relatives `-`, `:+`, `+`, `:?` and `?`. `$$` is a dollar sign. What has no value is marked.
 */
export function interpolate(text: string, lookup: Lookup, depth = 0): string {
  let result = "";
  let position = 0;
  while (position < text.length) {
    const dollar = text.indexOf("$", position);
    if (dollar < 0) return result + text.slice(position);
    result += text.slice(position, dollar);
    if (text[dollar + 1] === "$") {
      result += "$";
      position = dollar + 2;
      continue;
    }
    const end = endOf(text, dollar);
    const expression = text.slice(dollar, end);
    result += substitute(expression, lookup, depth) ?? mark(expression);
    position = end;
  }
  return result;
}

/** The end of the expression that begins with a dollar sign. */
function endOf(text: string, dollar: number): number {
  if (text[dollar + 1] !== "{") {
    NAME.lastIndex = dollar + 1;
    return NAME.test(text) ? NAME.lastIndex : dollar + 1;
  }
  let open = 0;
  for (let position = dollar + 1; position < text.length; position += 1) {
    if (text[position] === "{" && text[position - 1] === "$") open += 1;
    else if (text[position] === "}") open -= 1;
    if (open === 0) return position + 1;
  }
  return text.length;
}

function substitute(expression: string, lookup: Lookup, depth: number): string | undefined {
  const body = expression.startsWith("${") ? expression.slice(2, -1) : expression.slice(1);
  NAME.lastIndex = 0;
  const name = NAME.exec(body)?.[0];
  if (name === undefined || depth > MAX_DEPTH) return undefined;
  const value = lookup(name);
  OPERATOR.lastIndex = name.length;
  const operator = OPERATOR.exec(body)?.[0];
  if (operator === undefined) return body.length === name.length ? value : undefined;
  const isSet = operator.startsWith(":") ? Boolean(value) : value !== undefined;
  const word = (): string =>
    interpolate(body.slice(name.length + operator.length), lookup, depth + 1);
  if (operator.endsWith("+")) return isSet ? word() : "";
  if (isSet) return value;
  return operator.endsWith("-") ? word() : undefined;
}
