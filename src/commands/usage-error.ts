/** An option by which an exit code of 2 has another meaning: that there are changes to apply. */
export const DETAILED_EXITCODE = "--detailed-exitcode";

/**
 * The exit code for an invalid command line. A problem that a command finds is 1, and so is this one where
 * a misspelt option must not be taken for changes.
 */
export function usageErrorCode(args: readonly string[] = process.argv): 1 | 2 {
  return args.includes(DETAILED_EXITCODE) ? 1 : 2;
}
