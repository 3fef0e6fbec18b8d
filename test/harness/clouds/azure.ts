import { randomUUID } from "node:crypto";
import { claimsOf, CloudStandIn, projectedToken } from "./stand-in.ts";

const RESOURCE = "https://containerregistry.azure.net";
const MANAGED = "/metadata/identity/oauth2/token";
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Azure: the metadata of a machine, App Service's identities and Microsoft Entra, at one address. */
export class AzureStandIn extends CloudStandIn {
  static readonly tenantId = "11111111-2222-3333-4444-555555555555";
  static readonly clientId = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
  /** What App Service gives a container to be recognised by. */
  readonly identityHeader = randomUUID();
  readonly secret = `s~${randomUUID()}`;
  readonly #tokens = new Set<string>();

  /** Whether it has issued a token for registries. */
  hasIssued(token: string): boolean {
    return this.#tokens.has(token);
  }

  protected answer(request: Request, body: string): Response {
    const { pathname, searchParams } = new URL(request.url);
    const { headers, method } = request;
    if (pathname === MANAGED && method === "GET") {
      if (headers.get("metadata") !== "true") return refuse("invalid_request");
      if (headers.has("x-forwarded-for")) return refuse("invalid_request");
      return this.#managed(searchParams, "2018-02-01");
    }
    if (pathname === "/msi/token" && method === "GET") {
      if (headers.get("x-identity-header") !== this.identityHeader) {
        return refuse("unauthorized", 401);
      }
      return this.#managed(searchParams, "2019-08-01");
    }
    if (pathname === `/${AzureStandIn.tenantId}/oauth2/v2.0/token` && method === "POST") {
      return this.#application(new URLSearchParams(body));
    }
    return new Response("", { status: 404 });
  }

  #managed(query: URLSearchParams, version: string): Response {
    if (query.get("api-version") !== version) return refuse("bad_request");
    if (query.get("resource") !== RESOURCE) return refuse("invalid_resource");
    const clientId = query.get("client_id");
    if (clientId !== null && clientId !== AzureStandIn.clientId) return refuse("invalid_request");
    // Both write numbers as text, and App Service says only when the token ends.
    const expires_on = String(Math.floor(Date.now() / 1000) + 86_399);
    const more = version === "2018-02-01" ? { expires_in: "86399" } : {};
    return Response.json({ ...this.#issue(), ...more, expires_on, resource: RESOURCE });
  }

  #application(form: URLSearchParams): Response {
    if (form.get("grant_type") !== "client_credentials") return refuse("unsupported_grant_type");
    if (form.get("scope") !== `${RESOURCE}/.default`) return refuse("invalid_scope");
    if (form.get("client_id") !== AzureStandIn.clientId) {
      return refuse("unauthorized_client", 400, "AADSTS700016: no such application");
    }
    const secret = form.get("client_secret");
    if (secret !== null) {
      if (secret !== this.secret) return refuse("invalid_client", 401, "AADSTS7000215: no");
    } else {
      if (form.get("client_assertion_type") !== ASSERTION) return refuse("invalid_request");
      const { aud, exp } = claimsOf(form.get("client_assertion") ?? "");
      if (aud !== "api://AzureADTokenExchange") {
        return refuse("invalid_client", 401, "AADSTS700212: no matching audience");
      }
      if (typeof exp !== "number" || exp * 1000 < Date.now()) {
        return refuse("invalid_client", 401, "AADSTS700024: not within its valid time range");
      }
    }
    return Response.json({ ...this.#issue(), expires_in: 3599 });
  }

  #issue() {
    const access_token = projectedToken({ aud: RESOURCE, jti: randomUUID() });
    this.#tokens.add(access_token);
    return { access_token, token_type: "Bearer" };
  }
}

function refuse(error: string, status = 400, error_description = "no"): Response {
  return Response.json({ error, error_description }, { status });
}
