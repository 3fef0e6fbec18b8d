import { asWritten, mark } from "../distribution/container/unresolved.ts";
import { asText, evaluate, type Scope, UnknownValue } from "./expression.ts";

/** The delimiters of Jinja: expressions, statements and comments. */
const ENDS: Readonly<Record<string, string>> = { "{{": "}}", "{%": "%}", "{#": "#}" };
const WHOLE = /^\s*\{\{((?:(?!\}\})[\s\S])*)\}\}\s*$/;

/** Far more than playbooks need, too few for variables that double at each level. */
const MAX_STEPS = 100_000;
const MAX_LENGTH = 64 * 1024;
const MAX_DEPTH = 20;

/** Replaces templates by constants. What is not constant is marked as unresolved. */
export class Templates {
  #steps = 0;
  #depth = 0;

  /** A value with all templates in it replaced. One that is nothing but an expression keeps its type. */
  render(value: unknown, scope: Scope): unknown {
    if (typeof value === "string") return this.#text(value, scope);
    if (Array.isArray(value)) return value.map((one: unknown) => this.render(one, scope));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        String(this.#text(key, scope)),
        this.render(one, scope),
      ]),
    );
  }

  #text(text: string, scope: Scope): unknown {
    if (!text.includes("{{") && !text.includes("{%")) return text;
    const whole = WHOLE.exec(text)?.[1];
    if (whole !== undefined) return this.#value(whole, scope, text.trim());
    const rendered = partsOf(text)
      .map((part) => this.#part(part, scope))
      .join("");
    return rendered.length > MAX_LENGTH ? mark(asWritten(text).slice(0, 80)) : rendered;
  }

  #part(part: string, scope: Scope): string {
    const kind = part.slice(0, 2);
    const end = Object.hasOwn(ENDS, kind) ? ENDS[kind] : undefined;
    if (end === undefined || !part.endsWith(end)) return part;
    if (kind === "{#") return "";
    if (kind === "{%") return mark(asWritten(part));
    const value = this.#value(part.slice(2, -2), scope, part);
    try {
      return asText(value);
    } catch (error) {
      if (!(error instanceof UnknownValue)) throw error;
      return mark(asWritten(part));
    }
  }

  #value(expression: string, scope: Scope, written: string): unknown {
    this.#steps += 1;
    this.#depth += 1;
    try {
      if (this.#steps > MAX_STEPS || this.#depth > MAX_DEPTH) throw new UnknownValue();
      return evaluate(expression.replaceAll(/^-|-$/g, ""), (name) =>
        this.render(scope.get(name), scope),
      );
    } catch (error) {
      if (!(error instanceof UnknownValue)) throw error;
      return mark(asWritten(written));
    } finally {
      this.#depth -= 1;
    }
  }
}

/** Splits a text into templates and what is between them. One without an end is text. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let done = 0;
  for (const { 0: start, index } of text.matchAll(/\{[{%#]/g)) {
    if (index < done) continue;
    const close = ENDS[start] ?? "";
    const end = text.indexOf(close, index + 2);
    if (end < 0) break;
    parts.push(text.slice(done, index), text.slice(index, end + close.length));
    done = end + close.length;
  }
  return [...parts, text.slice(done)].filter((part) => part !== "");
}
