/** An operator's request that cannot be carried out as it is. The message says what to do instead. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  constructor(
    readonly kind: "invalid-argument" | "no-match" | "over-max-size" | "pinned",
    message: string,
  ) {
    super(message);
  }
}
