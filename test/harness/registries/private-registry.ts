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
}

/**
 * A registry whose users may pull what they are granted, in memory, with Basic authentication. Faults are
 * injected through `upstream`, in front of the decision.
 */
export class PrivateRegistry implements AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly #hides: boolean;
  readonly #public = new Set<string>();
  readonly #grants = new Map<string, Set<string>>();
  readonly #asked: AskedAs[] = [];
  #fault: Parameters<ScriptedUpstream["respond"]>[0];

  constructor(upstream: ScriptedUpstream, { hides = false }: PrivateRegistryOptions) {
    this.upstream = upstream;
    this.#hides = hides;
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

  #decide({ method, path, headers, repository, kind }: UpstreamRequest) {
    const header = headers.get("authorization");
    const user = [...this.#grants.keys()].find((name) => basicOf(name) === header);
    this.#asked.push({ user: user ?? (header === null ? "-" : "?"), method, path });
    if (kind === "ping" && user === undefined) return unauthorized('Basic realm="private"');
    if (kind === "ping" || this.mayPull(user, repository)) return undefined;
    if (user === undefined) return unauthorized('Basic realm="private"');
    return { status: this.#hides ? 404 : 403, body: "" };
  }
}

export async function startPrivateRegistry(
  options: PrivateRegistryOptions = {},
): Promise<PrivateRegistry> {
  return new PrivateRegistry(await startScriptedUpstream(), options);
}
