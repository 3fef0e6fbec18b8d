/**
 * How long a client waits for this machine's disk when it has to wait for nothing else, in milliseconds: a
 * healthy disk is faster. What a slow one still has to do is done behind, and the client goes on.
 */
export const DISK_PATIENCE_MS = 100;

/**
 * The result of `work`, or `undefined` if it takes longer than the timeout. The work itself is not
 * cancelled.
 */
export async function withTimeout<Value>(
  milliseconds: number,
  work: Promise<Value>,
): Promise<Value | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), milliseconds);
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
