import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";

/** How long a session lasts, in milliseconds. */
export const SESSION_MS = 12 * 60 * 60 * 1000;
/** More than operators who are logged in at once. The one that was used least recently ends. */
const MAX_SESSIONS = 1000;

interface Session {
  /** Of the token with which it began. */
  readonly token: string;
  readonly until: number;
}

/** Sessions of the page, in memory: they end with the process, as they end with their tokens. */
export class Sessions {
  /** By hashes: the time of a look-up says nothing of the identifiers. */
  readonly #sessions = new LRUCache<string, Session>({ max: MAX_SESSIONS });
  readonly #now: () => number;

  /** @param now replaces the clock in tests, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * @param token the fingerprint of the token
   * @returns the identifier of the new session, which only its browser knows
   */
  open(token: string): string {
    const id = randomBytes(32).toString("base64url");
    this.#sessions.set(keyOf(id), { token, until: this.#now() + SESSION_MS });
    return id;
  }

  /** The fingerprint of a session's token; undefined if there is no such session any more. */
  tokenOf(id: string): string | undefined {
    const session = this.#sessions.get(keyOf(id));
    if (!session) return undefined;
    if (this.#now() < session.until) return session.token;
    this.close(id);
    return undefined;
  }

  close(id: string): void {
    this.#sessions.delete(keyOf(id));
  }

  /** @param isAccepted whether a token, by its fingerprint, is still accepted */
  endUnless(isAccepted: (token: string) => boolean): void {
    for (const [key, { token }] of this.#sessions.entries()) {
      if (!isAccepted(token)) this.#sessions.delete(key);
    }
  }
}

function keyOf(id: string): string {
  return new Bun.CryptoHasher("sha256").update(id).digest("hex");
}
