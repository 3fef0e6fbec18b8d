import { unauthorized } from "../faults/faults.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./scripted-upstream.ts";
import type { UpstreamRequest } from "./upstream-request.ts";

/** The Authorization header of a user whose password is derived from the name. */
export function basicOf(user: string, password = `${user}-password`): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** What a registry was asked, and as whom; `-` for nobody. */
export interface AskedAs {
  readonly user: string;
  readonly method: string;
  readonly path: string;
}

export interface PrivateRegistryOptions {
  /** Whether it refuses users that it knows with 404 rather than 403, as some registries do. */
  readonly hides?: boolean;
  /**
   * Whether it wants tokens (distribution's token specification), which say what was granted when they were
   * given, and for how long they are good, in milliseconds; by default, it takes Basic credentials.
   */
  readonly tokens?: { readonly lifetime: number };
}

/** What a token says. It is not signed: no client of the tests makes one. */
interface TokenClaims {
  readonly user: string | undefined;
  readonly repository: string;
  readonly isGranted: boolean;
  readonly until: number;
}

/**
 * A registry whose users may pull what they are granted, in memory, with Basic authentication. Faults are
 * injected through `upstream`, in front of the decision.
 */
export class PrivateRegistry implements AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly #options: PrivateRegistryOptions;
  readonly #public = new Set<string>();
  readonly #grants = new Map<string, Set<string>>();
  readonly #asked: AskedAs[] = [];
  #fault: Parameters<ScriptedUpstream["respond"]>[0];

  constructor(upstream: ScriptedUpstream, options: PrivateRegistryOptions) {
    this.upstream = upstream;
    this.#options = options;
    upstream.respond(async (request) => (await this.#fault?.(request)) ?? this.#decide(request));
  }

  /** Shows a repository to anybody, or no longer. */
  publish(repository: string, isPublic = true): void {
    if (isPublic) this.#public.add(repository);
    else this.#public.delete(repository);
  }

  grant(user: string, ...repositories: readonly string[]): void {
    const granted = this.#grants.get(user) ?? new Set();
    for (const repository of repositories) granted.add(repository);
    this.#grants.set(user, granted);
  }

  revoke(user: string, repository: string): void {
    this.#grants.get(user)?.delete(repository);
  }

  /** Injects faults; without an argument, none. */
  fails(rule?: Parameters<ScriptedUpstream["respond"]>[0]): void {
    this.#fault = rule;
  }

  /** What it was asked since the last call. */
  takeAsked(): AskedAs[] {
    return this.#asked.splice(0);
  }

  mayPull(user: string | undefined, repository: string): boolean {
    if (this.#public.has(repository)) return true;
    return user !== undefined && this.#grants.get(user)?.has(repository) === true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.upstream[Symbol.asyncDispose]();
  }

  #decide(request: UpstreamRequest) {
    const { method, path, headers, repository, kind } = request;
    if (this.#options.tokens) return this.#decideByToken(request, this.#options.tokens.lifetime);
    const header = headers.get("authorization");
    const user = this.#userOf(header);
    this.#asked.push({ user: user ?? (header === null ? "-" : "?"), method, path });
    if (kind === "ping" && user === undefined) return unauthorized('Basic realm="private"');
    if (kind === "ping" || this.mayPull(user, repository)) return undefined;
    if (user === undefined) return unauthorized('Basic realm="private"');
    return this.#refusal();
  }

  #decideByToken({ method, path, headers, query, repository }: UpstreamRequest, lifetime: number) {
    const header = headers.get("authorization");
    if (path === "/token") {
      const user = this.#userOf(header);
      this.#asked.push({ user: user ?? (header === null ? "-" : "?"), method, path });
      if (header !== null && user === undefined) return unauthorized('Basic realm="tokens"');
      const [, asked = ""] = /^repository:(.+):pull$/.exec(query.get("scope") ?? "") ?? [];
      const isGranted = this.mayPull(user, asked);
      const claims = { user, repository: asked, isGranted, until: Date.now() + lifetime };
      return jsonAnswer({ token: tokenOf(claims), expires_in: Math.ceil(lifetime / 1000) });
    }
    const claims = header?.startsWith("Bearer ") ? claimsOf(header.slice(7)) : undefined;
    this.#asked.push({ user: claims?.user ?? "-", method, path });
    const isValid = claims && claims.until > Date.now() && claims.repository === repository;
    if (isValid && claims.isGranted) return undefined;
    if (isValid && this.#options.hides) return this.#refusal();
    return unauthorized(`Bearer realm="${this.upstream.url}/token",service="private"`);
  }

  #refusal() {
    return { status: this.#options.hides ? 404 : 403, body: "" };
  }

  #userOf(header: string | null): string | undefined {
    return [...this.#grants.keys()].find((name) => basicOf(name) === header);
  }
}

function jsonAnswer(body: object) {
  const headers = { "Content-Type": "application/json", "Docker-Content-Digest": undefined };
  return { status: 200, headers, body: JSON.stringify(body) };
}

function tokenOf(claims: TokenClaims): string {
  return Buffer.from(JSON.stringify(claims)).toString("base64url");
}

function claimsOf(token: string): TokenClaims {
  // It is what `tokenOf` wrote.
  return JSON.parse(Buffer.from(token, "base64url").toString()) as TokenClaims;
}

export async function startPrivateRegistry(
  options: PrivateRegistryOptions = {},
): Promise<PrivateRegistry> {
  return new PrivateRegistry(await startScriptedUpstream(), options);
}
