import type { z } from "zod";
import { type CloudContext, CloudProblem, registryHost, urlOf, wordOf } from "./cloud-context.ts";
import type { AzureCredentials, AzureIdentity } from "./cloud-credentials.ts";
import type { azureSchema } from "./cloud-schema.ts";

const HOST = /^[a-z\d-]+(?:\.[a-z\d-]+)*\.azurecr\.(?:io|cn|us|de)$/;
/** Who issues tokens in each of Azure's clouds. */
const AUTHORITIES: Readonly<Record<string, string>> = {
  cn: "https://login.chinacloudapi.cn/",
  us: "https://login.microsoftonline.us/",
  de: "https://login.microsoftonline.de/",
};
const PUBLIC_AUTHORITY = "https://login.microsoftonline.com/";
const INSTANCE = "http://169.254.169.254/";

/** @throws CloudProblem */
export function azureRegistry(
  entry: z.infer<typeof azureSchema>,
  context: CloudContext & { readonly url: URL },
): Omit<AzureCredentials, "connection" | "from"> {
  const registry = registryHost(entry, context, {
    isKnown: (name) => HOST.test(name),
    example: "example.azurecr.io",
  });
  const exchange = new URL("/oauth2/exchange", context.url.origin);
  return { cloud: "azure", registry, exchange, identity: azureIdentity(entry, registry, context) };
}

/** Whom Azure takes this process for: a workload, an application, the container, the machine. */
function azureIdentity(
  entry: z.infer<typeof azureSchema>,
  registry: string,
  { env, readFile }: CloudContext,
): AzureIdentity {
  const clientId = entry.clientId ?? (env["AZURE_CLIENT_ID"] || undefined);
  const tenantId = entry.tenantId ?? (env["AZURE_TENANT_ID"] || undefined);
  const tokenFile = env["AZURE_FEDERATED_TOKEN_FILE"];
  const secret = env["AZURE_CLIENT_SECRET"];
  if (tokenFile || secret) {
    const variable = tokenFile ? "AZURE_FEDERATED_TOKEN_FILE" : "AZURE_CLIENT_SECRET";
    if (clientId === undefined || tenantId === undefined) {
      throw new CloudProblem(
        `needs AZURE_CLIENT_ID and AZURE_TENANT_ID (or clientId and tenantId) beside ${variable}`,
      );
    }
    if (!/^[\w.-]+$/.test(tenantId)) throw new CloudProblem("has a tenantId that is none");
    const usual = AUTHORITIES[registry.slice(registry.lastIndexOf(".") + 1)] ?? PUBLIC_AUTHORITY;
    const authority = urlOf(env, "AZURE_AUTHORITY_HOST") ?? new URL(usual);
    const application = { authority, tenantId, clientId };
    if (!tokenFile) return { kind: "secret", ...application, secret: secret ?? "" };
    readFile(tokenFile);
    return { kind: "federated", ...application, tokenFile };
  }
  const chosen = clientId === undefined ? {} : { clientId };
  const service = urlOf(env, "IDENTITY_ENDPOINT");
  const header = wordOf(env, "IDENTITY_HEADER");
  if (service && header) return { kind: "service", url: service, header, ...chosen };
  const url = urlOf(env, "AZURE_POD_IDENTITY_AUTHORITY_HOST") ?? new URL(INSTANCE);
  return { kind: "instance", url, ...chosen };
}
