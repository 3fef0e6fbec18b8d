/** Why a cloud issued no credentials. The message is a clause: who did what, and what to do. */
export class CloudError extends Error {
  override readonly name = "CloudError";
  /** Whether the same may succeed a moment later. */
  readonly isPassing: boolean;

  constructor(message: string, options: ErrorOptions & { readonly isPassing?: boolean } = {}) {
    super(message, options);
    this.isPassing = options.isPassing ?? false;
  }
}

/** A code from outside, for a message: nothing else of a response is shown, since it may have a secret. */
export function shownCode(code: unknown): string {
  return typeof code === "string" && /^[\w.:-]{1,64}$/.test(code) ? code : "";
}
