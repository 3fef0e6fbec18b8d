import { z } from "zod";
import { quote } from "./parsing/problems.ts";
import { SIZE_META, maxSize, size } from "./schema-values.ts";

const PREFIX = /^(?:\/[\w.~-]+)*\/?$/;

const storeUrl = z
  .string()
  .transform((text, context) => {
    const problem = urlProblem(text);
    if (problem === undefined) return new URL(text);
    // Hides a password in the URL: the message goes to a terminal or a log.
    const shown = quote(text.replace(/\/\/[^/]*@/, "//…@"));
    context.addIssue({ code: "custom", message: `${shown} ${problem}` });
    return z.NEVER;
  })
  .meta({ pattern: String.raw`^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+(?:/[\w.~-]+)*/?$` });

function urlProblem(text: string): string | undefined {
  const example = "write https://host/bucket, such as https://s3.example/images/cache";
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (!url) return `is not the URL of a bucket: ${example}`;
  if (url.username || url.password) return "contains credentials: put them into files";
  if (url.search || url.hash) return `has a query or fragment: ${example}`;
  if (!PREFIX.test(url.pathname)) {
    return "has characters in its path that keys cannot have here: use letters, digits, '.', '_', '~' and '-'";
  }
  return undefined;
}

const MIN_REDIRECT = 1024 * 1024;

const redirectSize = size
  .refine((bytes) => bytes >= MIN_REDIRECT, {
    message: "is less than 1 MiB: what is small is sent faster from here than it is redirected",
  })
  .meta(SIZE_META);

const file = z.string().min(1).optional();

/** `cluster.store` of entrepot.yaml. */
export const sharedStoreSchema = z.strictObject({
  maxSize: maxSize
    .optional()
    .describe(
      "Maximum size of all objects together, in bytes or with a unit. What was used least recently, by any replica, is deleted 15 minutes after it was chosen, unless it is used again; pinned images stay. All replicas should have the same limit, well below the bucket's quota. Needs database. Default: no limit.",
    ),
  url: storeUrl.describe(
    "The bucket, and below it the prefix of all keys if there is one, such as https://s3.example/images/cache. It has to exist.",
  ),
  pathStyle: z
    .boolean()
    .optional()
    .describe(
      "Whether the bucket is the first part of the URL's path, and not of its host name. Default: true, except for hosts such as images.s3.eu-central-1.amazonaws.com.",
    ),
  region: z
    .string()
    .regex(/^[\w-]+$/, { message: "is not the name of a region, such as eu-central-1" })
    .optional()
    .describe(
      "The region that requests are signed for. Default: that in the host name of Amazon S3, otherwise us-east-1.",
    ),
  accessKeyFile: file.describe(
    "The file with the access key. It and secretKeyFile may be replaced while the cache runs. Default: none.",
  ),
  secretKeyFile: file.describe("The file with the secret key. Default: none."),
  sessionTokenFile: file.describe(
    "The file with the session token that belongs to temporary keys. Default: none.",
  ),
  webIdentityTokenFile: file.describe(
    "The file with the token of a Kubernetes service account, which is exchanged for temporary keys (IAM roles for service accounts). Excludes accessKeyFile. Default: AWS_WEB_IDENTITY_TOKEN_FILE, which Amazon EKS sets.",
  ),
  roleArn: z
    .string()
    .regex(/^arn:[\w:/+=,.@-]+$/, { message: "is not the ARN of a role" })
    .optional()
    .describe("The role that the token is exchanged for. Default: AWS_ROLE_ARN."),
  stsUrl: z
    .string()
    .transform((text, context) => {
      const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
      if (url && url.username === "" && url.password === "") return url;
      context.addIssue({ code: "custom", message: "is not a URL: write https://host" });
      return z.NEVER;
    })
    .meta({ pattern: "^[Hh][Tt][Tt][Pp][Ss]?://" })
    .optional()
    .describe(
      "Where the token is exchanged. Default: AWS_ENDPOINT_URL_STS, otherwise https://sts.<region>.amazonaws.com.",
    ),
  redirect: z
    .strictObject({
      from: redirectSize.describe(
        "Responses with at least so many bytes are not sent by the cache: the client is sent to the object store, with an address that is valid for ten minutes. In bytes or with a unit, such as 64MiB. Minimum: 1MiB.",
      ),
    })
    .optional()
    .describe(
      "Has clients get large blobs from the object store themselves. They must reach and trust it, under another host name than that of the cache. Default: none, the cache sends everything.",
    ),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The PEM file with CA certificates to trust in addition to the public ones, or PEM text. Default: none.",
    ),
});

export type SharedStoreEntry = z.infer<typeof sharedStoreSchema>;
