/** An image cannot be warmed, for a reason that is neither the registry's nor the store's. */
export class WarmError extends Error {
  override readonly name: string = "WarmError";
}

/** The configuration keeps an image from being stored here. */
export class UncachedError extends WarmError {
  override readonly name = "UncachedError";
}
