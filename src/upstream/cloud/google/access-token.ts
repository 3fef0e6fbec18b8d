import type { GoogleCredentials } from "../../../config/cloud/cloud-credentials.ts";
import { parseGoogleFile } from "../../../config/cloud/google-file.ts";
import { CloudError } from "../cloud-error.ts";
import { askCloud, type CloudConnection } from "../cloud-request.ts";
import type { IssuedToken } from "../issued-token.ts";
import { type AccessToken, tokenOf } from "../oauth-token.ts";
import { readSecretFile } from "../secret-file.ts";
import { externalAccountToken } from "./external-account.ts";
import { serviceAccountToken } from "./service-account.ts";

/** The user of access tokens, which Artifact Registry documents. */
const USERNAME = "oauth2accesstoken";
const TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token";

/**
 * An access token of Google, which its registries take as a password.
 *
 * @throws CloudError
 */
export async function googleToken(
  { identity, connection }: GoogleCredentials,
  signal?: AbortSignal,
): Promise<IssuedToken> {
  const { token, lifetime } =
    identity.kind === "metadata"
      ? await metadataToken(identity.url, signal)
      : await fileToken(identity.file, connection, signal);
  return { username: USERNAME, password: token, lifetime };
}

async function metadataToken(server: URL, signal: AbortSignal | undefined): Promise<AccessToken> {
  const response = await askCloud({
    method: "GET",
    url: new URL(TOKEN, server),
    headers: { "metadata-flavor": "Google" },
    through: "metadata",
    signal,
    hint: "outside of Google Cloud, set GOOGLE_APPLICATION_CREDENTIALS",
  });
  const { host, status, headers } = response;
  if (headers.get("metadata-flavor") !== "Google") {
    throw new CloudError(`${host} is not Google's metadata server: it sends no Metadata-Flavor`);
  }
  if (status !== 200) {
    const advice =
      status === 404
        ? ": this machine has no service account"
        : status === 403
          ? ": see the service account of this pod, and who may use it (roles/iam.workloadIdentityUser)"
          : "";
    throw new CloudError(`${host} gives no token (${status})${advice}`);
  }
  return tokenOf(response);
}

async function fileToken(
  file: string,
  connection: CloudConnection,
  signal: AbortSignal | undefined,
): Promise<AccessToken> {
  const parsed = parseGoogleFile(await readSecretFile(file));
  if (typeof parsed === "string") throw new CloudError(`${file} ${parsed}`);
  return parsed.type === "service_account"
    ? serviceAccountToken(parsed, file, connection, signal)
    : externalAccountToken(parsed, connection, signal);
}
