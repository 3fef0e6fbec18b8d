import type { AzureIdentity } from "../../../config/cloud/cloud-credentials.ts";
import { askCloud, type CloudConnection } from "../cloud-request.ts";
import { type AccessToken, tokenOf } from "../oauth-token.ts";
import { readSecretLine } from "../secret-file.ts";

/** Of container registries, in all of Azure's clouds. */
const RESOURCE = "https://containerregistry.azure.net";
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

type Application = Extract<AzureIdentity, { readonly tenantId: string }>;

/**
 * A token of Microsoft Entra for container registries, of the identity that this machine or workload has.
 *
 * @throws CloudError
 */
export async function entraToken(
  identity: AzureIdentity,
  connection: CloudConnection,
  signal?: AbortSignal,
): Promise<AccessToken> {
  switch (identity.kind) {
    case "instance":
      return managedToken(
        new URL("/metadata/identity/oauth2/token", identity.url),
        { version: "2018-02-01", headers: { metadata: "true" }, clientId: identity.clientId },
        signal,
      );
    case "service":
      return managedToken(
        new URL(identity.url),
        {
          version: "2019-08-01",
          headers: { "x-identity-header": identity.header },
          clientId: identity.clientId,
        },
        signal,
      );
    case "federated":
      return applicationToken(
        identity,
        {
          client_assertion_type: ASSERTION,
          client_assertion: await readSecretLine(identity.tokenFile),
        },
        connection,
        signal,
      );
    case "secret":
      return applicationToken(identity, { client_secret: identity.secret }, connection, signal);
  }
}

async function managedToken(
  url: URL,
  {
    version,
    headers,
    clientId,
  }: {
    readonly version: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly clientId: string | undefined;
  },
  signal: AbortSignal | undefined,
): Promise<AccessToken> {
  url.searchParams.set("api-version", version);
  url.searchParams.set("resource", RESOURCE);
  if (clientId !== undefined) url.searchParams.set("client_id", clientId);
  const response = await askCloud({
    method: "GET",
    url,
    headers,
    through: "metadata",
    signal,
    hint: "outside of Azure, set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE",
  });
  return tokenOf(response, (code) =>
    code === "invalid_request" || code === "AADSTS70002"
      ? clientId === undefined
        ? ": this machine has no managed identity, or several: set clientId"
        : `: this machine has no managed identity with the client ID ${clientId}`
      : "",
  );
}

async function applicationToken(
  { authority, tenantId, clientId }: Application,
  proof: Readonly<Record<string, string>>,
  connection: CloudConnection,
  signal: AbortSignal | undefined,
): Promise<AccessToken> {
  const response = await askCloud({
    method: "POST",
    url: new URL(`/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`, authority),
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      scope: `${RESOURCE}/.default`,
      ...proof,
    }).toString(),
    through: connection,
    signal,
  });
  return tokenOf(response, (code) => ADVICE[code] ?? "");
}

const FEDERATION =
  ": see the federated identity credential of the application: its issuer, subject (system:serviceaccount:NAMESPACE:NAME) and audience (api://AzureADTokenExchange)";

const ADVICE: Readonly<Record<string, string>> = {
  AADSTS70021: FEDERATION,
  AADSTS700213: FEDERATION,
  AADSTS700211: FEDERATION,
  AADSTS700212: FEDERATION,
  AADSTS700024: ": the token's file is no longer renewed, or the clock of this machine is wrong",
  AADSTS700016: ": the tenant has no application with this client ID",
  AADSTS90002: ": there is no such tenant",
  AADSTS7000215: ": the secret is wrong",
  AADSTS7000222: ": the secret has expired",
};
