import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import type { ClientsSettings, JwtSettings } from "../../config/access/clients-settings.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { Dialer } from "../../upstream/transport/dialer.ts";
import type { PresentedCredentials } from "../authorization.ts";
import type { ClientAccess, ClientConnection, Identity, Principal } from "../client-access.ts";
import { FailedAttempts, networkOf } from "../failed-attempts.ts";
import type { ProcessKey } from "../process-key.ts";
import { decide } from "../rules/rules.ts";
import { certificateName } from "./certificate-name.ts";
import type { JwtIssuers } from "./jwt-issuers.ts";
import { Passwords } from "./passwords.ts";

/** How long a proof is remembered, in milliseconds: a key that an issuer takes back ends within it. */
const MEMORY_MS = 300_000;
/** How many proofs, and answers of the rules, are remembered: about 2 MB each. */
const MAX_ENTRIES = 16_384;
/** How many different passwords of one network are looked at at once. */
const PASSWORDS_AT_ONCE = 8;
/** What clients are told who have to wait, in seconds. */
const RETRY_AFTER = 5;

/** What was tried: a label of a metric. */
export type LoginKind = "password" | "token" | "jwt" | "certificate";

export interface FailedLogin {
  readonly kind: LoginKind;
  readonly address: string;
  /** Without anything secret. */
  readonly reason: string;
}

export interface KnownClientsOptions {
  readonly key: ProcessKey;
  readonly settings?: ClientsSettings | undefined;
  /** Called for each login that fails. */
  readonly onFailed?: (failure: FailedLogin) => void;
  /** Called each time that the keys of an issuer cannot be fetched. */
  readonly onKeysUnavailable?: (issuer: string, reason: string) => void;
  readonly attempts?: FailedAttempts;
  readonly dialer?: Pick<Dialer, "dial">;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
}

interface Proven {
  readonly principal: Principal;
  readonly until: number;
}

type Proof =
  | ({ readonly kind: "principal" } & Proven)
  | { readonly kind: "busy" }
  | {
      readonly kind: "refused";
      readonly by: LoginKind;
      readonly reason: string;
      readonly isUnknown?: true;
    };

/** The clients that the configuration names, and what its rules let them pull. */
export class KnownClients implements ClientAccess {
  readonly #options: KnownClientsOptions;
  readonly #now: () => number;
  readonly #attempts: FailedAttempts;
  readonly #passwords: Passwords;
  /** Loaded where any are configured. */
  #issuers: Promise<JwtIssuers> | undefined;
  readonly #failures = new Map<LoginKind, number>();
  /** By what was presented, as the process's key names it: neither that nor a hash of it alone is kept. */
  readonly #proven = new LRUCache<string, Proven>(growingTo(MAX_ENTRIES));
  readonly #decisions = new LRUCache<string, boolean>(growingTo(MAX_ENTRIES));
  readonly #running = new Map<string, Promise<Proof>>();
  readonly #passwordsOf = new Map<string, number>();
  #settings: ClientsSettings | undefined;
  /** Tokens by the names that the process's key gives them: looking one up takes as long for any. */
  #tokens = new Map<string, string>();
  #revision = 0;

  constructor(options: KnownClientsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#attempts = options.attempts ?? new FailedAttempts();
    this.#passwords = new Passwords(options.key);
    this.configure(options.settings);
  }

  get revision(): number {
    return this.#revision;
  }

  /** How many logins failed, by what was tried. */
  get failures(): ReadonlyMap<LoginKind, number> {
    return this.#failures;
  }

  /** Takes up a changed configuration. Who was known, has to show it again. */
  configure(settings: ClientsSettings | undefined): void {
    this.#settings = settings;
    const { key } = this.#options;
    const tokens = settings?.tokens ?? [];
    this.#tokens = new Map(tokens.map(({ name, token }) => [key.name("token", token), name]));
    this.#passwords.configure(settings?.users ?? []);
    const jwt = settings?.jwt ?? [];
    if (jwt.length > 0 || this.#issuers) this.#issuers = this.#configuredIssuers(jwt);
    this.#proven.clear();
    this.#decisions.clear();
    this.#revision += 1;
  }

  mayPull(principal: Principal, repo: RepositoryRef): boolean {
    const key = `${repo.upstream}/${repo.repository} ${principal.name}`;
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const { allowed } = decide(this.#settings?.rules ?? [], principal, repo);
    this.#decisions.set(key, allowed);
    return allowed;
  }

  async identify(
    presented: PresentedCredentials | undefined,
    connection: ClientConnection,
  ): Promise<Identity> {
    if (!presented) return this.#byCertificate(connection);
    const name = this.#nameOf(presented);
    const known = this.#proven.get(name);
    if (known && this.#now() < known.until) return { kind: "principal", ...known };
    const { address } = connection;
    if (this.#attempts.areTooMany(address)) return { kind: "slowed", retryAfter: RETRY_AFTER };
    const proof = await this.#prove(name, presented, address);
    switch (proof.kind) {
      case "principal":
        return proof;
      case "busy":
        return { kind: "slowed", retryAfter: RETRY_AFTER };
      case "refused": {
        const { by, reason, isUnknown } = proof;
        this.#failed({ kind: by, address, reason });
        if (!isUnknown) await this.#attempts.failed(address);
        return { kind: "refused", reason };
      }
    }
  }

  #byCertificate({ certificate, address }: ClientConnection): Identity {
    if (!certificate || !this.#settings?.certificates) return { kind: "anonymous" };
    const name = certificateName(certificate);
    if (name !== undefined)
      return { kind: "principal", principal: { name: `certificate:${name}` } };
    const reason =
      "the certificate has no subject alternative name that is a URI, a DNS name or a mail address";
    this.#failed({ kind: "certificate", address, reason });
    return { kind: "refused", reason };
  }

  #nameOf(presented: PresentedCredentials): string {
    const { key } = this.#options;
    return presented.scheme === "bearer"
      ? key.name("bearer", presented.token)
      : key.name("basic", presented.username, presented.password);
  }

  /** Looks at what was presented, once for all who present it now. */
  async #prove(name: string, presented: PresentedCredentials, address: string): Promise<Proof> {
    const running = this.#running.get(name);
    if (running) return running;
    const proving = this.#proveNow(presented, address);
    this.#running.set(name, proving);
    const proof = await proving;
    this.#running.delete(name);
    if (proof.kind === "principal") {
      const { principal, until } = proof;
      this.#proven.set(name, { principal, until });
    }
    return proof;
  }

  /** What the configuration of the end says: one that changes meanwhile may not allow it any more. */
  async #proveNow(presented: PresentedCredentials, address: string): Promise<Proof> {
    const revision = this.#revision;
    const proof = await this.#look(presented, address);
    return revision === this.#revision ? proof : this.#proveNow(presented, address);
  }

  async #look(presented: PresentedCredentials, address: string): Promise<Proof> {
    const secret = presented.scheme === "bearer" ? presented.token : presented.password;
    const now = this.#now();
    // Runtimes send a password with a user's name; for a token, that says nothing.
    const token = this.#tokens.get(this.#options.key.name("token", secret));
    if (token !== undefined) {
      return {
        kind: "principal",
        principal: { name: `token:${token}` },
        until: now + MEMORY_MS,
      };
    }
    const issuers = await this.#issuers;
    if (issuers?.areMeant(secret)) {
      const answer = await issuers.check(secret);
      if (answer.kind === "refused") return { ...answer, by: "jwt" };
      const until = Math.min(answer.until, now + MEMORY_MS);
      return { kind: "principal", principal: { name: answer.name }, until };
    }
    if (presented.scheme === "bearer" || !this.#settings?.users) {
      return { kind: "refused", by: "token", reason: "the token is none that is known" };
    }
    return this.#checkPassword(presented, address);
  }

  async #checkPassword(
    { username, password }: Extract<PresentedCredentials, { readonly scheme: "basic" }>,
    address: string,
  ): Promise<Proof> {
    const network = networkOf(address);
    const others = this.#passwordsOf.get(network) ?? 0;
    if (others >= PASSWORDS_AT_ONCE) return { kind: "busy" };
    this.#passwordsOf.set(network, others + 1);
    const answer = await this.#passwords.check(username, password);
    const left = (this.#passwordsOf.get(network) ?? 1) - 1;
    if (left > 0) this.#passwordsOf.set(network, left);
    else this.#passwordsOf.delete(network);
    if (answer === "busy") return { kind: "busy" };
    if (answer === "wrong") {
      return { kind: "refused", by: "password", reason: "the user or the password is wrong" };
    }
    const until = this.#now() + MEMORY_MS;
    return { kind: "principal", principal: { name: `user:${username}` }, until };
  }

  async #configuredIssuers(jwt: readonly JwtSettings[]): Promise<JwtIssuers> {
    const issuers = (await this.#issuers) ?? (await this.#loadIssuers());
    issuers.configure(jwt);
    return issuers;
  }

  async #loadIssuers(): Promise<JwtIssuers> {
    const { JwtIssuers } = await import("./jwt-issuers.ts");
    const { dialer, onKeysUnavailable } = this.#options;
    return new JwtIssuers({
      dialer: dialer ?? new Dialer({ timeouts: { connect: 3000, headers: 5000, stall: 5000 } }),
      now: this.#now,
      ...(onKeysUnavailable ? { onProblem: onKeysUnavailable } : {}),
    });
  }

  #failed(failure: FailedLogin): void {
    this.#failures.set(failure.kind, (this.#failures.get(failure.kind) ?? 0) + 1);
    this.#options.onFailed?.(failure);
  }
}
