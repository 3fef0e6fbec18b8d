/** Ctrl-C or SIGTERM ended a command before its work was done. The message says what becomes of the work. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";

  constructor(
    readonly signal: NodeJS.Signals,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** As shells have it for a command that a signal has ended: 128 and the signal's number. */
  get exitCode(): number {
    return this.signal === "SIGTERM" ? 143 : 130;
  }
}
