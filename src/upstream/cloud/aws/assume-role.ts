import { CloudError } from "../cloud-error.ts";
import { askCloud, type CloudConnection, headerValue } from "../cloud-request.ts";
import { readSecretLine } from "../secret-file.ts";
import type { AccessKeys } from "./access-keys.ts";
import { errorCodeOf, textOf } from "./xml-text.ts";

export interface WebIdentity {
  /** The token's file, which whoever issues it replaces. */
  readonly tokenFile: string;
  readonly roleArn: string;
  readonly sessionName?: string;
  /** The address of STS. */
  readonly stsUrl: URL;
}

/** Keys, and until when they are valid, in milliseconds of the epoch. */
export interface TemporaryKeys {
  readonly keys: AccessKeys;
  readonly until: number;
}

/**
 * Exchanges the token of a Kubernetes service account for temporary keys (`AssumeRoleWithWebIdentity` of AWS STS).
 *
 * @throws CloudError
 */
export async function assumeRole(
  { tokenFile, roleArn, sessionName = "entrepot", stsUrl }: WebIdentity,
  connection: CloudConnection,
  signal?: AbortSignal,
): Promise<TemporaryKeys> {
  const token = await readSecretLine(tokenFile);
  const { host, status, text } = await askCloud({
    method: "POST",
    url: stsUrl,
    headers: {
      accept: "application/xml",
      "content-type": "application/x-www-form-urlencoded;charset=UTF-8",
    },
    body: new URLSearchParams({
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      WebIdentityToken: token,
    }).toString(),
    through: connection,
    signal,
  });
  const until = Date.parse(textOf(text, "Expiration") ?? "");
  const accessKeyId = headerValue(textOf(text, "AccessKeyId"));
  const secretAccessKey = headerValue(textOf(text, "SecretAccessKey"));
  const sessionToken = headerValue(textOf(text, "SessionToken"));
  if (status !== 200 || !accessKeyId || !secretAccessKey || !sessionToken || !(until > 0)) {
    const code = errorCodeOf(text) || String(status);
    throw new CloudError(
      `${host} gives none for the role ${roleArn} (${code})${adviceFor(code, roleArn)}`,
      { isPassing: code === "IDPCommunicationError" || code.startsWith("Throttling") },
    );
  }
  return { keys: { accessKeyId, secretAccessKey, sessionToken }, until };
}

function adviceFor(code: string, roleArn: string): string {
  switch (code) {
    case "AccessDenied":
      return `: the trust policy of ${roleArn} must let this service account assume it`;
    case "InvalidIdentityToken":
      return ": the cluster's OIDC issuer must be an identity provider of the account, with the audience sts.amazonaws.com";
    case "ExpiredTokenException":
      return ": the token's file is no longer renewed, or the clock of this machine is wrong";
    default:
      return "";
  }
}
