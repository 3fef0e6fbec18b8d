import { type Authorization, parseAuthorization } from "../../../access/authorization.ts";
import type { ProcessKey } from "../../../access/process-key.ts";
import type { SealedTokens } from "../../../access/sealed-tokens.ts";
import { IDENTITY_TOKEN_USER } from "../../../config/upstreams/docker-config.ts";
import type { ClientCredentials } from "../../../upstream/auth/client-keyring.ts";
import type { ReceivedRequest } from "../incoming-request.ts";

export interface PresentedOptions {
  readonly key: ProcessKey;
  readonly tokens: SealedTokens;
}

/** What requests present to show who sends them. */
export class Presented {
  readonly #options: PresentedOptions;

  constructor(options: PresentedOptions) {
    this.#options = options;
  }

  /** What a request presents. A token of this cache stands for what it carries. */
  of({ headers }: ReceivedRequest): Authorization & { readonly until?: number } {
    const authorization = parseAuthorization(headers.get("authorization"));
    if (authorization.kind !== "presented") return authorization;
    const { credentials } = authorization;
    if (credentials.scheme !== "bearer") return authorization;
    const carried = this.#options.tokens.read(credentials.token);
    if (!carried) return authorization;
    const { until } = carried;
    return carried.credentials
      ? { kind: "presented", credentials: carried.credentials, until }
      : { kind: "none" };
  }

  /** What can be sent to a registry; `undefined` for nothing. */
  credentials(authorization: Authorization): ClientCredentials | undefined {
    if (authorization.kind !== "presented") return undefined;
    const { credentials } = authorization;
    if (credentials.scheme !== "basic") return undefined;
    const { password } = credentials;
    // Runtimes send an identity token as a password without a user.
    const username = credentials.username || IDENTITY_TOKEN_USER;
    return { username, password, account: this.#options.key.name("account", username, password) };
  }
}

/** How tokens of GitHub, GitLab, Docker, npm and others begin, and JWTs. */
const TOKEN = /^(?:gh[a-z]_|github_pat_|gl[a-z]{2,8}-|dckr_|npm_|xox|eyJ)/;
/** Longer runs of digits and letters are no names. */
const RANDOM = /[A-Za-z\d]{32}/;

/** Some put a token in the place of the user's name: those are not written anywhere. */
export function shownName({ username, password, account }: ClientCredentials): string {
  const isSecret =
    password === "" ||
    password === "x-oauth-basic" ||
    username.length > 64 ||
    TOKEN.test(username) ||
    RANDOM.test(username);
  return isSecret || username === IDENTITY_TOKEN_USER ? `#${account.slice(0, 16)}` : username;
}
