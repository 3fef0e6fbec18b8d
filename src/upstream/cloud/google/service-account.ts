import { importPKCS8, SignJWT } from "jose";
import type { ServiceAccountFile } from "../../../config/cloud/google-file.ts";
import { CloudError } from "../cloud-error.ts";
import { askCloud, type CloudConnection } from "../cloud-request.ts";
import { type AccessToken, tokenOf } from "../oauth-token.ts";
import { SCOPE } from "./scope.ts";

/** In seconds; the most that Google grants. */
const LIFETIME = 3600;

/**
 * An access token for a service account's key (RFC 7523 section 2.1).
 *
 * @param name of the key's file, for messages
 * @throws CloudError
 */
export async function serviceAccountToken(
  file: ServiceAccountFile,
  name: string,
  connection: CloudConnection,
  signal?: AbortSignal,
): Promise<AccessToken> {
  const { client_email: email, private_key: key, private_key_id: id, token_uri: url } = file;
  const now = Math.floor(Date.now() / 1000);
  let assertion: string;
  try {
    assertion = await new SignJWT({ scope: SCOPE })
      .setProtectedHeader({ alg: "RS256", typ: "JWT", ...(id === undefined ? {} : { kid: id }) })
      .setIssuer(email)
      .setAudience(url.href)
      .setIssuedAt(now)
      .setExpirationTime(now + LIFETIME)
      .sign(await importPKCS8(key, "RS256"));
  } catch (cause) {
    throw new CloudError(`${name} has a private_key that is no RSA key in PKCS#8`, { cause });
  }
  const response = await askCloud({
    method: "POST",
    url,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion,
    }).toString(),
    through: connection,
    signal,
  });
  return tokenOf(response, (code) =>
    code === "invalid_grant"
      ? `: the key of ${email} was deleted or disabled, or the clock of this machine is wrong`
      : "",
  );
}
