/** Calls `work`, and `onError` with the first of several errors in a row. Resolves to nothing then. */
export function reportingOnce<Value>(
  work: () => Promise<Value>,
  onError: (error: unknown) => void,
): () => Promise<Value | undefined> {
  let isFailing = false;
  return async () => {
    try {
      const value = await work();
      isFailing = false;
      return value;
    } catch (error) {
      if (!isFailing) onError(error);
      isFailing = true;
      return undefined;
    }
  };
}
