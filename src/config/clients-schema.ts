import { z } from "zod";
import { ClaimTemplate } from "./access/claim-template.ts";
import { GlobPattern } from "./parsing/glob-pattern.ts";
import { quote } from "./parsing/problems.ts";
import { ownAddress } from "./schema-values.ts";

const MAX_ISSUERS = 16;
const MAX_RULES = 256;

const file = z.string().min(1).optional();

const pattern = z.string().transform((written, context) => {
  const compiled = GlobPattern.compile(written, "text");
  if (typeof compiled !== "string") return compiled;
  context.addIssue({ code: "custom", message: `${quote(written)} ${compiled}` });
  return z.NEVER;
});

const patterns = z
  .array(pattern)
  .min(1, { message: "is empty, so that it matches nothing: add a pattern" })
  .max(256);

const template = z.string().transform((written, context) => {
  const parsed = ClaimTemplate.parse(written);
  if (typeof parsed !== "string") return parsed;
  context.addIssue({ code: "custom", message: `${quote(written)} ${parsed}` });
  return z.NEVER;
});

const jwt = z.strictObject({
  name: z
    .string()
    .describe(
      "What the principals of this issuer are called after: NAME:TEXT. Up to 32 lower-case letters, digits and dashes; not user, token or certificate.",
    ),
  issuer: z
    .string()
    .min(1)
    .describe("The claim iss of its tokens, to the letter, such as https://gitlab.example."),
  audience: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(16)])
    .describe(
      "The claim aud of its tokens, or a list of those that are accepted: a name for this cache, for which its clients ask.",
    ),
  jwksUrl: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Where its public keys are (a JSON Web Key Set): https://, or http:// on this machine. They are fetched when they are needed, and again after 10 minutes or for a key that is not known. Default: found through ISSUER/.well-known/openid-configuration.",
    ),
  jwksFile: file.describe(
    "A file with its public keys (a JSON Web Key Set), at most 256 KiB, instead of jwksUrl. It is reread when it changes.",
  ),
  allowPrivate: z
    .boolean()
    .optional()
    .describe(
      "Whether the keys may be fetched from loopback, private and link-local addresses. Default: false.",
    ),
  ca: file.describe(
    "CA certificates to trust in addition to the public ones where the keys are fetched: a PEM file, or PEM text.",
  ),
  tokenFile: file.describe(
    "A file with a token that is sent where the keys are fetched, such as /var/run/secrets/kubernetes.io/serviceaccount/token: a cluster's API server shows its keys to nobody else. It is read each time. Default: none is sent.",
  ),
  principal: template
    .optional()
    .describe(
      "The name of a client, with claims in braces, such as {kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}. Default: {sub}.",
    ),
  claims: z
    .record(z.string().min(1), z.union([pattern, patterns]))
    .refine((claims) => Object.keys(claims).length <= 16, { message: "has more than 16 claims" })
    .optional()
    .describe(
      "Claims that a token must have: a pattern for each, or a list of patterns of which one must match. Of a claim that is a list, one element must match.",
    ),
});

export type JwtEntry = z.infer<typeof jwt>;

const rule = z.strictObject({
  principals: patterns.describe(
    "Patterns of principals: user:NAME, token:NAME, NAME:TEXT of an issuer, certificate:NAME. * matches within what slashes divide, ** across slashes.",
  ),
  repositories: patterns.describe(
    "Patterns of repositories with their registry, such as ghcr.io/org/** or docker.io/library/*.",
  ),
  effect: z.enum(["allow", "deny"]).describe("allow or deny. What any rule denies is denied."),
});

export type RuleEntry = z.infer<typeof rule>;

/** `clients` of entrepot.yaml. */
export const clientsSchema = z.strictObject({
  htpasswdFile: file.describe(
    "The users and their passwords, as htpasswd -B writes them (bcrypt), at most 1 MiB: principals user:NAME. It is reread when it changes. Default: none.",
  ),
  tokensFile: file.describe(
    "Tokens that clients send as a Bearer token or as a password, with a name before each: NAME TOKEN on a line, at most 1 MiB: principals token:NAME. A token has at least 16 characters; several may have one name. It is reread when it changes. Default: none.",
  ),
  jwt: z
    .array(jwt)
    .min(1)
    .max(MAX_ISSUERS)
    .optional()
    .describe(
      "Issuers of JSON Web Tokens, which clients send as a Bearer token or as a password: of Kubernetes service accounts, GitHub Actions, GitLab CI. Each with name, issuer, audience, jwksUrl or jwksFile, allowPrivate, ca, tokenFile, principal and claims: see docs/how-to/say-who-may-pull.md. At most 16. Default: none.",
    ),
  certificates: z
    .strictObject({
      ca: z.string().min(1).describe("The CA certificates of clients: a PEM file, or PEM text."),
      listen: ownAddress.describe(
        "The address at which clients show certificates: host:port, such as 0.0.0.0:5443. All registries without an address of their own are served there, over TLS.",
      ),
    })
    .optional()
    .describe(
      "Client certificates (mutual TLS), signed by ca: principals certificate:NAME, by the first subject alternative name that is a URI, else a DNS name, else a mail address. At an address of their own, since TLS is spoken there by the main thread alone, and files are not sent by the kernel. Needs tls. Clients without a certificate are served there as well. A change needs a restart. Default: none is asked for.",
    ),
  rules: z
    .array(rule)
    .max(MAX_RULES)
    .optional()
    .describe(
      "Who may pull what where access is clients: a list of principals, repositories and effect (allow or deny). What no rule allows, or any denies, is refused. entrepot access explain shows what decides. At most 256. Default: none, so that nobody may.",
    ),
  auditAs: z
    .enum(["name", "hash"])
    .optional()
    .describe(
      "How the log and the audit call a principal: by its name, or by a hash of it. Default: name.",
    ),
});

export type ClientsEntry = z.infer<typeof clientsSchema>;
