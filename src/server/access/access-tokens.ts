import { timingSafeEqual } from "node:crypto";
import type { AdminTokens } from "../../config/operator/admin-token.ts";

/** What a token allows. */
export type Right = "read" | "admin";

/** A token that is accepted: by its fingerprint, so that no session keeps the token itself. */
export interface AcceptedToken {
  readonly fingerprint: string;
  readonly right: Right;
}

interface Known extends AcceptedToken {
  readonly hash: Uint8Array;
}

/** The tokens that are accepted at the moment, and what each allows. */
export class AccessTokens {
  #known: readonly Known[] = [];

  constructor(tokens: AdminTokens | undefined) {
    this.configure(tokens);
  }

  /** @param tokens absent where everybody may do everything */
  configure(tokens: AdminTokens | undefined): void {
    const known = (right: Right) => (token: string) => {
      const hash = hashOf(token);
      return { right, hash, fingerprint: hash.toHex() };
    };
    const { admin = [], read = [] } = tokens ?? {};
    this.#known = [...admin.map(known("admin")), ...read.map(known("read"))];
  }

  /** Whether anything is allowed only with a token. */
  get areNeeded(): boolean {
    return this.#known.length > 0;
  }

  /**
   * Compares hashes, and all of them: the time reveals neither where tokens differ, nor their length, nor
   * which of them it is.
   */
  find(sent: string): AcceptedToken | undefined {
    const hash = hashOf(sent);
    let found: AcceptedToken | undefined;
    for (const known of this.#known) {
      if (timingSafeEqual(hash, known.hash)) found ??= known;
    }
    return found;
  }

  /** What the token of a session allows now; undefined once it is no longer accepted. */
  rightOf(fingerprint: string): Right | undefined {
    return this.#known.find((known) => known.fingerprint === fingerprint)?.right;
  }
}

function hashOf(text: string): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(text).digest();
}
