export interface UntilOptions {
  /** The expected event, for the error message. */
  readonly what: string;
  /** The timeout in milliseconds; default 30,000: on a busy machine, a cache takes ten seconds to start. */
  readonly within?: number;
  /** Computes additional text for the error message; called only on timeout. */
  readonly detail?: () => string;
}

/**
 * Polls `condition` every 10 ms until it returns neither `false` nor nothing, and returns its value.
 * An error that it throws counts as "not yet".
 * @throws Error after the timeout, with the last error of `condition`
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { what, within = 30_000, detail }: UntilOptions,
): Promise<Exclude<T, false | undefined | null>> {
  const deadline = performance.now() + within;
  let failure = "";
  for (;;) {
    try {
      const value = await condition();
      // Exactly these three are excluded from the result's type.
      if (value !== false && value !== undefined && value !== null)
        return value as Exclude<T, false | undefined | null>;
      failure = "";
    } catch (error) {
      if (error instanceof NeverTrueError) throw error;
      failure = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() >= deadline) {
      const text = [failure, detail?.() ?? ""].filter(Boolean).join("\n");
      throw new Error(`timed out after ${within} ms waiting for ${what}${text ? `: ${text}` : ""}`);
    }
    await Bun.sleep(10);
  }
}

/** Thrown by a condition that can no longer become true: `until` rethrows it at once. */
export class NeverTrueError extends Error {
  override readonly name = "GivenUp";
}

/** A promise that the test resolves itself, for example to hold back a response. */
export class Gate {
  readonly #resolvers = Promise.withResolvers<void>();
  readonly opened: Promise<void> = this.#resolvers.promise;
  open(): void {
    this.#resolvers.resolve();
  }
}

/**
 * The message of the error with which a promise rejects. Bun's `expect(promise).rejects` waits in a
 * nested event loop in which a gRPC call never completes.
 * @throws Error if the promise resolves
 */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  const value = await promise.then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  if (value === undefined) throw new Error("expected a failure, but the promise resolved");
  return value.message;
}
