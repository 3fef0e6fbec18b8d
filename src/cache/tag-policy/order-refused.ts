/** What an operator wants of tags cannot be done as it is. */
export class OrderRefused extends Error {
  override readonly name = "OrderRefused";

  constructor(
    /** `none`: there is no such thing; `conflict`: it is so already, or something else stands in the way. */
    readonly kind: "invalid" | "none" | "conflict" | "not-kept",
    /** What is wrong with it. */
    readonly reason: string,
    /** What to do instead. */
    readonly next: string,
    options?: ErrorOptions,
  ) {
    super(`${reason}: ${next}`, options);
  }
}
