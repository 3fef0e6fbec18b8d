import type { AdminTokens } from "../../config/operator/admin-token.ts";
import { AccessTokens } from "./access-tokens.ts";
import { FailedAttempts } from "./failed-attempts.ts";
import { Sessions } from "./sessions.ts";

/** Who has access to the admin port: the same for each server that listens at it in turn. */
export class AdminAccess {
  readonly tokens: AccessTokens;
  readonly sessions = new Sessions();
  readonly attempts = new FailedAttempts();

  constructor(tokens: AdminTokens | undefined) {
    this.tokens = new AccessTokens(tokens);
  }

  /** Takes up changed tokens. Sessions of those that are gone end. */
  configure(tokens: AdminTokens | undefined): void {
    this.tokens.configure(tokens);
    this.sessions.endUnless((token) => this.tokens.rightOf(token) !== undefined);
  }
}
