import { z } from "zod";
import { problemSchema } from "../../api/problem.ts";
import { formatAddress } from "../../config/parsing/address.ts";
import type { Settings } from "../../config/settings.ts";
import { eachElement } from "../../oci/json-elements.ts";

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

const errorBody = z.union([
  problemSchema.transform(({ detail, next }) => `${detail}: ${next}`),
  z.object({ error: z.string() }).transform(({ error }) => error),
]);

/** A client of the admin API of a running cache. */
export class AdminClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ admin, adminToken }: Pick<Settings, "admin" | "adminToken">) {
    // A cache that listens at all addresses is reached by loopback from here.
    const host = admin.host === "0.0.0.0" ? "127.0.0.1" : admin.host === "::" ? "::1" : admin.host;
    this.#base = `http://${formatAddress({ host, port: admin.port })}/api/v1/`;
    this.#headers = {
      "content-type": "application/json",
      ...(adminToken === undefined ? {} : { authorization: `Bearer ${adminToken}` }),
    };
  }

  get url(): string {
    return this.#base;
  }

  /** @throws AdminError if the cache refuses, another error if no cache responds */
  async get<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema>> {
    return this.#parse(await fetch(this.#base + path, { headers: this.#headers }), schema);
  }

  /**
   * Reads a long list, whose elements are never in memory all at once.
   *
   * @param name of the list in the response's object
   * @returns the headers of the response
   * @throws AdminError if the cache refuses, or ends before the list does
   */
  async list<Schema extends z.ZodType>(
    path: string,
    name: string,
    schema: Schema,
    take: (element: z.infer<Schema>) => void,
  ): Promise<Headers> {
    const response = await fetch(this.#base + path, { headers: this.#headers });
    if (!response.ok) throw await errorOf(response);
    try {
      const found = await eachElement(await response.text(), name, (elements) => {
        for (const element of elements) take(schema.parse(element));
      });
      if (found !== "array") throw new SyntaxError(`it has no list ${name}`);
      return response.headers;
    } catch (cause) {
      if (cause instanceof z.ZodError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `the cache at ${this.#base} did not send the whole list: ${why}`;
      throw new AdminError(503, message, { cause });
    }
  }

  /** @throws AdminError if the cache refuses or does not respond */
  async post<Schema extends z.ZodType>(
    path: string,
    body: object,
    schema: Schema,
  ): Promise<z.infer<Schema>> {
    return this.#parse(await this.send(path, body), schema);
  }

  /**
   * For responses that are streamed line by line.
   *
   * @throws AdminError if the cache refuses or does not respond
   */
  async send(path: string, body: object): Promise<Response> {
    const response = await fetch(this.#base + path, {
      method: "POST",
      headers: this.#headers,
      body: JSON.stringify(body),
      // A verification takes as long as it takes to read every stored byte.
      timeout: false,
    }).catch((cause: unknown) => {
      throw new AdminError(503, `the cache at ${this.#base} stopped before it responded`, {
        cause,
      });
    });
    if (response.ok) return response;
    throw await errorOf(response);
  }

  async #parse<Schema extends z.ZodType>(
    response: Response,
    schema: Schema,
  ): Promise<z.infer<Schema>> {
    if (!response.ok) throw await errorOf(response);
    return schema.parse(await response.json());
  }
}

async function errorOf(response: Response): Promise<AdminError> {
  const body: unknown = await response.json().catch(() => undefined);
  const message =
    errorBody.safeParse(body).data ?? `the cache responded with status ${response.status}`;
  const hint =
    response.status === 401
      ? ". Set ENTREPOT_ADMIN_TOKEN, or give the --config that contains the token"
      : "";
  return new AdminError(response.status, message + hint);
}
