import { createHash, createPublicKey, randomUUID, sign } from "node:crypto";
import { type Certificate, makeCertificate } from "../services/certificates.ts";
import { tempDir } from "../temp-dir.ts";

/** The `auth.token` section of docker-registry's configuration. */
export interface TokenAuth {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  readonly rootcertbundle: string;
}

export interface TokenIssuerOptions {
  /** How long docker-registry accepts a token, in seconds; default 300, as at Docker Hub. */
  readonly ttl?: number;
  /** Whether clients without credentials may pull; default true. */
  readonly anonymous?: boolean;
  /** Passwords by user name, or what tells them; these users may pull and push. */
  readonly users?: Readonly<Record<string, string>> | ((name: string) => string | undefined);
  /** The actions that a user may perform in a repository; replaces the two rules above. */
  readonly grants?: (user: string | undefined, repository: string) => readonly string[];
  /** The JSON field that carries the token; registries use both. */
  readonly field?: "token" | "access_token";
  /**
   * An address of this machine, for a realm on a host other than the registry's; default 127.0.0.1.
   */
  readonly host?: string;
  /** Called with each request, once its response is known. */
  readonly onRequest?: (request: TokenRequest) => void;
}

export interface TokenRequest {
  readonly method: string;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  readonly authorization: string | undefined;
  readonly agent: string;
  readonly status: number;
}

const SERVICE = "registry.test";
const ISSUER = "issuer.test";
/**
 * docker-registry accepts a token for this long after its expiry (registry/auth/token/token.go).
 */
const LEEWAY_SECONDS = 60;

/** A token server like Docker Hub's, whose tokens docker-registry 2.8 accepts. */
export class TokenIssuer implements AsyncDisposable {
  readonly #certificate: Certificate;
  readonly #keyId: string;
  readonly #options: TokenIssuerOptions;
  readonly #server: Bun.Server<undefined>;
  readonly #close: () => Promise<void>;
  #requests: TokenRequest[] = [];
  #failureStatus: number | undefined;

  constructor(certificate: Certificate, options: TokenIssuerOptions, close: () => Promise<void>) {
    this.#certificate = certificate;
    this.#keyId = fingerprint(certificate.certificate);
    this.#options = options;
    this.#close = close;
    this.#server = Bun.serve({
      hostname: options.host ?? "127.0.0.1",
      port: 0,
      fetch: (request) => this.#respond(request),
    });
  }

  get realm(): string {
    return `http://${this.#options.host ?? "127.0.0.1"}:${this.#server.port}/token`;
  }

  /** For `startDockerRegistry({ auth: issuer.auth })`. */
  get auth(): TokenAuth {
    const rootcertbundle = this.#certificate.certificateFile;
    return { realm: this.realm, service: SERVICE, issuer: ISSUER, rootcertbundle };
  }

  get requests(): readonly TokenRequest[] {
    return this.#requests;
  }

  forget(): void {
    this.#requests = [];
  }

  /** Responds to every request with this status; `undefined` restores normal operation. */
  failWith(status: number | undefined): void {
    this.#failureStatus = status;
  }

  /** An Authorization header with a token for these actions, made without an HTTP request. */
  authorization(repository: string, actions: readonly string[] = ["pull", "push"]): string {
    return `Bearer ${this.#token("test", [{ type: "repository", name: repository, actions }])}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
    await this.#close();
  }

  #respond(request: Request): Response {
    const { searchParams } = new URL(request.url);
    const authorization = request.headers.get("authorization") ?? undefined;
    // Multiple scopes are repeated parameters or, from some clients, one parameter with spaces.
    const scopes = searchParams.getAll("scope").flatMap((scope) => scope.split(" "));
    const response = this.#decide(request.method, authorization, scopes);
    const asked = {
      method: request.method,
      service: searchParams.get("service") ?? undefined,
      scopes,
      authorization,
      agent: request.headers.get("user-agent") ?? "",
      status: response.status,
    };
    this.#requests.push(asked);
    this.#options.onRequest?.(asked);
    return response;
  }

  #decide(method: string, authorization: string | undefined, scopes: readonly string[]): Response {
    if (this.#failureStatus !== undefined) return errorResponse(this.#failureStatus, "set to fail");
    // containerd tries a POST (OAuth 2.0) first, and falls back to GET on this status.
    if (method !== "GET") return errorResponse(405, "only GET");
    const user = authorization === undefined ? undefined : this.#user(authorization);
    if (authorization !== undefined && user === undefined)
      return errorResponse(401, "incorrect username or password");
    const access = scopes.flatMap((scope) => {
      const [, type = "", name = "", requested = ""] = /^([^:]+):(.+):([^:]*)$/.exec(scope) ?? [];
      if (type !== "repository") return [];
      const granted = this.#grants(user, name);
      return [{ type, name, actions: requested.split(",").filter((one) => granted.includes(one)) }];
    });
    const { ttl = 300, field = "token" } = this.#options;
    return Response.json({
      [field]: this.#token(user ?? "", access),
      expires_in: ttl,
      issued_at: new Date().toISOString(),
    });
  }

  #user(authorization: string): string | undefined {
    const encoded = /^Basic (.+)$/i.exec(authorization)?.[1] ?? "";
    const [, name = "", password] = /^([^:]*):(.*)$/s.exec(atob(encoded)) ?? [];
    const { users } = this.#options;
    const expected = typeof users === "function" ? users(name) : users?.[name];
    return password !== undefined && expected === password ? name : undefined;
  }

  #grants(user: string | undefined, repository: string): readonly string[] {
    const { grants, anonymous = true } = this.#options;
    if (grants) return grants(user, repository);
    if (user !== undefined) return ["pull", "push"];
    return anonymous ? ["pull"] : [];
  }

  #token(subject: string, access: readonly object[]): string {
    const now = Math.floor(Date.now() / 1000);
    const header = { typ: "JWT", alg: "RS256", kid: this.#keyId };
    const claims = {
      iss: ISSUER,
      sub: subject,
      aud: SERVICE,
      exp: now + (this.#options.ttl ?? 300) - LEEWAY_SECONDS,
      nbf: now - 2 * LEEWAY_SECONDS,
      iat: now - 2 * LEEWAY_SECONDS,
      jti: randomUUID(),
      access,
    };
    const unsigned = [header, claims].map((part) => base64url(JSON.stringify(part))).join(".");
    const signature = sign("RSA-SHA256", Buffer.from(unsigned), this.#certificate.key);
    return `${unsigned}.${signature.toString("base64url")}`;
  }
}

export async function startTokenIssuer(options: TokenIssuerOptions = {}): Promise<TokenIssuer> {
  const dir = await tempDir("issuer");
  const certificate = await makeCertificate(dir);
  return new TokenIssuer(certificate, options, () => dir[Symbol.asyncDispose]());
}

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}

function errorResponse(status: number, details: string): Response {
  return Response.json({ details }, { status });
}

/**
 * The key ID in libtrust's format: 240 bits of the public key's SHA-256 in Base32, in twelve groups
 * of four. docker-registry 2.8 finds the certificate in its bundle by this ID.
 */
function fingerprint(certificate: string): string {
  const der = createPublicKey(certificate).export({ type: "spki", format: "der" });
  const bytes = createHash("sha256").update(der).digest().subarray(0, 30);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const letters = bits.replaceAll(/.{5}/g, (five) => alphabet.charAt(Number.parseInt(five, 2)));
  return letters.replaceAll(/.{4}(?=.)/g, "$&:");
}
