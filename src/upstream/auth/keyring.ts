import type {
  Credentials,
  CredentialSource,
  HelperCredentials,
  UpstreamSettings,
} from "../../config/settings.ts";
import { runCredentialHelper, HelperError, type HelperOptions } from "./credential-helper.ts";
import { accessMode } from "../../config/access/access-settings.ts";
import type { RepositoryName } from "../../oci/names.ts";
import type { CredentialUse } from "../../oci/fault.ts";
import type { UpstreamObserver } from "../observer.ts";
import { localLimitFault } from "../transport/local-limits.ts";

/**
 * The first and the longest wait before refused credentials are tried again, in milliseconds. The wait
 * doubles with each refusal. They may become valid without a change here: the registry may learn of new
 * credentials a moment after their file changed, or the account may be repaired there.
 */
const FIRST_RETRY = 10_000;
const MAX_RETRY = 600_000;
/** How long a failed helper is not run again, in milliseconds. */
const HELPER_RETRY = 10_000;

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
 * rejected them. `failed`: the credential helper returned none.
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

interface HelperEntry {
  readonly credentials: Credentials | undefined;
  readonly renewAt: number;
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
  /** By helper and server. */
  readonly #helperCache = new Map<string, HelperEntry>();
  /** Helpers that are running, by helper and server: concurrent requests share one run (single-flight). */
  readonly #running = new Map<string, Promise<HelperEntry>>();
  /** By upstream name, as the maps below. */
  readonly #refused = new Map<string, Refusal>();
  /** The problem that was reported last, so that each is reported once. */
  readonly #reported = new Map<string, string>();
  /** The account whose credentials a response confirmed last. */
  readonly #accepted = new Map<string, string>();
  /** Why the helper returned no credentials. */
  readonly #helperFailures = new Map<string, string>();
  /** The account that requests are sent as. */
  readonly #accounts = new Map<string, string>();

  constructor(options: KeyringOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
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
    if (source && "program" in source) this.#helperCache.delete(keyOf(source));
    const newer = source && (await this.#find(name, source));
    const account = accountOf(used);
    if (newer && accountOf(newer) !== account && !this.isRefused(name, accountOf(newer))) {
      return newer;
    }
    const user = used.username === "<token>" ? "an identity token" : `user ${used.username}`;
    const problem = `${refusal.host} answered ${refusal.status} to the credentials of ${name} (${user}): correct them. Until they change, public images are pulled without them`;
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
    const isHelper = "program" in source;
    const failure = isHelper ? this.#helperFailures.get(name) : undefined;
    if (failure !== undefined) return { state: "failed", problem: failure };
    const found = isHelper ? this.#helperCache.get(keyOf(source))?.credentials : source;
    const account = accountOf(found);
    const refused = this.#refused.get(name);
    if (refused?.account === account) return { state: "refused", problem: refused.problem };
    return { state: this.#accepted.get(name) === account ? "ok" : "unused" };
  }

  use(upstream: UpstreamSettings): CredentialUse {
    if (!upstream.credentials) return "none";
    const { state } = this.status(upstream);
    return state === "refused" || state === "failed" ? state : "used";
  }

  account(name: string): string {
    return this.#accounts.get(name) ?? ANONYMOUS;
  }

  async #find(name: string, source: CredentialSource): Promise<Credentials | undefined> {
    if (!("program" in source)) return source;
    const key = keyOf(source);
    const cached = this.#helperCache.get(key);
    if (cached && this.#now() < cached.renewAt) return cached.credentials;
    let running = this.#running.get(key);
    if (!running) {
      running = this.#runHelper(name, source, cached).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return (await running).credentials;
  }

  async #runHelper(
    name: string,
    source: HelperCredentials,
    previous: HelperEntry | undefined,
  ): Promise<HelperEntry> {
    let entry: HelperEntry;
    try {
      const { credentials, ttl } = await runCredentialHelper(source, this.#options);
      entry = { credentials, renewAt: this.#now() + ttl };
      this.#helperFailures.delete(name);
    } catch (error) {
      if (!(error instanceof HelperError)) throw error;
      const local = localLimitFault(name, error.cause);
      // EACCES is about the helper's own file.
      if (local?.detail.kind === "local-limit" && local.detail.limit !== "permission") {
        const { limit, reason } = local.detail;
        this.#options.observe?.({ type: "local-limit", upstream: name, limit, reason });
        // They may still be valid.
        if (previous?.credentials) return previous;
        throw local;
      }
      const at = source.from === undefined ? "" : ` (${source.from})`;
      const problem = `${programName(source.program)}${at} ${error.message}: public images of ${name} are pulled without credentials`;
      this.#helperFailures.set(name, problem);
      this.#report(name, error.message, problem);
      // The previous credentials may still be valid. Otherwise they are refused, and that is reported.
      entry = { credentials: previous?.credentials, renewAt: this.#now() + HELPER_RETRY };
    }
    this.#helperCache.set(keyOf(source), entry);
    return entry;
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
  return Bun.SHA256.hash(`${credentials.username}\0${credentials.password}`, "hex");
}

function keyOf({ program, server, ttl }: HelperCredentials): string {
  return `${program}\0${server}\0${ttl ?? ""}`;
}

function programName(program: string): string {
  return program.slice(program.lastIndexOf("/") + 1);
}
