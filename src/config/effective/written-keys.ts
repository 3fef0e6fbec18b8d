import type { Path } from "../parsing/yaml-source.ts";

export type Scalar = string | number | boolean | null;

/** A key of the configuration file with its value. */
export interface WrittenKey {
  /** With the keys that it is nested in: `upstreams.ghcr.io.tagTtl`, `maxRate[0].rate`. */
  readonly key: string;
  /** As it was written; absent if it may be a secret. */
  readonly value?: Scalar | readonly Scalar[];
  /** `file:line:column` */
  readonly at: string;
}

/** Keys below these, and these, may have secrets. What names a file of a secret is none. */
const SECRET = /token|secret|password|passphrase|auth|credential|proxy|key$|headers|webhooks/i;
const FILE = /file$/i;

/** Every value in a configuration file that is not a mapping. */
export function writtenKeys(written: unknown, location: (at: Path) => string): WrittenKey[] {
  const found: WrittenKey[] = [];
  const visit = (value: unknown, at: readonly (string | number)[], isSecret: boolean): void => {
    // A key without a value means the same as an omitted one, but for the name of an upstream.
    if (value === null && !(at.length === 2 && at[0] === "upstreams")) return;
    if (isScalar(value) || (Array.isArray(value) && value.every(isScalar))) {
      const shown = isSecret ? undefined : withoutPassword(value);
      const key = textOf(at);
      found.push({ key, ...(shown !== undefined && { value: shown }), at: location(at) });
      return;
    }
    if (typeof value !== "object" || value === null) return;
    for (const [key, child] of Object.entries(value)) {
      const segment = Array.isArray(value) ? Number(key) : key;
      // Names of upstreams are any text.
      const isName = at.length === 1 && at[0] === "upstreams";
      const mayBeSecret = !isName && SECRET.test(key) && !FILE.test(key);
      visit(child, [...at, segment], (isSecret && !FILE.test(key)) || mayBeSecret);
    }
  };
  if (typeof written === "object" && written !== null) visit(written, [], false);
  return found;
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

/** A URL may have a user and a password. */
function withoutPassword(value: Scalar | readonly Scalar[]): Scalar | readonly Scalar[] {
  if (Array.isArray(value)) return value.map((one: Scalar) => withoutUser(one));
  // What is no list is a scalar; `Array.isArray` does not narrow a readonly one away.
  return withoutUser(value as Scalar);
}

function withoutUser(value: Scalar): Scalar {
  if (typeof value !== "string") return value;
  return value.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1…@");
}

function textOf(at: readonly (string | number)[]): string {
  return at
    .map((segment) => (typeof segment === "number" ? `[${segment}]` : `.${segment}`))
    .join("")
    .slice(1);
}
