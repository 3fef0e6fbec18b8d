const MAX_LENGTH = 256;
/** What would change how a line of a log looks, or what a text is taken for. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** What is wrong with a name that a token or a certificate states, as text that follows what it is. */
export function principalProblem(text: string): string | undefined {
  if (text === "") return "is empty";
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  return UNSEEN.test(text) ? "has characters that are not visible" : undefined;
}
