/** Server errors in a row that may say something about the whole server. */
const MIN_ERRORS = 3;
/** More of them are not needed to tell one from several. */
const MAX_REMEMBERED = 8;

/** What a request was about. */
export interface Question {
  /** `manifest`, `tags`: the endpoint. */
  readonly kind: string;
  readonly repository: string;
}

/**
 * The 5xx responses of a server since its last success. One is an answer about one endpoint and one
 * repository. Only when different endpoints of different repositories fail is it the server that fails.
 */
export class ServerErrors {
  readonly #kinds = new Set<string>();
  readonly #repositories = new Set<string>();
  #count = 0;

  add({ kind, repository }: Question): void {
    this.#count = Math.min(this.#count + 1, MIN_ERRORS);
    if (this.#kinds.size < MAX_REMEMBERED) this.#kinds.add(kind);
    if (this.#repositories.size < MAX_REMEMBERED) this.#repositories.add(repository);
  }

  /** Whether the server fails, rather than one of its endpoints or repositories. */
  get areEverywhere(): boolean {
    return this.#count >= MIN_ERRORS && this.#kinds.size > 1 && this.#repositories.size > 1;
  }

  clear(): void {
    this.#count = 0;
    this.#kinds.clear();
    this.#repositories.clear();
  }
}
