import { decodeJwt } from "jose";
import type { AzureCredentials } from "../../../config/cloud/cloud-credentials.ts";
import { parseObject } from "../../../oci/json-object.ts";
import { CloudError, shownCode } from "../cloud-error.ts";
import { askCloud, type CloudResponse, headerValue, jsonOf } from "../cloud-request.ts";
import type { IssuedToken } from "../issued-token.ts";
import { entraToken } from "./entra-token.ts";

/** The user of refresh tokens, which Azure documents for `docker login`. */
const USERNAME = "00000000-0000-0000-0000-000000000000";
/** Of a refresh token that does not say how long it is valid: three hours are usual. In milliseconds. */
const UNKNOWN_LIFETIME = 3_600_000;

/**
 * A refresh token of Azure Container Registry, which it exchanges for a token of Microsoft Entra.
 *
 * @throws CloudError
 */
export async function acrToken(
  { registry, exchange, identity, connection }: AzureCredentials,
  signal?: AbortSignal,
): Promise<IssuedToken> {
  const { token } = await entraToken(identity, connection, signal);
  const tenant = "tenantId" in identity ? { tenant: identity.tenantId } : {};
  const response = await askCloud({
    method: "POST",
    url: exchange,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "access_token",
      service: registry,
      ...tenant,
      access_token: token,
    }).toString(),
    through: connection,
    signal,
  });
  if (response.status !== 200) throw refused(response);
  const password = headerValue(jsonOf(response)["refresh_token"]);
  if (password === undefined) throw new CloudError(`${response.host} sent no refresh_token`);
  return { username: USERNAME, password, lifetime: lifetimeOf(password) };
}

function refused({ host, status, text }: CloudResponse): CloudError {
  const errors = parseObject(new TextEncoder().encode(text))?.["errors"];
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const code = typeof first === "object" && first && "code" in first ? first.code : "";
  const advice =
    status === 401 || status === 403
      ? ": the identity needs the role AcrPull (or Container Registry Repository Reader) on the registry, and its tenant must be that of the registry"
      : status === 404
        ? ": this is no Azure Container Registry"
        : "";
  return new CloudError(`${host} exchanges no token (${shownCode(code) || status})${advice}`);
}

/** From its own claims, so that a wrong clock here does not matter. */
function lifetimeOf(token: string): number {
  try {
    const { iat, exp } = decodeJwt(token);
    return iat !== undefined && exp !== undefined && exp > iat
      ? (exp - iat) * 1000
      : UNKNOWN_LIFETIME;
  } catch {
    return UNKNOWN_LIFETIME;
  }
}
