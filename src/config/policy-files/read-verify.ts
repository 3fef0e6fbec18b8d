import { createHash } from "node:crypto";
import type { Path } from "../parsing/yaml-source.ts";
import type { VerifyRule } from "../policies/policy-settings.ts";
import type { VerifyEntry } from "../policies/verify-schema.ts";
import type { FileContext } from "../upstreams/certificates.ts";
import { readPublicKeys } from "./read-public-keys.ts";
import { readTrustRoot } from "./read-trust-root.ts";

/** Grows when verdicts of an earlier version of this program must not be used any more. */
const EDITION = 1;

/** Reads `verify` of a rule, with the keys and the trust root that it names. Problems are reported. */
export function readVerify(at: Path, entry: VerifyEntry, context: FileContext): VerifyRule {
  const { mode, keyless = [], attestations = [] } = entry;
  const transparencyLog = entry.transparencyLog ?? true;
  const keys = (entry.keys ?? []).flatMap((key, index) =>
    readPublicKeys([...at, "keys", index], key, context),
  );
  if (mode !== "off" && !entry.keys && keyless.length === 0) {
    const message = `names nobody whose signatures count: add keys or keyless`;
    context.report(at, message, "value");
  }
  const { signature = true, repository = "any" } = entry;
  if (!signature && attestations.length === 0) {
    const message = "leaves nothing to ask for: add attestations";
    context.report([...at, "signature"], message, "key");
  }
  const isKeyless = keyless.length > 0;
  if (entry.trustRoot !== undefined && !isKeyless && !transparencyLog) {
    const message = "is of no use for keys without a transparency log: omit it";
    context.report([...at, "trustRoot"], message, "key");
  }
  if (isKeyless && !transparencyLog && entry.trustRoot === undefined) {
    const message =
      "needs trustRoot with keyless: without the log, a timestamp authority says when a certificate was used";
    context.report([...at, "transparencyLog"], message, "key");
  }
  const needs = { log: transparencyLog, certificates: isKeyless };
  const trustRoot =
    entry.trustRoot === undefined
      ? undefined
      : readTrustRoot([...at, "trustRoot"], entry.trustRoot, needs, context);
  const asked = { keyless, attestations, signature, repository, transparencyLog };
  const contents = {
    edition: EDITION,
    keys: keys.map(({ pem }) => pem),
    trustRoot: trustRoot?.json,
    ...asked,
  };
  return {
    mode,
    keys,
    ...asked,
    ...(trustRoot ? { trustRoot } : {}),
    revision: createHash("sha256").update(JSON.stringify(contents)).digest("hex").slice(0, 32),
  };
}
