import { createVerify, generateKeyPairSync, randomUUID } from "node:crypto";
import { claimsOf, CloudStandIn, type CloudStandInOptions } from "./stand-in.ts";

const TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const ACCOUNT = "entrepot@project.iam.gserviceaccount.com";
const IMPERSONATION = `/v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken`;

export interface GoogleStandInOptions extends CloudStandInOptions {
  /** Called with each access token, before it is sent. */
  readonly onIssued?: (user: string, token: string) => Promise<void>;
}

/** Google: the metadata server, the token endpoint, STS and the credentials of service accounts, at one address. */
export class GoogleStandIn extends CloudStandIn {
  static readonly audience =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster";
  /** How long its tokens are valid, in seconds. */
  lifetime = 3599;
  readonly #pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  readonly #federated = new Set<string>();
  readonly #options: GoogleStandInOptions;

  constructor(options: GoogleStandInOptions = {}) {
    super(options);
    this.#options = options;
  }

  /** A service account's key, as the console gives it. */
  serviceAccountFile(): object {
    return {
      type: "service_account",
      project_id: "project",
      private_key_id: "key-1",
      private_key: this.#pair.privateKey.export({ type: "pkcs8", format: "pem" }),
      client_email: ACCOUNT,
      token_uri: `${this.url}/token`,
    };
  }

  /** What `gcloud iam workload-identity-pools create-cred-config` writes. */
  externalAccountFile(source: object, { impersonates = false } = {}): object {
    return {
      type: "external_account",
      audience: GoogleStandIn.audience,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_url: `${this.url}/v1/token`,
      credential_source: source,
      ...(impersonates ? { service_account_impersonation_url: `${this.url}${IMPERSONATION}` } : {}),
    };
  }

  protected async answer(request: Request, body: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    const isPost = request.method === "POST";
    if (pathname === TOKEN) return this.#metadata(request);
    if (pathname === "/token" && isPost) return this.#grant(new URLSearchParams(body));
    if (pathname === "/v1/token" && isPost) return this.#exchange(new URLSearchParams(body));
    if (pathname === IMPERSONATION && isPost) return this.#impersonate(request, body);
    return new Response("", { status: 404, headers: { "metadata-flavor": "Google" } });
  }

  async #metadata({ headers }: Request): Promise<Response> {
    const flavor = { "metadata-flavor": "Google" };
    if (headers.get("metadata-flavor") !== "Google" || headers.has("x-forwarded-for")) {
      return new Response("", { status: 403, headers: flavor });
    }
    return Response.json(await this.#issue(), { headers: flavor });
  }

  /** RFC 7523, as developers.google.com/identity/protocols/oauth2/service-account describes it. */
  async #grant(form: URLSearchParams): Promise<Response> {
    const [head = "", claims = "", signature = ""] = (form.get("assertion") ?? "").split(".");
    const header = claimsOf(`.${head}`);
    const { iss, aud, iat, exp, scope } = claimsOf(`${head}.${claims}`);
    const now = Date.now() / 1000;
    const isTimely =
      typeof iat === "number" &&
      typeof exp === "number" &&
      exp - iat <= 3600 &&
      Math.abs(iat - now) < 300 &&
      exp > now;
    const isValid =
      form.get("grant_type") === "urn:ietf:params:oauth:grant-type:jwt-bearer" &&
      header["alg"] === "RS256" &&
      header["kid"] === "key-1" &&
      iss === ACCOUNT &&
      aud === `${this.url}/token` &&
      scope === SCOPE &&
      createVerify("RSA-SHA256")
        .update(`${head}.${claims}`)
        .verify(this.#pair.publicKey, signature, "base64url");
    if (!isTimely || !isValid) {
      return Response.json({ error: "invalid_grant", error_description: "no" }, { status: 400 });
    }
    return Response.json(await this.#issue());
  }

  async #exchange(form: URLSearchParams): Promise<Response> {
    const refuse = (error: string) => Response.json({ error }, { status: 400 });
    if (form.get("grant_type") !== "urn:ietf:params:oauth:grant-type:token-exchange") {
      return refuse("unsupported_grant_type");
    }
    const isRequest =
      form.get("requested_token_type") === "urn:ietf:params:oauth:token-type:access_token" &&
      form.get("subject_token_type") === "urn:ietf:params:oauth:token-type:jwt" &&
      form.get("scope") === SCOPE;
    if (!isRequest) return refuse("invalid_request");
    if (form.get("audience") !== GoogleStandIn.audience) return refuse("invalid_target");
    const { aud } = claimsOf(form.get("subject_token") ?? "");
    if (aud !== `https:${GoogleStandIn.audience}`) return refuse("invalid_grant");
    const issued = await this.#issue();
    this.#federated.add(issued.access_token);
    const issued_token_type = "urn:ietf:params:oauth:token-type:access_token";
    return Response.json({ issued_token_type, ...issued });
  }

  async #impersonate({ headers }: Request, body: string): Promise<Response> {
    const bearer = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1] ?? "";
    const isAsked = body === JSON.stringify({ scope: [SCOPE], lifetime: "3600s" });
    if (!this.#federated.has(bearer) || !isAsked) {
      return Response.json({ error: { code: 403, status: "PERMISSION_DENIED" } }, { status: 403 });
    }
    const { access_token: accessToken } = await this.#issue();
    const expireTime = new Date(Date.now() + this.lifetime * 1000).toISOString();
    return Response.json({ accessToken, expireTime });
  }

  async #issue() {
    const access_token = `ya29.${randomUUID()}`;
    await this.#options.onIssued?.("oauth2accesstoken", access_token);
    return { access_token, expires_in: this.lifetime, token_type: "Bearer" };
  }
}
