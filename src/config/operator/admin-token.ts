/** The bearer tokens that the admin port accepts, by what they allow. */
export interface AdminTokens {
  /** For everything. The commands of this machine send the first one. */
  readonly admin: readonly [string, ...string[]];
  /** For what changes nothing. */
  readonly read: readonly string[];
}

/** In characters. Shorter tokens could be guessed. */
export const MIN_TOKEN_LENGTH = 16;
export const MAX_TOKEN_LENGTH = 4096;

/** What is wrong with a token. */
export function tokenProblem(token: string): string | undefined {
  if (token.length < MIN_TOKEN_LENGTH) return `is shorter than ${MIN_TOKEN_LENGTH} characters`;
  if (token.length > MAX_TOKEN_LENGTH) return `is longer than ${MAX_TOKEN_LENGTH} characters`;
  // A header could not carry it as it is.
  if (!/^[!-~]+$/.test(token)) return "contains a space, or another character that is not ASCII";
  return undefined;
}
