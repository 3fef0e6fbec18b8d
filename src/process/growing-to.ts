/**
 * The bounds of an LRU cache that takes memory as it fills. By its `max`, lru-cache takes all of it at once, 24
 * bytes an entry and more: for what most caches hardly fill, that was 5 MB after a start.
 *
 * @param entries how many there may be
 */
export function growingTo(entries: number): { maxSize: number; sizeCalculation: () => number } {
  return { maxSize: entries, sizeCalculation: () => 1 };
}
