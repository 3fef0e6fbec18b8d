import type { KnownUser } from "../../config/access/clients-settings.ts";
import type { ProcessKey } from "../process-key.ts";

/** What a password proves; `busy`: too many others are being looked at. */
export type PasswordAnswer = "right" | "wrong" | "busy";

/** How many are looked at at once: each takes a thread of the pool that reads and writes files too. */
const AT_ONCE = 2;
/** How many wait for that: some seconds. */
const MAX_WAITING = 32;
/** bcrypt does not tell apart what is longer (`htpasswd` cuts it off). In bytes. */
const MAX_BYTES = 72;

/**
 * The passwords of an htpasswd file. bcrypt is slow on purpose, and computed in other threads, few at once. A
 * user that does not exist takes as long as a wrong password.
 */
export class Passwords {
  readonly #key: ProcessKey;
  #hashes = new Map<string, string>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(key: ProcessKey) {
    this.#key = key;
  }

  configure(users: readonly KnownUser[]): void {
    this.#hashes = new Map(users.map(({ name, hash }) => [name, hash]));
  }

  /** How many have a right to an answer: of each, it is known how long it takes at most. */
  async check(username: string, password: string): Promise<PasswordAnswer> {
    const own = this.#hashes.get(username);
    const hash = own ?? this.#hashInstead(username);
    if (hash === undefined || Buffer.byteLength(password) > MAX_BYTES) return "wrong";
    if (this.#running >= AT_ONCE) {
      if (this.#waiting.length >= MAX_WAITING) return "busy";
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    } else this.#running += 1;
    try {
      const isRight = await Bun.password.verify(password, hash);
      return isRight && own !== undefined ? "right" : "wrong";
    } finally {
      // The next one takes over the place of this one.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  /** The hash of another user, always the same for a name: it costs what those of this file cost. */
  #hashInstead(username: string): string | undefined {
    const hashes = [...this.#hashes.values()];
    const index = Buffer.from(this.#key.name("user", username), "base64url").readUInt32BE(0);
    return hashes[index % hashes.length];
  }
}
