/** Something an operator asked for that cannot be done as asked. The message says what to do instead. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  constructor(
    readonly kind: "no-pattern" | "matches-nothing" | "over-the-bound" | "pinned",
    message: string,
  ) {
    super(message);
  }
}
