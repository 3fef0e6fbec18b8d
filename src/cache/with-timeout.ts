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
