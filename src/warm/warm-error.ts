/** An image cannot be warmed, for a reason that is neither the registry's nor the store's. */
export class WarmError extends Error {
  override readonly name = "WarmError";
}
