import { z } from "zod";

const MAX_PATTERN = 512;
const MAX_WILDCARDS = 6;

const identityPattern = z
  .string()
  .min(1)
  .max(MAX_PATTERN)
  .refine((text) => text.split("*").length <= MAX_WILDCARDS + 1, {
    message: `has more than ${MAX_WILDCARDS} asterisks`,
  })
  // Otherwise whoever can make an account anywhere signs for everybody.
  .refine((text) => /[a-z0-9]{3}/i.test(text), {
    message:
      "matches everybody: write the part that is the same for all of yours, such as https://github.com/acme/*",
  });

/** `verify` of a rule of `policies`. */
export const verifySchema = z.strictObject({
  mode: z
    .enum(["off", "observe", "enforce"])
    .describe(
      "off: nothing is asked for, also where a later rule asks. observe: signatures are looked for and what is found is told, but everything is served. enforce: only digests with the signatures that are asked for are served.",
    ),
  keys: z
    .array(z.string().min(1))
    .min(1)
    .max(32)
    .optional()
    .describe(
      "Public keys of cosign: PEM files, or PEM text. ECDSA (P-256, P-384, P-521), Ed25519, or RSA of 2048 bits or more. A signature by one of them is enough. Files are reread when they change. At most 32. Default: none.",
    ),
  keyless: z
    .array(
      z.strictObject({
        issuer: identityPattern.describe(
          "The issuer of the identity, as its certificate states it, such as https://token.actions.githubusercontent.com. May have *.",
        ),
        subject: identityPattern.describe(
          "Who signed, as the certificate states it: the address of a workflow, or a mail address. * stands for any characters, / among them: https://github.com/acme/*.",
        ),
      }),
    )
    .min(1)
    .max(32)
    .optional()
    .describe(
      "Identities that may sign without a key, each with issuer and subject, by certificates of Fulcio and an entry in a transparency log. A signature by one of them is enough. At most 32. Default: none.",
    ),
  attestations: z
    .array(z.string().min(1).max(MAX_PATTERN))
    .min(1)
    .max(16)
    .optional()
    .describe(
      "Predicate types of attestations that there have to be as well, by the same keys or identities, such as https://slsa.dev/provenance/v1. What they say is not looked at. At most 16. Default: none.",
    ),
  signature: z
    .boolean()
    .optional()
    .describe(
      "Whether a signature is needed besides the attestations. false is for images that have attestations alone, such as those of GitHub's attest-build-provenance. Default: true.",
    ),
  repository: z
    .enum(["any", "named"])
    .optional()
    .describe(
      "named: a signature has to name the repository from which its image is pulled, so that it counts nowhere else. Those of cosign 3 do that only if they are made with -a repository=ghcr.io/acme/app. any: one that names none counts as well. One that names another repository never counts. Default: any.",
    ),
  trustRoot: z
    .string()
    .min(1)
    .optional()
    .describe(
      "A trusted_root.json of your own Fulcio, transparency log and timestamp authority, at most 1 MiB. Certificates need no entry in a certificate transparency log if it has none. It is reread when it changes. Default: that of sigstore's public instance, fetched from tuf-repo-cdn.sigstore.dev (TUF) and kept in the data directory, for when that cannot be reached.",
    ),
  transparencyLog: z
    .boolean()
    .optional()
    .describe(
      "Whether a signature needs an entry in a transparency log. With false, signatures by keys are believed without one, as cosign does with --insecure-ignore-tlog, and those by identities need a timestamp of an authority of trustRoot. Default: true.",
    ),
});

export type VerifyEntry = z.infer<typeof verifySchema>;
