import { quote } from "../parsing/problems.ts";

const MAX_LENGTH = 256;

type Part = { readonly text: string } | { readonly claim: string };

/** A text with claims of a token in it: `{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}`. */
export class ClaimTemplate {
  readonly text: string;
  readonly #parts: readonly Part[];

  private constructor(text: string, parts: readonly Part[]) {
    this.text = text;
    this.#parts = parts;
  }

  /** Returns the reason if the text is invalid. */
  static parse(text: string): ClaimTemplate | string {
    if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
    const parts: Part[] = [];
    for (const [whole, claim, literal] of text.matchAll(/\{([^{}]+)\}|([^{}]+)|[{}]/gs)) {
      if (claim !== undefined) {
        if (parts.some((part) => "claim" in part) && "claim" in (parts.at(-1) ?? {})) {
          return `has two claims with nothing between them: write a character, such as /, before ${quote(whole)}`;
        }
        parts.push({ claim });
      } else if (literal !== undefined) parts.push({ text: literal });
      else return "has a { or } that stands alone: write {CLAIM}, such as {sub}";
    }
    if (!parts.some((part) => "claim" in part)) {
      return "has no claim in it, so that all clients would have one name: write one, such as {sub}";
    }
    return new ClaimTemplate(text, parts);
  }

  /** For the comparison of configurations. */
  toJSON(): string {
    return this.text;
  }

  /**
   * The text with a token's claims. A claim may not contain the character that ends it in this text: nobody
   * becomes `a/b` by the claims `a/b` and an empty one.
   *
   * @returns the reason in `problem` if the token does not have the claims
   */
  render(claims: unknown): { readonly text: string } | { readonly problem: string } {
    let text = "";
    for (const [index, part] of this.#parts.entries()) {
      if ("text" in part) {
        text += part.text;
        continue;
      }
      const value = claimText(claimAt(claims, part.claim));
      if (value === undefined || value === "") {
        return { problem: `has no claim ${quote(part.claim)} that is a text` };
      }
      const after = this.#parts[index + 1];
      const end = after && "text" in after ? after.text.slice(0, 1) : undefined;
      if (end !== undefined && value.includes(end)) {
        return { problem: `has ${quote(end)} in the claim ${quote(part.claim)}` };
      }
      text += value;
    }
    return { text };
  }
}

/**
 * A claim by its path. A name of a claim may have dots itself, as `kubernetes.io` has: the longest name that
 * there is, is meant.
 */
export function claimAt(claims: unknown, path: string): unknown {
  if (typeof claims !== "object" || claims === null || Array.isArray(claims)) return undefined;
  if (Object.hasOwn(claims, path)) return Reflect.get(claims, path);
  for (let dot = path.lastIndexOf("."); dot > 0; dot = path.lastIndexOf(".", dot - 1)) {
    const name = path.slice(0, dot);
    if (!Object.hasOwn(claims, name)) continue;
    const found = claimAt(Reflect.get(claims, name), path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A claim as text; `undefined` for what is none. */
export function claimText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
