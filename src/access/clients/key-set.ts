import { createLocalJWKSet, errors, type FlattenedJWSInput, type JWSHeaderParameters } from "jose";
import type { JSONWebKeySet } from "jose";
import type { PublicKey } from "../../config/access/clients-settings.ts";
import { KeysUnavailableError } from "./fetch-keys.ts";

/** After which keys are fetched again, in milliseconds: what an issuer takes back ends then. */
const MAX_AGE_MS = 600_000;
/** How long after one attempt the next one is made for a key that is not known, in milliseconds. */
const COOL_DOWN_MS = 30_000;
/** How long after an attempt that failed the next one is made while there are no keys, in milliseconds. */
const RETRY_MS = 10_000;

type FindKey = ReturnType<typeof createLocalJWKSet>;

export interface KeySetOptions {
  /** Resolves or rejects within some seconds. */
  readonly fetch: () => Promise<readonly PublicKey[]>;
  readonly now: () => number;
  /** Called with the reason each time that keys cannot be fetched. */
  readonly onProblem?: (reason: string) => void;
}

/** The public keys of an issuer. While they cannot be fetched, the last ones hold. */
export class KeySet {
  readonly #options: KeySetOptions;
  #find: FindKey | undefined;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #running: Promise<void> | undefined;
  #problem = "";

  constructor(options: KeySetOptions) {
    this.#options = options;
  }

  /**
   * The key that a token says it is signed with.
   *
   * @throws JOSEError if there is none; KeysUnavailableError if there are no keys at all
   */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput) {
    if (!this.#find) {
      await this.#refresh(RETRY_MS);
      if (!this.#find) throw new KeysUnavailableError(this.#problem);
    } else if (this.#options.now() - this.#fetchedAt > MAX_AGE_MS) {
      // Nobody waits for it: these keys hold until then.
      void this.#refresh(COOL_DOWN_MS);
    }
    try {
      return await this.#find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // It may be new.
      await this.#refresh(COOL_DOWN_MS);
      return this.#find(header, token);
    }
  }

  /** Fetches the keys, once for all who wait, unless that was tried a moment ago. Does not reject. */
  async #refresh(pause: number): Promise<void> {
    if (this.#running) return this.#running;
    if (this.#options.now() - this.#triedAt < pause) return undefined;
    this.#triedAt = this.#options.now();
    this.#running = this.#fetch();
    await this.#running;
    this.#running = undefined;
    return undefined;
  }

  async #fetch(): Promise<void> {
    try {
      const keys = await this.#options.fetch();
      // They have been parsed: each has a kty, and jose checks what else it needs of one.
      this.#find = createLocalJWKSet({ keys } as unknown as JSONWebKeySet);
      this.#fetchedAt = this.#options.now();
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#options.onProblem?.(this.#problem);
    }
  }
}
