import type { KnownUser } from "../access/clients-settings.ts";
import { quote } from "../parsing/problems.ts";
import type { FileContext } from "../upstreams/certificates.ts";
import { nameProblem } from "./principal-name.ts";
import { readLines } from "./read-lines.ts";

/**
 * bcrypt: version, cost, 22 characters of salt and 31 of hash. Not all bits of the last character of each are used,
 * and Bun takes none in which the others are set.
 */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;
/** The cost of bcrypt is an exponent of 2. At the highest one, a password takes a third of a second. */
const COST = { min: 4, max: 12 };

/** Reads an htpasswd file. Problems are reported. */
export function readUsers(file: string, context: FileContext): readonly KnownUser[] {
  const names = new Set<string>();
  return readLines(
    ["clients", "htpasswdFile"],
    file,
    (line) => {
      const colon = line.indexOf(":");
      if (colon < 0) return "has no colon between name and password: write it with htpasswd -B";
      const [name, hash] = [line.slice(0, colon), line.slice(colon + 1).trim()];
      const problem = nameProblem(name);
      if (problem !== undefined) return problem;
      if (names.has(name))
        return `${quote(name)} is in an earlier line already: remove one of them`;
      names.add(name);
      return hashProblem(name, hash) ?? { name, hash };
    },
    context,
  );
}

function hashProblem(name: string, hash: string): string | undefined {
  const cost = BCRYPT.exec(hash)?.[1];
  if (cost !== undefined) {
    if (Number(cost) > COST.max)
      return `has the cost ${Number(cost)}, with which a password takes seconds: use 10 to ${COST.max}, as in htpasswd -B -C 10`;
    if (Number(cost) < COST.min) return `has the cost ${Number(cost)}, which bcrypt does not have`;
    return undefined;
  }
  const command = `htpasswd -B FILE ${/^[\w.@+-]+$/.test(name) ? name : "NAME"}`;
  return `the password of ${quote(name)} is hashed by ${kindOf(hash)}: only bcrypt is accepted: write it again with ${command}`;
}

function kindOf(hash: string): string {
  if (hash.startsWith("$apr1$")) return "MD5 (apr1), which can be guessed fast";
  if (hash.startsWith("$1$")) return "MD5, which can be guessed fast";
  if (hash.startsWith("{SHA}") || hash.startsWith("{SSHA}")) {
    return "SHA-1, which can be guessed fast";
  }
  if (/^\$[56]\$/.test(hash)) return "SHA-2 (crypt)";
  if (hash.startsWith("$2")) return "something like bcrypt that is incomplete or damaged";
  if (/^[./A-Za-z0-9]{13}$/.test(hash)) return "crypt (DES), which can be guessed fast";
  return "something else, or not at all";
}
