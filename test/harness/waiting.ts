export interface Patience {
  /** What is waited for, for the error's text. */
  readonly what: string;
  /** In milliseconds. */
  readonly within?: number;
  /** Said in the error besides, asked for only then. */
  readonly detail?: () => string;
}

/** Waits until `condition` gives something true, and returns it. What it throws counts as not yet. */
export async function until<T>(
  condition: () => T | Promise<T>,
  { what, within = 10_000, detail }: Patience,
): Promise<Exclude<T, false | undefined | null>> {
  const deadline = performance.now() + within;
  let failure = "";
  for (;;) {
    try {
      const value = await condition();
      // Exactly these three are left out of the result's type.
      if (value !== false && value !== undefined && value !== null)
        return value as Exclude<T, false | undefined | null>;
      failure = "";
    } catch (error) {
      if (error instanceof GivenUp) throw error;
      failure = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() >= deadline) {
      const text = [failure, detail?.() ?? ""].filter(Boolean).join("\n");
      throw new Error(`waited ${within} ms in vain for ${what}${text ? `: ${text}` : ""}`);
    }
    await Bun.sleep(10);
  }
}

/** Thrown by a condition that can never come true any more. */
export class GivenUp extends Error {
  override readonly name = "GivenUp";
}

/** A promise that is settled by whoever holds it: it keeps an answer back until the test lets go. */
export class Gate {
  readonly #resolvers = Promise.withResolvers<void>();
  readonly opened: Promise<void> = this.#resolvers.promise;
  open(): void {
    this.#resolvers.resolve();
  }
}

/**
 * The message that a promise rejects with. Bun's `expect(promise).rejects` waits in an event loop of
 * its own, in which a gRPC call never comes to its end.
 */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  const value = await promise.then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  if (value === undefined) throw new Error("it was expected to fail, and did not");
  return value.message;
}
