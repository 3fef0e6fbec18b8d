import type { KnownToken } from "../access/clients-settings.ts";
import { quote } from "../parsing/problems.ts";
import type { FileContext } from "../upstreams/certificates.ts";
import { nameProblem } from "./principal-name.ts";
import { readLines } from "./read-lines.ts";

const LENGTH = { min: 16, max: 4096 };

/** Reads a file of tokens. Problems are reported, and never show a token. */
export function readTokens(file: string, context: FileContext): readonly KnownToken[] {
  const nameOf = new Map<string, string>();
  return readLines(
    ["clients", "tokensFile"],
    file,
    (line) => {
      const [name = "", token, ...more] = line.trim().split(/[ \t]+/);
      if (token === undefined || more.length > 0) return "write a name, a space and a token";
      const problem = nameProblem(name) ?? tokenProblem(token);
      if (problem !== undefined) return problem;
      const other = nameOf.get(token);
      if (other !== undefined) return `the token is that of ${quote(other)} as well: use another`;
      nameOf.set(token, name);
      return { name, token };
    },
    context,
  );
}

function tokenProblem(token: string): string | undefined {
  if (token.length < LENGTH.min) {
    return `the token is shorter than ${LENGTH.min} characters: make one with openssl rand -hex 32`;
  }
  if (token.length > LENGTH.max) return `the token is longer than ${LENGTH.max} characters`;
  // RFC 6750 section 2.1: others cannot be sent as a Bearer token.
  if (!/^[\w.~+/-]+=*$/.test(token)) {
    return "the token has a character other than letters, digits and - . _ ~ + / =";
  }
  return undefined;
}
