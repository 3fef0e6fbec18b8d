import { randomUUID } from "node:crypto";
import type { AzureStandIn } from "./azure.ts";
import { CloudStandIn, projectedToken } from "./stand-in.ts";

export interface AcrStandInOptions {
  readonly azure: AzureStandIn;
  /** The registry's name at Azure. */
  readonly registry: string;
  readonly tenantId?: string;
  /** The registry behind it, and what it accepts: the header of who may pull. */
  readonly behind?: { readonly url: string; authorization(repository: string): string };
}

/** The token endpoints of an Azure Container Registry, in front of another registry. */
export class AcrStandIn extends CloudStandIn {
  /** How long refresh tokens are valid, in seconds. */
  lifetime = 3 * 3600;
  readonly #options: AcrStandInOptions;
  readonly #refresh = new Set<string>();
  readonly #access = new Map<string, string>();

  constructor(options: AcrStandInOptions) {
    super();
    this.#options = options;
  }

  /** Takes back all tokens. */
  revoke(): void {
    this.#refresh.clear();
    this.#access.clear();
  }

  protected answer(request: Request, body: string): Response | Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/oauth2/exchange" && request.method === "POST") {
      return this.#exchange(new URLSearchParams(body));
    }
    if (pathname === "/oauth2/token" && request.method === "GET") {
      return this.#token(request, searchParams);
    }
    return this.#pull(request);
  }

  #exchange(form: URLSearchParams): Response {
    const { azure, registry, tenantId } = this.#options;
    const tenant = form.get("tenant") ?? undefined;
    const isAsked =
      form.get("grant_type") === "access_token" &&
      form.get("service") === registry &&
      (tenant === undefined || tenant === tenantId);
    if (!isAsked || !azure.hasIssued(form.get("access_token") ?? "")) {
      const errors = [{ code: "UNAUTHORIZED", message: "authentication required" }];
      return Response.json({ errors }, { status: 401 });
    }
    const now = Math.floor(Date.now() / 1000);
    const token = projectedToken({
      jti: randomUUID(),
      aud: registry,
      iat: now,
      exp: now + this.lifetime,
      grant_type: "refresh_token",
    });
    this.#refresh.add(token);
    return Response.json({ refresh_token: token });
  }

  #token({ headers }: Request, query: URLSearchParams): Response {
    const encoded = /^Basic (.+)$/.exec(headers.get("authorization") ?? "")?.[1] ?? "";
    const [user, ...rest] = Buffer.from(encoded, "base64").toString().split(":");
    const isKnown =
      user === "00000000-0000-0000-0000-000000000000" && this.#refresh.has(rest.join(":"));
    if (!isKnown || query.get("service") !== this.#options.registry) {
      return Response.json({ errors: [{ code: "UNAUTHORIZED" }] }, { status: 401 });
    }
    const repository = /^repository:(.+):pull$/.exec(query.get("scope") ?? "")?.[1] ?? "";
    const token = randomUUID();
    this.#access.set(token, repository);
    return Response.json({ access_token: token });
  }

  async #pull({ headers, method, url }: Request): Promise<Response> {
    const bearer = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1] ?? "";
    const repository = this.#access.get(bearer);
    const { pathname } = new URL(url);
    const { behind, registry } = this.#options;
    if (!behind || repository === undefined || !pathname.startsWith(`/v2/${repository}/`)) {
      const challenge = `Bearer realm="${this.url}/oauth2/token",service="${registry}"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }
    return fetch(`${behind.url}${pathname}`, {
      method,
      headers: {
        accept: headers.get("accept") ?? "*/*",
        authorization: behind.authorization(repository),
      },
    });
  }
}
