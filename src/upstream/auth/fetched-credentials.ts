import type {
  Credentials,
  FetchedCredentialSource,
  HelperCredentials,
} from "../../config/settings.ts";
import { CloudError } from "../cloud/cloud-error.ts";
import { issuedToken, sourceName } from "../cloud/issued-credentials.ts";
import { localLimitFault } from "../transport/local-limits.ts";
import type { UpstreamObserver } from "../observer.ts";
import { HelperError, type HelperOptions, runCredentialHelper } from "./credential-helper.ts";

/** How long after a failure the source is not asked again, in milliseconds. */
const RETRY = 10_000;
/** At most so long before their end, credentials that a cloud issued are replaced, in milliseconds. */
const MAX_AHEAD = 30 * 60_000;
/** They are no longer used so long before their end, in milliseconds. */
const MARGIN = 60_000;

export interface FetchedEntry {
  readonly credentials: Credentials | undefined;
  /** On the clock of `now`, in milliseconds. */
  readonly renewAt: number;
  /** Until then the credentials serve while others are fetched. */
  readonly validUntil: number;
  /** Why the source returned none when it was last asked. */
  readonly failure?: string;
}

export interface FetchedCredentialsOptions extends HelperOptions {
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  readonly observe?: UpstreamObserver | undefined;
}

/** Credentials from helpers and clouds: cached, fetched once for all who wait, and replaced ahead of their end. */
export class FetchedCredentials {
  readonly #options: FetchedCredentialsOptions;
  readonly #now: () => number;
  readonly #keys = new WeakMap<FetchedCredentialSource, string>();
  /** By source, as the maps below. */
  readonly #entries = new Map<string, FetchedEntry>();
  /** Concurrent requests share one (single-flight). */
  readonly #running = new Map<string, Promise<FetchedEntry>>();
  /** When credentials were last fetched because others had been refused. */
  readonly #refusedAt = new Map<string, number>();

  constructor(options: FetchedCredentialsOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What is known of a source. */
  peek(source: FetchedCredentialSource): FetchedEntry | undefined {
    return this.#entries.get(this.#keyOf(source));
  }

  /**
   * @param upstream its name, for faults
   * @throws Fault `local-limit`
   */
  async current(upstream: string, source: FetchedCredentialSource): Promise<FetchedEntry> {
    const key = this.#keyOf(source);
    const entry = this.#entries.get(key);
    const now = this.#now();
    if (entry && now < entry.renewAt) return entry;
    const running = this.#fetch(upstream, source, key, entry);
    if (entry?.credentials && now < entry.validUntil) {
      // A failure is told to the next who asks.
      running.catch(() => {});
      return entry;
    }
    return running;
  }

  /**
   * Credentials were refused: they may have been replaced meanwhile, or there are others by now. A source is asked for
   * others once in ten seconds, for if the registry refuses all, another one would not help.
   *
   * @throws Fault `local-limit`
   */
  async renewed(
    upstream: string,
    source: FetchedCredentialSource,
    refused: Credentials,
  ): Promise<Credentials | undefined> {
    const key = this.#keyOf(source);
    const entry = this.#entries.get(key);
    if (entry?.credentials && entry.credentials.password !== refused.password) {
      return entry.credentials;
    }
    const now = this.#now();
    if (!this.#running.has(key)) {
      if (now < (this.#refusedAt.get(key) ?? -Infinity) + RETRY) return entry?.credentials;
      this.#refusedAt.set(key, now);
      this.#entries.delete(key);
    }
    return (await this.#fetch(upstream, source, key, undefined)).credentials;
  }

  #fetch(
    upstream: string,
    source: FetchedCredentialSource,
    key: string,
    previous: FetchedEntry | undefined,
  ): Promise<FetchedEntry> {
    let running = this.#running.get(key);
    if (!running) {
      running = this.#ask(upstream, source, key, previous).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return running;
  }

  async #ask(
    upstream: string,
    source: FetchedCredentialSource,
    key: string,
    previous: FetchedEntry | undefined,
  ): Promise<FetchedEntry> {
    let entry: FetchedEntry;
    try {
      entry = "cloud" in source ? await this.#issue(source, key) : await this.#runHelper(source);
    } catch (error) {
      if (!(error instanceof HelperError) && !(error instanceof CloudError)) throw error;
      const local = localLimitFault(upstream, error.cause);
      // EACCES is about the helper's own file.
      if (local?.detail.kind === "local-limit" && local.detail.limit !== "permission") {
        const { limit, reason } = local.detail;
        this.#options.observe?.({ type: "local-limit", upstream, limit, reason });
        // They may still be valid.
        if (previous?.credentials) return previous;
        throw local;
      }
      const now = this.#now();
      // Those of a helper may still be valid. Otherwise they are refused, and that is reported.
      const isUsable = previous && (!("cloud" in source) || now < previous.validUntil);
      entry = {
        credentials: isUsable ? previous.credentials : undefined,
        renewAt: now + RETRY,
        validUntil: previous?.validUntil ?? now,
        failure: `${nameOf(source)} ${error.message}`,
      };
    }
    this.#entries.set(key, entry);
    return entry;
  }

  async #issue(
    source: Extract<FetchedCredentialSource, { readonly cloud: string }>,
    key: string,
  ): Promise<FetchedEntry> {
    const { username, password, lifetime } = await issuedToken(source, this.#options.helperTimeout);
    const now = this.#now();
    return {
      credentials: { username, password, issuedTo: key },
      renewAt: now + lifetime - Math.min(lifetime / 4, MAX_AHEAD),
      validUntil: now + lifetime - Math.min(lifetime / 10, MARGIN),
    };
  }

  async #runHelper(source: HelperCredentials): Promise<FetchedEntry> {
    const { credentials, ttl } = await runCredentialHelper(source, this.#options);
    const end = this.#now() + ttl;
    return { credentials, renewAt: end, validUntil: end };
  }

  /** Says all that the credentials depend on, as a hash: some of it is secret. */
  #keyOf(source: FetchedCredentialSource): string {
    let key = this.#keys.get(source);
    if (key === undefined) {
      const { from: _, ...rest } = source;
      key = Bun.SHA256.hash(JSON.stringify(rest), "hex");
      this.#keys.set(source, key);
    }
    return key;
  }
}

function nameOf(source: FetchedCredentialSource): string {
  if ("cloud" in source) return sourceName(source);
  const { program, from } = source;
  const name = program.slice(program.lastIndexOf("/") + 1);
  return from === undefined ? name : `${name} (${from})`;
}
