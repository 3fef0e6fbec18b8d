import { z } from "zod";
import { problemSchema, PROBLEM_TYPE } from "../../../src/api/problem.ts";
import { isStreamed, type Operation } from "../../../src/server/api/operation.ts";

export interface Call {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A document, as far as it says which responses an operation has. */
const documented = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({ operationId: z.string(), responses: z.record(z.string(), z.unknown()) }),
    ),
  ),
});

/** Calls the admin API of a cache, and checks each answer against what the API says of itself. */
export class DescribedApi {
  /** Calls so far, with the statuses that they were answered with. */
  readonly called = new Map<string, Set<number>>();
  readonly #operations: ReadonlyMap<string, Operation>;
  readonly #base: string;
  readonly #statuses = new Map<string, readonly string[]>();

  constructor(operations: readonly Operation[], adminAddress: string) {
    this.#operations = new Map(operations.map((operation) => [operation.id, operation]));
    this.#base = `http://${adminAddress}/api/v1`;
  }

  /** Reads the description. */
  async open(): Promise<object> {
    const document: unknown = await (await fetch(`${this.#base}/openapi.json`)).json();
    for (const methods of Object.values(documented.parse(document).paths)) {
      for (const { operationId, responses } of Object.values(methods)) {
        this.#statuses.set(operationId, Object.keys(responses));
      }
    }
    return z.looseObject({}).parse(document);
  }

  /** @throws Error if the answer is not as described */
  async call(id: string, { params = {}, query = {}, body }: Call = {}): Promise<Answered> {
    const operation = this.#operation(id);
    const path = pathOf(operation, params);
    const search = new URLSearchParams(query).toString();
    const response = await fetch(`${this.#base}${path}${search && "?"}${search}`, {
      method: operation.method,
      ...(operation.method !== "GET" && { headers: { "content-type": "application/json" } }),
      ...(body && { body: JSON.stringify(body) }),
    });
    const { status, headers } = response;
    await this.#mustBeDescribed(id, response);
    const type = headers.get("content-type");
    if (!response.ok) return { status, headers, body: await problemIn(response) };
    const { answer } = operation;
    if (!answer) return { status, headers, body: await response.text() };
    if (isStreamed(answer)) return this.#streamed(response, answer.type);
    if (status === 202 && headers.has("location"))
      await this.#ended(headers.get("location"), answer);
    return {
      status,
      headers,
      body: exactly(answer, type, "application/json", await response.json()),
    };
  }

  /**
   * Sends what no operation takes, and gives the statuses of the answers.
   *
   * @throws Error if an answer is not as described
   */
  async misuse(id: string): Promise<readonly number[]> {
    const operation = this.#operation(id);
    const { method, maxBody = 64 * 1024 } = operation;
    const address = this.#base + pathOf(operation, {}, "x");
    const json = { "content-type": "application/json" };
    const sent: readonly (readonly [search: string, init: BunFetchRequestInit])[] = [
      ["?no-such-field=1", { headers: json }],
      ...(method === "GET"
        ? []
        : ([
            ["", { headers: { "content-type": "application/json-patch+json" }, body: "[]" }],
            ["", { headers: json, body: "{" }],
            ["", { headers: json, body: '{"noSuchField":1}' }],
            ["", { headers: json, body: " ".repeat(maxBody + 1) }],
          ] as const)),
    ];
    const statuses: number[] = [];
    for (const [search, init] of sent) {
      const response = await fetch(address + search, { method, ...init });
      statuses.push(response.status);
      await this.#mustBeDescribed(id, response);
      await problemIn(response);
    }
    return statuses;
  }

  #operation(id: string): Operation {
    const operation = this.#operations.get(id);
    if (operation) return operation;
    throw new Error(`there is no operation ${id}`);
  }

  async #mustBeDescribed(id: string, response: Response): Promise<void> {
    const { status } = response;
    this.called.set(id, (this.called.get(id) ?? new Set()).add(status));
    if (this.#statuses.get(id)?.includes(String(status))) return;
    throw new Error(
      `${id} is answered with ${status}, which is not described: ${await response.text()}`,
    );
  }

  /** What came of a job is described by what starts it. */
  async #ended(location: string | null, answer: z.ZodType): Promise<void> {
    const address = new URL(location ?? "", this.#base).href;
    await (await fetch(`${address}/events`)).text();
    const ended = await fetch(address);
    const job = exactly(
      answer,
      ended.headers.get("content-type"),
      "application/json",
      await ended.json(),
    );
    z.looseObject({ endedAt: z.number() }).parse(job);
  }

  async #streamed(response: Response, type: string): Promise<Answered> {
    const { status, headers } = response;
    const got = headers.get("content-type") ?? "";
    if (!got.startsWith(type)) throw new Error(`it is ${got}, and should be ${type}`);
    const reader = response.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    await reader?.cancel();
    return { status, headers, body: new TextDecoder().decode(value) };
  }
}

function pathOf(
  { path }: Operation,
  params: Readonly<Record<string, string>>,
  otherwise = "",
): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name] ?? otherwise),
  );
}

async function problemIn(response: Response): Promise<unknown> {
  const type = response.headers.get("content-type");
  return exactly(problemSchema, type, PROBLEM_TYPE, await response.json());
}

/** What fits a schema, and has nothing that the schema does not know: parsing leaves that out. */
function exactly(schema: z.ZodType, type: string | null, expected: string, body: unknown): unknown {
  if (!type?.startsWith(expected)) throw new Error(`it is ${type}, and should be ${expected}`);
  const parsed = schema.parse(body);
  if (Bun.deepEquals(parsed, body)) return body;
  throw new Error(
    `it has what is not described: ${JSON.stringify(body)}, and not ${JSON.stringify(parsed)}`,
  );
}
