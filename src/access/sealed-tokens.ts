import type { PresentedCredentials } from "./authorization.ts";
import type { ProcessKey } from "./process-key.ts";

/** How long a token is accepted, in seconds. Clients ask for a new one then. */
export const TOKEN_LIFETIME = 300;

/** What tells them apart from the tokens of others. */
const PREFIX = "entrepot.";

type BasicCredentials = Extract<PresentedCredentials, { readonly scheme: "basic" }>;

/** What a token of this process carries; without credentials, that its client has none. */
export interface Carried {
  readonly credentials: BasicCredentials | undefined;
  /** When it expires, in milliseconds of the epoch. */
  readonly until: number;
}

/**
 * Bearer tokens for clients that want one (distribution's token specification). A token is the client's own
 * credentials, encrypted: what they are good for is decided when it is used.
 */
export class SealedTokens {
  readonly #key: ProcessKey;
  readonly #now: () => number;

  /** @param now in milliseconds of the epoch */
  constructor(key: ProcessKey, now: () => number = Date.now) {
    this.#key = key;
    this.#now = now;
  }

  issue(credentials: BasicCredentials | undefined): string {
    const { username, password } = credentials ?? { username: "", password: "" };
    const content = JSON.stringify([this.#now() + TOKEN_LIFETIME * 1000, username, password]);
    return `${PREFIX}${this.#key.seal(content)}`;
  }

  /** What a token carries; `undefined` if it is not one of this process, or has expired. */
  read(token: string): Carried | undefined {
    if (!token.startsWith(PREFIX)) return undefined;
    const content = this.#key.open(token.slice(PREFIX.length));
    if (content === undefined) return undefined;
    // Only this process can have sealed it, so it is what `issue` wrote.
    const [until, username, password] = JSON.parse(content) as [number, string, string];
    if (this.#now() >= until) return undefined;
    const isAnonymous = username === "" && password === "";
    const credentials = { scheme: "basic", username, password } as const;
    return { credentials: isAnonymous ? undefined : credentials, until };
  }
}
