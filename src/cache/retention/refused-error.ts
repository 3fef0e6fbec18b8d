/** An operator's request that cannot be carried out as it is. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  constructor(
    readonly kind: "invalid-argument" | "no-match" | "over-max-size" | "pinned",
    /** What is wrong with it. */
    readonly reason: string,
    /** What to do instead. */
    readonly next: string,
    /** The pattern of the pin that stands in the way. */
    readonly pin?: string,
  ) {
    super(`${reason}: ${next}`);
  }
}
