import { exportJWK, generateKeyPair, SignJWT } from "jose";

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

export interface TokenOptions {
  readonly kid?: string | undefined;
  readonly algorithm?: string;
  readonly key?: CryptoKey | Uint8Array;
}

/** An issuer of JSON Web Tokens, with its keys at a real HTTP server. */
export class Issuer implements AsyncDisposable {
  readonly #server: Bun.Server<undefined>;
  readonly #keys = new Map<string, KeyPair>();
  /** Paths that were asked for, with the token that was sent. */
  readonly requests: { path: string; authorization: string | null }[] = [];
  /** Replaces the answer. */
  answer: ((path: string) => Response | Promise<Response> | undefined) | undefined;

  private constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        const authorization = request.headers.get("authorization");
        this.requests.push({ path: pathname, authorization });
        return (await this.answer?.(pathname)) ?? this.respond(pathname);
      },
    });
  }

  static async open(): Promise<Issuer> {
    const issuer = new Issuer();
    await issuer.addKey("first");
    return issuer;
  }

  get url(): string {
    return this.#server.url.href.replace(/\/$/, "");
  }

  async respond(path: string): Promise<Response> {
    if (path === "/.well-known/openid-configuration") {
      return Response.json({ issuer: this.url, jwks_uri: `${this.url}/jwks` });
    }
    return path === "/jwks"
      ? Response.json(await this.keySet())
      : new Response(null, { status: 404 });
  }

  async keySet(): Promise<{ keys: object[] }> {
    const keys = [...this.#keys].map(async ([kid, { publicKey }]) =>
      Object.assign(await exportJWK(publicKey), { kid, use: "sig" }),
    );
    return { keys: await Promise.all(keys) };
  }

  async addKey(kid: string): Promise<void> {
    this.#keys.set(kid, await generateKeyPair("ES256"));
  }

  removeKey(kid: string): void {
    this.#keys.delete(kid);
  }

  /** The private key of this issuer, or of any other one. */
  keyOf(kid: string): CryptoKey {
    const pair = this.#keys.get(kid);
    if (!pair) throw new Error(`there is no key ${kid}`);
    return pair.privateKey;
  }

  /** A token that is valid for ten minutes, but for what is given. */
  async token(
    claims: Readonly<Record<string, unknown>> = {},
    { kid = "first", algorithm = "ES256", key = this.keyOf(kid) }: TokenOptions = {},
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: this.url, aud: "cache", sub: "me", exp: now + 600, ...claims };
    return new SignJWT(payload).setProtectedHeader({ alg: algorithm, kid }).sign(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
