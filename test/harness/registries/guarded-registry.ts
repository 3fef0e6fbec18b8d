import { writeFile } from "node:fs/promises";
import { type DockerRegistry, startDockerRegistry } from "./docker-registry.ts";
import { push } from "./push.ts";
import type { Image } from "../images/images.ts";
import { tempDir } from "../temp-dir.ts";
import { startTokenIssuer, type TokenIssuer } from "./token-issuer.ts";

/** How a registry asks: with Basic for a password, or with Bearer for a token of its issuer. */
export type Challenge = "Basic" | "Bearer";

export interface GuardedRegistryOptions {
  readonly challenge: Challenge;
  /** Passwords by user name. */
  readonly users: Readonly<Record<string, string>>;
  /**
   * With Bearer, who may pull which repository; `undefined` is whoever sends no credentials. By
   * default each user may pull all. docker-registry's htpasswd has no such table.
   */
  readonly mayPull?: (user: string | undefined, repository: string) => boolean;
}

/** A request as it reached the registry or its issuer of tokens. Secrets are never recorded. */
export interface GuardedRequest {
  readonly method: string;
  /** The path, without the query; `/token` is the issuer's. */
  readonly path: string;
  /** The scheme and whom the credentials name (`Basic alice`, `Bearer alice`), or `none`. */
  readonly credentials: string;
  readonly agent: string;
  readonly status: number;
}

const PUSHER = "pusher";

/** docker-registry behind an access control of its own, with a log of who asked it for what. */
export class GuardedRegistry implements AsyncDisposable {
  readonly url: string;
  readonly #registry: DockerRegistry;
  readonly #issuer: TokenIssuer | undefined;
  readonly #setPasswords: (users: GuardedRegistryOptions["users"]) => Promise<void>;
  readonly #relay: Bun.Server<undefined>;
  readonly #password: string;
  readonly #close: () => Promise<void>;
  #requests: GuardedRequest[] = [];
  #isAway = false;

  constructor(parts: {
    readonly registry: DockerRegistry;
    readonly issuer: TokenIssuer | undefined;
    readonly password: string;
    readonly setPasswords: (users: GuardedRegistryOptions["users"]) => Promise<void>;
    readonly close: () => Promise<void>;
  }) {
    this.#registry = parts.registry;
    this.#issuer = parts.issuer;
    this.#password = parts.password;
    this.#setPasswords = parts.setPasswords;
    this.#close = parts.close;
    this.#relay = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (one) => this.#pass(one) });
    this.url = `http://127.0.0.1:${this.#relay.port}`;
  }

  get address(): string {
    return new URL(this.url).host;
  }

  /** What was asked so far, the issuer's requests included, in the order of the responses. */
  requests(): readonly GuardedRequest[] {
    return this.#requests;
  }

  forget(): void {
    this.#requests = [];
  }

  /** Replaces the passwords: whoever is missing is refused from now on, except with a token. */
  setUsers(users: GuardedRegistryOptions["users"]): Promise<void> {
    return this.#setPasswords(users);
  }

  /** Has it and its issuer answer every request with 503, as a gateway before a dead registry does. */
  setAway(isAway: boolean): void {
    this.#isAway = isAway;
    this.#issuer?.failWith(isAway ? 503 : undefined);
  }

  async push(image: Image, repository: string, tag: string): Promise<void> {
    const authorization = this.#issuer?.authorization(repository) ?? basic(PUSHER, this.#password);
    await push(image, { url: this.#registry.url, repository, tag, authorization });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relay.stop(true);
    await this.#close();
  }

  record(request: GuardedRequest): void {
    this.#requests.push(request);
  }

  async #pass(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const { method, headers } = request;
    const response = this.#isAway
      ? new Response("away\n", { status: 503 })
      : await fetch(`${this.#registry.url}${pathname}${search}`, {
          method,
          headers,
          redirect: "manual",
        });
    this.record({
      method,
      path: pathname,
      credentials: namedBy(headers.get("authorization")),
      agent: headers.get("user-agent") ?? "",
      status: response.status,
    });
    // The whole, so that it has a length. The images are small.
    const body = method === "HEAD" ? null : await response.arrayBuffer();
    return new Response(body, { status: response.status, headers: response.headers });
  }
}

export async function startGuardedRegistry(
  options: GuardedRegistryOptions,
): Promise<GuardedRegistry> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir("guarded"));
  const password = crypto.randomUUID();
  const htpasswd = dir.file("htpasswd");
  let users = options.users;
  const mayPull = options.mayPull ?? ((user) => user !== undefined);
  let guarded: GuardedRegistry | undefined;
  const setPasswords = async (next: GuardedRegistryOptions["users"]) => {
    users = next;
    const entries = Object.entries({ ...next, [PUSHER]: password });
    const lines = await Promise.all(
      entries.map(async ([name, text]) => `${name}:${await Bun.password.hash(text, BCRYPT)}\n`),
    );
    await writeFile(htpasswd, lines.join(""));
  };
  await setPasswords(users);
  const issuer =
    options.challenge === "Basic"
      ? undefined
      : stack.use(
          await startTokenIssuer({
            users: (name) => users[name],
            grants: (user, repository) => (mayPull(user, repository) ? ["pull"] : []),
            onRequest: ({ method, authorization, agent, status }) =>
              guarded?.record({
                method,
                path: "/token",
                credentials: namedBy(authorization),
                agent,
                status,
              }),
          }),
        );
  const registry = stack.use(
    await startDockerRegistry(issuer ? { auth: issuer.auth } : { htpasswd }),
  );
  const owned = stack.move();
  const close = () => owned.disposeAsync();
  guarded = new GuardedRegistry({ registry, issuer, password, setPasswords, close });
  return guarded;
}

/** The cheapest that docker-registry takes: these passwords protect nothing. */
const BCRYPT = { algorithm: "bcrypt", cost: 4 } as const;

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** The scheme of an Authorization header and whom it names. */
export function namedBy(authorization: string | null | undefined): string {
  const [, scheme = "", text = ""] = /^(\S+) (\S+)$/.exec(authorization ?? "") ?? [];
  switch (scheme.toLowerCase()) {
    case "":
      return "none";
    case "basic":
      return `Basic ${Buffer.from(text, "base64").toString().split(":")[0]}`;
    case "bearer": {
      const [, claims = ""] = text.split(".");
      const { sub } = JSON.parse(Buffer.from(claims, "base64url").toString() || "{}");
      return `Bearer ${sub || "nobody"}`;
    }
    default:
      return scheme;
  }
}
