import { afterAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { AcrStandIn } from "../../../../test/harness/clouds/acr.ts";
import { AzureStandIn } from "../../../../test/harness/clouds/azure.ts";
import { failureOf, projectedToken } from "../../../../test/harness/clouds/stand-in.ts";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { azureRegistry } from "../../../config/cloud/azure-registry.ts";
import type { AzureCredentials } from "../../../config/cloud/cloud-credentials.ts";
import { issuedToken } from "../issued-credentials.ts";

const REGISTRY = "example.azurecr.io";
const { tenantId, clientId } = AzureStandIn;
const dir = await tempDir("azure");
afterAll(() => dir[Symbol.asyncDispose]());

async function setUp() {
  const azure = new AzureStandIn();
  const acr = new AcrStandIn({ azure, registry: REGISTRY, tenantId });
  return {
    azure,
    acr,
    source(env: Record<string, string>, more: object = {}): AzureCredentials {
      const all = { AZURE_POD_IDENTITY_AUTHORITY_HOST: azure.url, AZURE_AUTHORITY_HOST: azure.url };
      const context = {
        host: "127.0.0.1",
        url: new URL(acr.url),
        env: { ...all, ...env },
        readFile: () => "",
        hasFile: () => false,
      };
      const entry = { registry: REGISTRY, ...more };
      return { ...azureRegistry(entry, context), connection: {}, from: "entrepot.yaml:1:1" };
    },
    async [Symbol.asyncDispose]() {
      await azure[Symbol.asyncDispose]();
      await acr[Symbol.asyncDispose]();
    },
  };
}

async function federated(claims: object): Promise<Record<string, string>> {
  const file = dir.file(Bun.randomUUIDv7());
  await writeFile(file, projectedToken(claims));
  return {
    AZURE_FEDERATED_TOKEN_FILE: file,
    AZURE_CLIENT_ID: clientId,
    AZURE_TENANT_ID: tenantId,
  };
}

const soon = () => Math.floor(Date.now() / 1000) + 3600;

const IDENTITIES: Readonly<
  Record<string, (azure: AzureStandIn) => Promise<Record<string, string>> | Record<string, string>>
> = {
  "the machine's managed identity": () => ({}),
  "one of its managed identities": () => ({ AZURE_CLIENT_ID: clientId }),
  "the managed identity of a container": (azure) => ({
    IDENTITY_ENDPOINT: `${azure.url}/msi/token`,
    IDENTITY_HEADER: azure.identityHeader,
  }),
  "a workload identity": () => federated({ aud: "api://AzureADTokenExchange", exp: soon() }),
  "an application with a secret": (azure) => ({
    AZURE_CLIENT_SECRET: azure.secret,
    AZURE_CLIENT_ID: clientId,
    AZURE_TENANT_ID: tenantId,
  }),
};

test.each(Object.keys(IDENTITIES))("a registry's token is issued to %s", async (name) => {
  await using at = await setUp();
  const source = at.source((await IDENTITIES[name]?.(at.azure)) ?? {});
  const { username, password, lifetime } = await issuedToken(source);
  expect(username).toBe("00000000-0000-0000-0000-000000000000");
  expect(lifetime).toBe(3 * 3_600_000);
  const challenged = await fetch(`${at.acr.url}/v2/app/manifests/1`);
  expect(challenged.headers.get("www-authenticate")).toContain("/oauth2/token");
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  const query = `service=${REGISTRY}&scope=repository:app:pull`;
  const token = await fetch(`${at.acr.url}/oauth2/token?${query}`, { headers: { authorization } });
  expect(token.status).toBe(200);
});

const exchange = (answer: () => Response) => (request: Request) =>
  new URL(request.url).pathname === "/oauth2/exchange" ? answer() : undefined;

test.each<[string, () => Response]>([
  [
    "exchanges no token (UNAUTHORIZED): the identity needs the role AcrPull",
    () => Response.json({ errors: [{ code: "UNAUTHORIZED", message: "secret" }] }, { status: 401 }),
  ],
  [
    "exchanges no token (404): this is no Azure Container Registry",
    () => new Response("secret", { status: 404 }),
  ],
  ["sent no refresh_token", () => Response.json({ refresh_token: "" })],
  ["sent something other than a JSON object (200)", () => new Response("secret")],
  ["redirects (302), which is not followed", () => Response.redirect("http://127.0.0.1:1/", 302)],
])("a registry that %s", async (message, answer) => {
  await using at = await setUp();
  at.acr.fails(exchange(answer));
  const error = await failureOf(issuedToken(at.source({}), 500));
  expect(error).toContain(`CloudError: ${at.acr.host} ${message}`);
  expect(error).not.toContain("secret");
});

test("a machine without the identity that was chosen is told", async () => {
  await using at = await setUp();
  expect(await failureOf(issuedToken(at.source({}, { clientId: "another" })))).toContain(
    "(invalid_request): this machine has no managed identity with the client ID another",
  );
});

test.each([
  [{ aud: "another", exp: soon() }, "(AADSTS700212): see the federated identity credential"],
  [
    { aud: "api://AzureADTokenExchange", exp: 1000 },
    "(AADSTS700024): the token's file is no longer renewed",
  ],
])("a workload's token with %j is told", async (claims, message) => {
  await using at = await setUp();
  expect(await failureOf(issuedToken(at.source(await federated(claims))))).toContain(message);
});
