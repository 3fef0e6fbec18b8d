import { isDeepStrictEqual } from "node:util";
import type { AdminTokens } from "../../config/operator/admin-token.ts";
import { AccessTokens } from "./access-tokens.ts";
import { FailedAttempts } from "../../access/failed-attempts.ts";
import { Sessions } from "./sessions.ts";

/** Who has access to the admin port: the same for each server that listens at it in turn. */
export class AdminAccess {
  readonly tokens: AccessTokens;
  readonly sessions = new Sessions();
  readonly attempts = new FailedAttempts();

  #configured: AdminTokens | undefined;
  #change = new AbortController();

  constructor(tokens: AdminTokens | undefined) {
    this.#configured = tokens;
    this.tokens = new AccessTokens(tokens);
  }

  /** Aborts when the tokens change, and is another one then. */
  get changed(): AbortSignal {
    return this.#change.signal;
  }

  /** Takes up changed tokens. Sessions of those that are gone end. */
  configure(tokens: AdminTokens | undefined): void {
    if (isDeepStrictEqual(tokens, this.#configured)) return;
    this.#configured = tokens;
    this.tokens.configure(tokens);
    this.sessions.endUnless((token) => this.tokens.rightOf(token) !== undefined);
    const change = this.#change;
    this.#change = new AbortController();
    change.abort();
  }
}
