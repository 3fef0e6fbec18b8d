/**
 * Where a URL was redirected to, for further requests of the same blob: parts of it need no new signed URL
 * as long as this one is accepted.
 */
export class KnownRedirect {
  #from: string | undefined;
  #to: URL | undefined;

  /** The URL to request in place of `url`. */
  of(url: URL): URL {
    return this.#to && this.#from === url.href ? this.#to : url;
  }

  remember(from: URL, to: URL): void {
    this.#from = from.href;
    this.#to = from.href === to.href ? undefined : to;
  }

  forget(): void {
    this.#to = undefined;
  }
}
