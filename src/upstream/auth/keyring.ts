import type {
  Credentials,
  CredentialSource,
  HelperCredentials,
  UpstreamSettings,
} from "../../config/settings.ts";
import { runCredentialHelper, HelperError, type HelperOptions } from "./credential-helper.ts";
import type { UpstreamObserver } from "../observer.ts";

/**
 * When refused credentials are tried again, in milliseconds: the registry may learn of new ones a
 * moment after their file, or their owner mends them out there. Each time it takes twice as long.
 */
const FIRST_TRY_AGAIN = 10_000;
const LAST_TRY_AGAIN = 600_000;
/** How long a helper that failed is left alone, in milliseconds. */
const HELPER_REST = 10_000;

/** A registry or its token endpoint says that the credentials are wrong. */
export class CredentialsRefused extends Error {
  override readonly name = "CredentialsRefused";

  /** @param status 401 where they are wrong; 403 may mean this one repository */
  constructor(
    readonly status: number,
    readonly host: string,
  ) {
    super(`${host} answered ${status}`);
  }
}

export interface KeyringOptions extends HelperOptions {
  /** Milliseconds on any clock that only goes forward. */
  readonly now?: () => number;
  /** Reads what is configured now: files may have changed a moment ago. */
  readonly reread?: (upstream: string) => Promise<CredentialSource | undefined>;
  readonly observe?: UpstreamObserver;
}

/**
 * What became of the credentials that an upstream is configured with. `unused`: it has not yet given
 * anything for them, since it was not asked, was out of reach or wanted none.
 */
export interface CredentialStatus {
  readonly state: "none" | "unused" | "ok" | "refused" | "failed";
  /** What is wrong with them, and what to do. */
  readonly problem?: string;
}

interface Held {
  readonly credentials: Credentials | undefined;
  readonly renewAt: number;
}

interface Refusal {
  readonly who: string;
  readonly until: number;
  readonly wait: number;
  readonly problem: string;
}

/** Which credentials are sent for an upstream: from its settings or a helper, unless they were refused. */
export class Keyring {
  readonly #options: KeyringOptions;
  readonly #now: () => number;
  readonly #refused = new Map<string, Refusal>();
  readonly #held = new Map<string, Held>();
  readonly #running = new Map<string, Promise<Held>>();
  readonly #told = new Map<string, string>();
  /** By upstream, whose credentials were good for an answer. */
  readonly #accepted = new Map<string, string>();
  /** Why a helper gave none, by upstream. */
  readonly #failed = new Map<string, string>();
  readonly #identities = new Map<string, string>();

  constructor(options: KeyringOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** `undefined` for anonymous. */
  async current(upstream: UpstreamSettings): Promise<Credentials | undefined> {
    if (!upstream.credentials) return undefined;
    const found = await this.#find(upstream.name, upstream.credentials);
    const who = identity(found);
    const isRefused = this.isRefused(upstream.name, who);
    this.#identities.set(upstream.name, isRefused ? identity(undefined) : who);
    return isRefused ? undefined : found;
  }

  /** An answer came for them. */
  accepted(name: string, used: Credentials): void {
    this.#accepted.set(name, identity(used));
    if (this.#refused.get(name)?.who === identity(used)) this.#refused.delete(name);
  }

  /** What to try after a refusal: newer ones, or `undefined` for anonymous. It is told once per change. */
  async refused(
    upstream: UpstreamSettings,
    used: Credentials,
    refusal: CredentialsRefused,
  ): Promise<Credentials | undefined> {
    const { name } = upstream;
    const source = (await this.#options.reread?.(name)) ?? upstream.credentials;
    if (source && "helper" in source) this.#held.delete(keyOf(source));
    const newer = source && (await this.#find(name, source));
    const who = identity(used);
    if (newer && identity(newer) !== who && !this.isRefused(name, identity(newer))) return newer;
    // 403 may be about one repository: the others are still asked for with them.
    const user = used.username === "<token>" ? "an identity token" : `user ${used.username}`;
    const problem = `${refusal.host} answered ${refusal.status} to the credentials of ${name} (${user}): correct them. Until they change, what is public there is pulled without`;
    if (refusal.status === 401) {
      const wait = this.#waitAfter(name, who);
      this.#refused.set(name, { who, until: this.#now() + wait, wait, problem });
      this.#identities.set(name, identity(undefined));
    }
    this.#tell(name, `${who} ${refusal.status}`, problem);
    return undefined;
  }

  #waitAfter(name: string, who: string): number {
    const before = this.#refused.get(name);
    if (before?.who !== who) return FIRST_TRY_AGAIN;
    // Requests that were under way together are refused together.
    return this.isRefused(name, who) ? before.wait : Math.min(before.wait * 2, LAST_TRY_AGAIN);
  }

  /** Whether credentials of an upstream were found wrong, the present ones unless said. */
  isRefused(name: string, who?: string): boolean {
    const refused = this.#refused.get(name);
    if (!refused || this.#now() >= refused.until) return false;
    return who === undefined || who === refused.who;
  }

  status({ name, credentials: source }: UpstreamSettings): CredentialStatus {
    if (!source) return { state: "none" };
    const isHelper = "helper" in source;
    const failure = isHelper ? this.#failed.get(name) : undefined;
    if (failure !== undefined) return { state: "failed", problem: failure };
    const found = isHelper ? this.#held.get(keyOf(source))?.credentials : source;
    const who = identity(found);
    const refused = this.#refused.get(name);
    if (refused?.who === who) return { state: "refused", problem: refused.problem };
    return { state: this.#accepted.get(name) === who ? "ok" : "unused" };
  }

  /** Tells those credentials apart that an upstream was last asked with: limits belong to them. */
  identity(name: string): string {
    return this.#identities.get(name) ?? identity(undefined);
  }

  async #find(name: string, source: CredentialSource): Promise<Credentials | undefined> {
    if (!("helper" in source)) return source;
    const key = keyOf(source);
    const held = this.#held.get(key);
    if (held && this.#now() < held.renewAt) return held.credentials;
    let running = this.#running.get(key);
    if (!running) {
      running = this.#ask(name, source, held).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return (await running).credentials;
  }

  async #ask(name: string, source: HelperCredentials, before: Held | undefined): Promise<Held> {
    let held: Held;
    try {
      const { credentials, lifetime } = await runCredentialHelper(source, this.#options);
      held = { credentials, renewAt: this.#now() + lifetime };
      this.#failed.delete(name);
    } catch (error) {
      if (!(error instanceof HelperError)) throw error;
      const at = source.from === undefined ? "" : ` (${source.from})`;
      const problem = `docker-credential-${source.helper}${at} ${error.message}: what is public at ${name} is pulled without credentials`;
      this.#failed.set(name, problem);
      this.#tell(name, error.message, problem);
      // The last ones may well be good still; if not, they are refused, and that is told.
      held = { credentials: before?.credentials, renewAt: this.#now() + HELPER_REST };
    }
    this.#held.set(keyOf(source), held);
    return held;
  }

  #tell(upstream: string, what: string, problem: string): void {
    if (this.#told.get(upstream) === what) return;
    this.#told.set(upstream, what);
    this.#options.observe?.({ type: "credentials", upstream, problem });
  }
}

/** A hash, so that a password is no key and a new password is a new key. */
export function identity(credentials: Credentials | undefined): string {
  if (!credentials) return "anonymous";
  return Bun.SHA256.hash(`${credentials.username}\0${credentials.password}`, "hex");
}

function keyOf({ helper, server }: HelperCredentials): string {
  return `${helper}\0${server}`;
}
