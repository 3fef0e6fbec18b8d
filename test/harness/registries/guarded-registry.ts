import { writeFile } from "node:fs/promises";
import { localUpstream } from "../cache/entrepot.ts";
import { type DockerRegistry, startDockerRegistry } from "./docker-registry.ts";
import { push } from "./push.ts";
import { basic, namedBy, type RecordedRequest, RecordingRelay } from "./recording-relay.ts";
import type { Image } from "../images/images.ts";
import { tempDir } from "../temp-dir.ts";
import { startTokenIssuer, type TokenIssuer } from "./token-issuer.ts";

/** How a registry asks: with Basic for a password, or with Bearer for a token of its issuer. */
export type Challenge = "Basic" | "Bearer";

export interface GuardedRegistryOptions {
  readonly challenge: Challenge;
  /** Passwords by user name. */
  readonly users: Users;
  /**
   * With Bearer, who may pull which repository; `undefined` is whoever sends no credentials. By
   * default each user may pull all. docker-registry's htpasswd has no such table.
   */
  readonly mayPull?: (user: string | undefined, repository: string) => boolean;
}

type Users = Readonly<Record<string, string>>;

const PUSHER = "pusher";
/** The cheapest that docker-registry takes: these passwords protect nothing. */
const BCRYPT = { algorithm: "bcrypt", cost: 4 } as const;

interface Parts {
  readonly registry: DockerRegistry;
  readonly relay: RecordingRelay;
  readonly issuer: TokenIssuer | undefined;
  readonly setUsers: (users: Users) => Promise<void>;
  /** The Authorization header that pushes to a repository. */
  readonly pusher: (repository: string) => string;
}

/** docker-registry behind an access control of its own, with a record of who asked it for what. */
export class GuardedRegistry implements AsyncDisposable {
  readonly #parts: Parts;
  readonly #close: () => Promise<void>;

  constructor(parts: Parts, close: () => Promise<void>) {
    this.#parts = parts;
    this.#close = close;
  }

  get url(): string {
    return this.#parts.relay.url;
  }

  get address(): string {
    return this.#parts.relay.address;
  }

  /** The settings of an upstream that is this registry. */
  get settings(): object {
    const { issuer } = this.#parts;
    // Beside it at another port, which a cache takes for another party.
    const trusted = issuer ? { trustedRealms: [new URL(issuer.realm).host] } : {};
    return { ...localUpstream(this.url), ...trusted };
  }

  /** What it was asked since the last call; with Bearer, its issuer (`/token`) too. */
  take(): RecordedRequest[] {
    return this.#parts.relay.take();
  }

  /** Replaces the users: whoever is missing is refused from now on, except with a token. */
  setUsers(users: Users): Promise<void> {
    return this.#parts.setUsers(users);
  }

  /** Has it and its issuer answer every request with 503, as a gateway before a dead registry does. */
  setAway(isAway: boolean): void {
    const status = isAway ? 503 : undefined;
    this.#parts.relay.failWith(status);
    this.#parts.issuer?.failWith(status);
  }

  async push(image: Image, repository: string, tag: string): Promise<void> {
    const { registry, pusher } = this.#parts;
    const authorization = pusher(repository);
    await push(image, { url: registry.url, repository, tag, authorization });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

export async function startGuardedRegistry({
  challenge,
  users,
  mayPull = (user) => user !== undefined,
}: GuardedRegistryOptions): Promise<GuardedRegistry> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir("guarded"));
  const password = crypto.randomUUID();
  const htpasswd = dir.file("htpasswd");
  let known = users;
  const setUsers = async (next: Users) => {
    known = next;
    const lines = await Promise.all(
      Object.entries({ ...next, [PUSHER]: password }).map(
        async ([name, text]) => `${name}:${await Bun.password.hash(text, BCRYPT)}\n`,
      ),
    );
    await writeFile(htpasswd, lines.join(""));
  };
  await setUsers(users);
  let relay: RecordingRelay | undefined;
  const issuer =
    challenge === "Basic"
      ? undefined
      : await startTokenIssuer({
          users: (name) => known[name],
          grants: (user, repository) => (mayPull(user, repository) ? ["pull"] : []),
          onRequest: ({ method, authorization, agent, status }) =>
            relay?.add({
              method,
              path: "/token",
              credentials: namedBy(authorization),
              agent,
              status,
            }),
        });
  if (issuer) stack.use(issuer);
  const registry = stack.use(
    await startDockerRegistry(issuer ? { auth: issuer.auth } : { htpasswd }),
  );
  relay = stack.use(new RecordingRelay(registry.url));
  const pusher = (repository: string): string =>
    issuer?.authorization(repository) ?? basic(PUSHER, password);
  const owned = stack.move();
  return new GuardedRegistry({ registry, relay, issuer, setUsers, pusher }, () =>
    owned.disposeAsync(),
  );
}
