import { LRUCache } from "lru-cache";

/** Longer ones are read anew each time: they are rare, and memory is not for them. */
const LONGEST = 256;

/** Queries as clients sent them. There are few: `ns=` and an upstream's name, mostly. */
export class Queries {
  readonly #known = new LRUCache<string, URLSearchParams>({ max: 256 });

  /**
   * Path and query without building a URL, which would cost more than most answers do. The query is
   * everybody's who asks the same, and must not be changed.
   */
  split(url: string): { path: string; query: URLSearchParams } {
    const start = url.indexOf("/", url.indexOf("://") + 3);
    const mark = url.indexOf("?", start);
    if (mark < 0) return { path: url.slice(start), query: this.#read("") };
    return { path: url.slice(start, mark), query: this.#read(url.slice(mark + 1)) };
  }

  #read(text: string): URLSearchParams {
    const known = this.#known.get(text);
    if (known) return known;
    const query = new URLSearchParams(text);
    if (text.length <= LONGEST) this.#known.set(text, query);
    return query;
  }
}
