import type { paths } from "#admin-api";
import createClient, { type Client } from "openapi-fetch";
import { problemSchema } from "../../api/problem.ts";
import type { AdminEndpoint } from "../../config/addresses/admin-endpoint.ts";
import { API_PREFIX } from "../../server/api/router.ts";

/** A running cache refused a request. The message is its reason. */
export class AdminError extends Error {
  override readonly name = "AdminError";

  constructor(
    readonly status: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a call of the API resolves with. */
export interface ApiAnswer<Data> {
  readonly data?: Data;
  readonly error?: unknown;
  readonly response: Response;
}

/** A client of the admin API of a running cache. */
export class AdminClient {
  /** The operations, by the types of the API's description. What a call gives is for `ask`. */
  readonly api: Client<paths>;
  readonly #base: string;
  readonly #reread: () => AdminEndpoint;
  /** The token that was accepted last. */
  #authorization: string | undefined;

  /** @param reread reads again how the cache is reached, since a token may be replaced at any time */
  constructor(endpoint: AdminEndpoint, reread: () => AdminEndpoint = () => endpoint) {
    const { url, headers, tls } = endpoint;
    this.#reread = reread;
    this.#authorization = headers["authorization"];
    const baseUrl = url + API_PREFIX;
    this.#base = `${baseUrl}/`;
    this.api = createClient<paths>({
      baseUrl,
      headers: { "content-type": "application/json", ...headers },
      fetch: (request) => this.#send(request, tls),
    });
  }

  /** Sends a request, and once more with a token that has replaced the one that is refused. */
  async #send(request: Request, tls: AdminEndpoint["tls"]): Promise<Response> {
    // A job is followed for as long as it runs.
    const init = { timeout: false, ...(tls && { tls }) } as const;
    const again = request.clone();
    if (this.#authorization !== undefined) {
      request.headers.set("authorization", this.#authorization);
    }
    const response = await fetch(request, init);
    if (response.status !== 401) return response;
    const replaced = this.#replaced();
    if (replaced === undefined) return response;
    await response.body?.cancel();
    this.#authorization = replaced;
    again.headers.set("authorization", replaced);
    return fetch(again, init);
  }

  /** Another token than the one that was sent, if there is one by now. */
  #replaced(): string | undefined {
    try {
      const authorization = this.#reread().headers["authorization"];
      return authorization === this.#authorization ? undefined : authorization;
    } catch {
      // A file that is half written is no new token.
      return undefined;
    }
  }

  get url(): string {
    return this.#base;
  }

  /**
   * What a read gives.
   *
   * @throws AdminError if the cache refuses, another error if no cache responds
   */
  async ask<Data>(answer: Promise<ApiAnswer<Data>>): Promise<Data> {
    const { data, error, response } = await answer;
    if (response.ok && data !== undefined) return data;
    throw errorOf(response, error);
  }

  /**
   * What an order gives. It may have been carried out even if the connection breaks.
   *
   * @throws AdminError if the cache refuses or does not respond
   */
  order<Data>(answer: Promise<ApiAnswer<Data>>): Promise<Data> {
    return this.ask(
      answer.catch((cause: unknown) => {
        const message = `the cache at ${this.#base} stopped before it responded`;
        throw new AdminError(503, message, { cause });
      }),
    );
  }
}

/** The items of a list, page by page. */
export async function* eachPage<Item>(
  page: (
    cursor: string | undefined,
  ) => Promise<{ readonly items: readonly Item[]; readonly next?: string | undefined }>,
): AsyncGenerator<readonly Item[]> {
  let cursor: string | undefined;
  do {
    const { items, next } = await page(cursor);
    if (items.length > 0) yield items;
    cursor = next;
  } while (cursor !== undefined);
}

function errorOf({ status }: Response, body: unknown): AdminError {
  const problem = problemSchema.safeParse(body).data;
  const hint =
    status === 401
      ? ". Set ENTREPOT_ADMIN_TOKEN, or give the --config that contains the token"
      : "";
  const message = problem ? problemText(problem) : `the cache responded with status ${status}`;
  return new AdminError(status, message + hint);
}

/** Problems whose details say what to do already, as far as that is known. */
const COMPLETE: ReadonlySet<number> = new Set([401, 422, 500]);

/** In words for a person. */
export function problemText({
  status,
  detail,
  next,
}: {
  readonly status: number;
  readonly detail: string;
  readonly next: string;
}): string {
  return COMPLETE.has(status) ? detail : `${detail}: ${next}`;
}
