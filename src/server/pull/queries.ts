import { LRUCache } from "lru-cache";

/** Longer queries are rare, and are not cached: a client must not fill the memory with them. */
const MAX_LENGTH = 256;

/** Parses the queries of URLs, with an LRU cache: most are `ns=` with one of few names. */
export class Queries {
  readonly #parsed = new LRUCache<string, URLSearchParams>({ max: 256 });

  /**
   * Splits without building a `URL`, which would cost more than most responses do. Requests share
   * the returned query, so it must not be changed.
   */
  split(url: string): { path: string; query: URLSearchParams } {
    const start = url.indexOf("/", url.indexOf("://") + 3);
    const mark = url.indexOf("?", start);
    if (mark < 0) return { path: url.slice(start), query: this.#parse("") };
    return { path: url.slice(start, mark), query: this.#parse(url.slice(mark + 1)) };
  }

  #parse(text: string): URLSearchParams {
    const parsed = this.#parsed.get(text);
    if (parsed) return parsed;
    const query = new URLSearchParams(text);
    if (text.length <= MAX_LENGTH) this.#parsed.set(text, query);
    return query;
  }
}
