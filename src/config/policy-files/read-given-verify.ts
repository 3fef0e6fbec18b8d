import { UnreadableError } from "../parsing/read-text.ts";
import type { VerifyRule } from "../policies/policy-settings.ts";
import { verifySchema } from "../policies/verify-schema.ts";
import { readVerify } from "./read-verify.ts";

/** Stands for the file of a trust root whose text is given. */
const TRUST_ROOT = "/trustRoot";
const MAX_TRUST_ROOT = 1024 * 1024;

interface GivenEntry {
  readonly mode: string;
  readonly trustRoot?: string | undefined;
}

/**
 * Reads `verify` of a rule whose keys and trust root are given as text. No file is read.
 *
 * @param given as in entrepot.yaml, but for `trustRoot`
 * @returns what is wrong with it, if anything is
 */
export function readGivenVerify(given: GivenEntry): VerifyRule | string {
  const { trustRoot, ...others } = given;
  const named = { ...others, ...(trustRoot === undefined ? {} : { trustRoot: TRUST_ROOT }) };
  const { data, error } = verifySchema.safeParse(named);
  if (!data) {
    const [issue] = error.issues;
    return `${["verify", ...(issue?.path ?? [])].join(".")}: ${issue?.message ?? "is not valid"}`;
  }
  const problems: string[] = [];
  const rule = readVerify(["verify"], data, {
    folder: "/",
    readFile: (path) => {
      if (path !== TRUST_ROOT || trustRoot === undefined) {
        throw new UnreadableError("is no PEM text (-----BEGIN PUBLIC KEY-----)");
      }
      if (trustRoot.length > MAX_TRUST_ROOT) throw new UnreadableError("is larger than 1 MiB");
      return trustRoot;
    },
    report: (at, message) => problems.push(`${at.join(".")}: ${message}`),
  });
  return problems[0] ?? rule;
}

/** A rule as `readGivenVerify` reads it: the same one, with the same revision. */
export function givenVerify({ mode, keys, trustRoot, ...asked }: VerifyRule) {
  const { keyless, attestations, signature, repository, transparencyLog } = asked;
  return {
    mode,
    // One text, as a file may have more keys than there may be entries.
    ...(keys.length > 0 ? { keys: [keys.map(({ pem }) => pem).join("\n")] } : {}),
    ...(keyless.length > 0 ? { keyless: [...keyless] } : {}),
    ...(attestations.length > 0 ? { attestations: [...attestations] } : {}),
    signature,
    repository,
    ...(trustRoot ? { trustRoot: trustRoot.json } : {}),
    transparencyLog,
  };
}
