import { z } from "zod";
import type { Settings } from "../../config/settings.ts";

/** A running cache refused, with its reason. */
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

const problem = z.object({ error: z.string() });

/** Asks a running cache by its admin port. */
export class AdminClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ admin, adminToken }: Pick<Settings, "admin" | "adminToken">) {
    // An address that means all of them is reached by loopback from here.
    const host = admin.host === "0.0.0.0" ? "127.0.0.1" : admin.host === "::" ? "::1" : admin.host;
    this.#base = `http://${host.includes(":") ? `[${host}]` : host}:${admin.port}/api/v1/`;
    this.#headers = {
      "content-type": "application/json",
      ...(adminToken === undefined ? {} : { authorization: `Bearer ${adminToken}` }),
    };
  }

  get url(): string {
    return this.#base;
  }

  /** @throws AdminError where it refuses, TypeError-like errors where nobody listens */
  async get<Form extends z.ZodType>(path: string, form: Form): Promise<z.infer<Form>> {
    return this.#read(await fetch(this.#base + path, { headers: this.#headers }), form);
  }

  async post<Form extends z.ZodType>(
    path: string,
    body: object,
    form: Form,
  ): Promise<z.infer<Form>> {
    return this.#read(await this.send(path, body), form);
  }

  /** For answers that come line by line. */
  async send(path: string, body: object): Promise<Response> {
    const response = await fetch(this.#base + path, {
      method: "POST",
      headers: this.#headers,
      body: JSON.stringify(body),
      // What it does may take as long as it takes to read everything.
      timeout: false,
    }).catch((cause: unknown) => {
      throw new AdminError(503, `the cache at ${this.#base} went away before it answered`, {
        cause,
      });
    });
    if (response.ok) return response;
    throw await refusal(response);
  }

  async #read<Form extends z.ZodType>(response: Response, form: Form): Promise<z.infer<Form>> {
    if (!response.ok) throw await refusal(response);
    return form.parse(await response.json());
  }
}

async function refusal(response: Response): Promise<AdminError> {
  const body: unknown = await response.json().catch(() => undefined);
  const message = problem.safeParse(body).data?.error ?? `it answered ${response.status}`;
  const hint =
    response.status === 401 ? ". Set ENTREPOT_ADMIN_TOKEN, or name its --config, which has it" : "";
  return new AdminError(response.status, message + hint);
}
