import {
  type Credentials,
  type CredentialSource,
  isFetched,
  type UpstreamSettings,
} from "../../config/settings.ts";
import { accessMode } from "../../config/access/access-settings.ts";
import type { RepositoryName } from "../../oci/names.ts";
import { FetchedCredentials, type FetchedEntry } from "./fetched-credentials.ts";
import type { HelperOptions } from "./credential-helper.ts";
import type { CredentialUse } from "../../oci/fault.ts";
import type { UpstreamObserver } from "../observer.ts";

/**
 * The first and the longest wait before refused credentials are tried again, in milliseconds. The wait
 * doubles with each refusal. They may become valid without a change here: the registry may learn of new
 * credentials a moment after their file changed, or the account may be repaired there.
 */
const FIRST_RETRY = 10_000;
const MAX_RETRY = 600_000;

/** What a change begins with that is about the source of credentials, and not about a registry's answer. */
const NOT_FETCHED = "not fetched: ";

/** The account of requests without credentials. */
export const ANONYMOUS = "anonymous";

/** A registry or its token endpoint answered that the credentials are wrong. */
export class CredentialsRefused extends Error {
  override readonly name = "CredentialsRefused";

  /** @param status 401: they are wrong. 403: perhaps only for this repository */
  constructor(
    readonly status: number,
    readonly host: string,
  ) {
    super(`${host} answered ${status}`);
  }
}

export interface KeyringOptions extends HelperOptions {
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** Reads an upstream's current configuration: credential files may just have changed. */
  readonly reread?: (upstream: string) => Promise<CredentialSource | undefined>;
  readonly observe?: UpstreamObserver;
}

/**
 * The state of an upstream's configured credentials. `unused`: no response has confirmed them yet,
 * because the upstream got no request, was unreachable or did not ask for them. `refused`: the registry
 * rejected them. `failed`: their helper or cloud gave none.
 */
export interface CredentialStatus {
  readonly state: "none" | "unused" | "ok" | "refused" | "failed";
  /** What is wrong with them, and what to do. */
  readonly problem?: string;
}

/** Which credentials requests to upstreams carry, and what is known of them. */
export interface CredentialChoice {
  /**
   * The credentials to send now for something of a repository; `undefined` for anonymous.
   *
   * @throws Fault `local-limit`
   */
  current(upstream: UpstreamSettings, repository: RepositoryName): Promise<Credentials | undefined>;
  /** A response confirmed these credentials. */
  accepted(name: string, used: Credentials): void;
  /**
   * These credentials were refused.
   *
   * @returns what to try instead: newer credentials, or `undefined` for anonymous
   * @throws Fault `upstream-denied` if nothing is to be tried
   */
  refused(
    upstream: UpstreamSettings,
    used: Credentials,
    refusal: CredentialsRefused,
  ): Promise<Credentials | undefined>;
  /** Whether an account's credentials were refused recently; without an account, whether any were. */
  isRefused(name: string, account?: string): boolean;
  status(upstream: UpstreamSettings): CredentialStatus;
  /** What became of the credentials in a request that was denied. */
  use(upstream: UpstreamSettings): CredentialUse;
  /** The account that requests to an upstream were last sent as. Registries limit rates per account. */
  account(name: string): string;
}

interface Refusal {
  readonly account: string;
  readonly until: number;
  /** How long they are not tried again, in milliseconds. */
  readonly wait: number;
  readonly problem: string;
}

/**
 * Chooses the credentials to send to an upstream: those from its settings or a credential helper, unless
 * they were refused recently. Caches what helpers return.
 */
export class Keyring implements CredentialChoice {
  readonly #options: KeyringOptions;
  readonly #now: () => number;
  readonly #fetched: FetchedCredentials;
  /** By upstream name, as the maps below. */
  readonly #refused = new Map<string, Refusal>();
  /** The problem that was reported last, so that each is reported once. */
  readonly #reported = new Map<string, string>();
  /** The account whose credentials a response confirmed last. */
  readonly #accepted = new Map<string, string>();
  /** The account that requests are sent as. */
  readonly #accounts = new Map<string, string>();

  constructor(options: KeyringOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#fetched = new FetchedCredentials(options);
  }

  /**
   * @throws Fault `local-limit` if this machine cannot start the credential helper: requests without
   * credentials would be refused, and that would look like an answer
   */
  async current(
    upstream: UpstreamSettings,
    repository: RepositoryName,
  ): Promise<Credentials | undefined> {
    // There, content is pulled with the credentials of clients, by whoever asks for it.
    if (accessMode(upstream.access, repository) === "upstream") return undefined;
    return this.forPublic(upstream);
  }

  /**
   * The credentials to send for what the upstream shows to anybody.
   *
   * @throws Fault `local-limit`
   */
  async forPublic(upstream: UpstreamSettings): Promise<Credentials | undefined> {
    if (!upstream.credentials) return undefined;
    const found = await this.#find(upstream.name, upstream.credentials);
    const account = accountOf(found);
    const isRefused = this.isRefused(upstream.name, account);
    this.#accounts.set(upstream.name, isRefused ? ANONYMOUS : account);
    return isRefused ? undefined : found;
  }

  accepted(name: string, used: Credentials): void {
    const account = accountOf(used);
    this.#accepted.set(name, account);
    if (this.#refused.get(name)?.account === account) this.#refused.delete(name);
  }

  /** Reports a refusal once per change. */
  async refused(
    upstream: UpstreamSettings,
    used: Credentials,
    refusal: CredentialsRefused,
  ): Promise<Credentials | undefined> {
    const { name } = upstream;
    const source = (await this.#options.reread?.(name)) ?? upstream.credentials;
    const newer =
      source && isFetched(source) ? await this.#fetched.renewed(name, source, used) : source;
    const account = accountOf(used);
    if (newer && !isSame(newer, used) && !this.isRefused(name, accountOf(newer))) return newer;
    const user = used.username === "<token>" ? "an identity token" : `user ${used.username}`;
    const advice =
      used.issuedTo === undefined
        ? "correct them. Until they change, public images are pulled without them"
        : "they were issued for it, and so will the next be: see that the identity may pull from it. Until then, public images are pulled without them";
    const problem = `${refusal.host} answered ${refusal.status} to the credentials of ${name} (${user}): ${advice}`;
    // A 403 may be about one repository: requests for others still carry the credentials.
    if (refusal.status === 401) {
      const wait = this.#waitAfterRefusal(name, account);
      this.#refused.set(name, { account, until: this.#now() + wait, wait, problem });
      this.#accounts.set(name, ANONYMOUS);
    }
    this.#report(name, `${account} ${refusal.status}`, problem);
    return undefined;
  }

  #waitAfterRefusal(name: string, account: string): number {
    const before = this.#refused.get(name);
    if (before?.account !== account) return FIRST_RETRY;
    // Concurrent requests are refused together: that does not double the wait.
    return this.isRefused(name, account) ? before.wait : Math.min(before.wait * 2, MAX_RETRY);
  }

  isRefused(name: string, account?: string): boolean {
    const refused = this.#refused.get(name);
    if (!refused || this.#now() >= refused.until) return false;
    return account === undefined || account === refused.account;
  }

  status({ name, credentials: source }: UpstreamSettings): CredentialStatus {
    if (!source) return { state: "none" };
    const entry = isFetched(source) ? this.#fetched.peek(source) : undefined;
    if (entry?.failure !== undefined) {
      return { state: "failed", problem: failureText(name, entry, entry.failure) };
    }
    const found = isFetched(source) ? entry?.credentials : source;
    const account = accountOf(found);
    const refused = this.#refused.get(name);
    if (refused?.account === account) return { state: "refused", problem: refused.problem };
    return { state: this.#accepted.get(name) === account ? "ok" : "unused" };
  }

  use(upstream: UpstreamSettings): CredentialUse {
    const { credentials: source } = upstream;
    if (!source) return "none";
    const { state } = this.status(upstream);
    if (state === "refused") return state;
    // Those from before may still be sent.
    const isSent =
      state !== "failed" || (isFetched(source) && this.#fetched.peek(source)?.credentials);
    return isSent ? "used" : "failed";
  }

  account(name: string): string {
    return this.#accounts.get(name) ?? ANONYMOUS;
  }

  async #find(name: string, source: CredentialSource): Promise<Credentials | undefined> {
    if (!isFetched(source)) return source;
    const entry = await this.#fetched.current(name, source);
    if (entry.failure !== undefined) {
      this.#report(name, `${NOT_FETCHED}${entry.failure}`, failureText(name, entry, entry.failure));
    } else if (this.#reported.get(name)?.startsWith(NOT_FETCHED)) {
      this.#reported.delete(name);
    }
    return entry.credentials;
  }

  /** @param change reported once for as long as it stays the same */
  #report(upstream: string, change: string, problem: string): void {
    if (this.#reported.get(upstream) === change) return;
    this.#reported.set(upstream, change);
    this.#options.observe?.({ type: "credentials", upstream, problem });
  }
}

/** A key for the account that credentials belong to: a hash, so that no password is used as a key. */
export function accountOf(credentials: Credentials | undefined): string {
  if (!credentials) return ANONYMOUS;
  const { username, password, issuedTo } = credentials;
  return Bun.SHA256.hash(`${username}\0${issuedTo ?? password}`, "hex");
}

function isSame(one: Credentials, other: Credentials): boolean {
  return one.username === other.username && one.password === other.password;
}

function failureText(name: string, { credentials }: FetchedEntry, failure: string): string {
  const meanwhile = credentials
    ? `${name} is sent those from before, for as long as they are valid`
    : `public images of ${name} are pulled without credentials`;
  return `${failure}: ${meanwhile}`;
}
