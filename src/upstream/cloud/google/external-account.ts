import type { ExternalAccountFile } from "../../../config/cloud/google-file.ts";
import { parseObject } from "../../../oci/json-object.ts";
import { CloudError, shownCode } from "../cloud-error.ts";
import { askCloud, type CloudConnection, headerValue, jsonOf } from "../cloud-request.ts";
import { type AccessToken, tokenOf } from "../oauth-token.ts";
import { readSecretFile } from "../secret-file.ts";
import { SCOPE } from "./scope.ts";

/**
 * An access token for the token of another issuer: workload identity federation (RFC 8693).
 *
 * @throws CloudError
 */
export async function externalAccountToken(
  file: ExternalAccountFile,
  connection: CloudConnection,
  signal?: AbortSignal,
): Promise<AccessToken> {
  const subject = await subjectToken(file, signal);
  const response = await askCloud({
    method: "POST",
    url: file.token_url,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      audience: file.audience,
      scope: SCOPE,
      requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      subject_token: subject,
      subject_token_type: file.subject_token_type,
    }).toString(),
    through: connection,
    signal,
  });
  const federated = tokenOf(response, (code) =>
    code === "invalid_grant" || code === "invalid_target"
      ? ": the workload identity pool does not take this token: see its issuer, audience and attribute condition"
      : "",
  );
  const url = file.service_account_impersonation_url;
  return url ? impersonated(url, federated.token, connection, signal) : federated;
}

async function subjectToken(
  { credential_source: source }: ExternalAccountFile,
  signal: AbortSignal | undefined,
): Promise<string> {
  const isFile = "file" in source;
  const name = isFile ? source.file : source.url.host;
  let text: string;
  if (isFile) text = await readSecretFile(source.file);
  else {
    const { url, headers = {} } = source;
    const answer = await askCloud({ method: "GET", url, headers, through: "metadata", signal });
    if (answer.status !== 200) throw new CloudError(`${name} gives no token (${answer.status})`);
    ({ text } = answer);
  }
  const { format } = source;
  const value =
    format?.type === "json"
      ? parseObject(new TextEncoder().encode(text))?.[format.subject_token_field_name]
      : text.trim();
  const token = headerValue(value);
  if (token !== undefined) return token;
  throw new CloudError(`${name} has no token in the format that credential_source says`);
}

/** A token of a service account that the federated identity may act as. */
async function impersonated(
  url: URL,
  token: string,
  connection: CloudConnection,
  signal: AbortSignal | undefined,
): Promise<AccessToken> {
  const response = await askCloud({
    method: "POST",
    url,
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ scope: [SCOPE], lifetime: "3600s" }),
    through: connection,
    signal,
  });
  const { host, status, headers } = response;
  const object = jsonOf(response);
  if (status !== 200) {
    const error = object["error"];
    const code = typeof error === "object" && error && "status" in error ? error.status : "";
    const advice =
      status === 403 ? ": the identity needs roles/iam.workloadIdentityUser on the account" : "";
    throw new CloudError(`${host} gives no token (${shownCode(code) || status})${advice}`);
  }
  const issued = headerValue(object["accessToken"]);
  const until = Date.parse(String(object["expireTime"]));
  if (issued === undefined || Number.isNaN(until)) {
    throw new CloudError(`${host} sent no accessToken with expireTime`);
  }
  // By their clock, where that is known.
  const now = Date.parse(headers.get("date") ?? "");
  return { token: issued, lifetime: until - (Number.isNaN(now) ? Date.now() : now) };
}
