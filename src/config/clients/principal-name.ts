const MAX_LENGTH = 200;

/** What is wrong with the name of a client, as text that goes on after what it is. */
export function nameProblem(name: string): string | undefined {
  if (name === "") return "the name is empty";
  if (name.length > MAX_LENGTH) return `the name is longer than ${MAX_LENGTH} characters`;
  // Names are part of log lines, and of what rules are compared with.
  if (!/^[\w./@+=~%-]+$/.test(name)) {
    return "the name has a character other than letters, digits and . _ / @ + = ~ % -";
  }
  return undefined;
}
