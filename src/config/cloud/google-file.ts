import ipaddr from "ipaddr.js";
import { z } from "zod";

/**
 * An address that a file of Google names. It receives a signed assertion or a token, so that it has TLS, unless it
 * is on this machine.
 */
const endpoint = z.string().transform((text, context) => {
  const url = URL.parse(text);
  const host = url?.hostname.replaceAll(/[[\]]/g, "") ?? "";
  const isLoopback =
    host === "localhost" || (ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback");
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback)) return url;
  context.addIssue({ code: "custom", message: "must be an https URL" });
  return z.NEVER;
});

const serviceAccount = z.object({
  type: z.literal("service_account"),
  client_email: z.string().min(1),
  private_key: z.string().includes("PRIVATE KEY"),
  private_key_id: z.string().optional(),
  token_uri: endpoint.prefault("https://oauth2.googleapis.com/token"),
});

const subjectFormat = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json"), subject_token_field_name: z.string().min(1) }),
]);

const externalAccount = z.object({
  type: z.literal("external_account"),
  audience: z.string().min(1),
  subject_token_type: z.string().min(1),
  token_url: endpoint.prefault("https://sts.googleapis.com/v1/token"),
  service_account_impersonation_url: endpoint.optional(),
  credential_source: z.union([
    z.object({ file: z.string().min(1), format: subjectFormat.optional() }),
    z.object({
      url: z.url({ protocol: /^https?$/ }).transform((text) => new URL(text)),
      headers: z.record(z.string(), z.string()).optional(),
      format: subjectFormat.optional(),
    }),
  ]),
});

const googleFile = z.discriminatedUnion("type", [serviceAccount, externalAccount]);

/** A file of Google's application default credentials. */
export type GoogleFile = z.infer<typeof googleFile>;
export type ServiceAccountFile = z.infer<typeof serviceAccount>;
export type ExternalAccountFile = z.infer<typeof externalAccount>;

/** @returns what is wrong, which follows the file's name and tells nothing of what is in it */
export function parseGoogleFile(text: string): GoogleFile | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "is not JSON";
  }
  const { success, data, error } = googleFile.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  const at = issue?.path.join(".") ?? "";
  if (at === "" || at === "type") {
    return "is of a type that is for people or other programs: it must be of the type service_account or external_account";
  }
  if (at.startsWith("credential_source")) {
    return "has a credential_source other than a file or a URL, which is not supported here";
  }
  return `has no valid ${at}`;
}
