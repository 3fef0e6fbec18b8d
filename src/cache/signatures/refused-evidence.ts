/** What was found is no signature that counts. The message completes `signature X: `, and is for people. */
export class RefusedEvidence extends Error {
  override readonly name = "RefusedEvidence";
}
