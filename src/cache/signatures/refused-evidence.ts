import { printable } from "../../printable.ts";

const MAX_LENGTH = 300;

/**
 * What was found is no signature that counts. The message completes `signature X: `, and is for people: in one line, since
 * most of it may come from whoever made the signature.
 */
export class RefusedEvidence extends Error {
  override readonly name = "RefusedEvidence";

  constructor(message: string, options?: ErrorOptions) {
    const line = printable(message);
    super(
      line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH)}…`.toWellFormed() : line,
      options,
    );
  }
}
