import type { Concealment } from "./concealment.ts";
import type { Failures } from "./failures.ts";
import type { Operation, Right } from "./operation.ts";
import { ProblemError, problemResponse } from "./problem-details.ts";
import { bodyOf, queryOf } from "./request-parts.ts";

/** Where the operations are. */
export const API_PREFIX = "/api/v1";

interface Route {
  readonly operation: Operation;
  readonly segments: readonly string[];
}

interface Found {
  readonly operation: Operation;
  readonly params: Readonly<Record<string, string>>;
}

/** Finds the operation for a request, and turns whatever goes wrong into problem details. */
export class Router {
  readonly operations: readonly Operation[];
  readonly #routes: readonly Route[];

  readonly #failures: Pick<Failures, "problem">;
  readonly #concealment: Concealment | undefined;

  /**
   * @param concealment for whoever may only read; absent where nothing can be private
   * @throws Error if two operations have the same method and path, or the same id
   */
  constructor(
    operations: readonly Operation[],
    failures: Pick<Failures, "problem">,
    concealment?: Concealment,
  ) {
    this.operations = operations;
    this.#concealment = concealment;
    this.#failures = failures;
    this.#routes = operations.map((operation) => ({
      operation,
      segments: operation.path.slice(1).split("/"),
    }));
    const places = operations.map(
      ({ method, path }) => `${method} ${path.replace(/\{.*?\}/g, "{}")}`,
    );
    for (const names of [places, operations.map(({ id }) => id)]) {
      const twice = names.find((name, index) => names.indexOf(name) !== index);
      if (twice !== undefined) throw new Error(`there are two operations ${twice}`);
    }
  }

  /**
   * @param right what the client's token allows; everything where none is needed
   * @param onReceived called once the request was received whole, before it is carried out
   */
  async respond(
    request: Request,
    right: Right = "admin",
    onReceived: () => void = () => {},
  ): Promise<Response> {
    const { method, headers } = request;
    let name = `${method} ${new URL(request.url).pathname}`;
    try {
      const found = this.#find(method, new URL(request.url).pathname);
      name = found.operation.id;
      const response = await this.#respond(request, right, { ...found, onReceived });
      if (request.method !== "HEAD") return response;
      await response.body?.cancel();
      return new Response(null, response);
    } catch (error) {
      return problemResponse(this.#failures.problem(error, { operation: name, headers }));
    }
  }

  /** @param path below `API_PREFIX` */
  has(path: string): boolean {
    const segments = path.slice(1).split("/");
    return this.#routes.some(({ segments: pattern }) => match(pattern, segments));
  }

  async #respond(
    request: Request,
    right: Right,
    { operation, params, onReceived }: Found & { readonly onReceived: () => void },
  ): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (operation.right === "admin" && right !== "admin") {
      const detail = `the token only allows to read, and this changes something: ${request.method} ${pathname}`;
      throw new ProblemError({ status: 403, detail, next: "send the admin token" });
    }
    const query = queryOf(searchParams, operation.query);
    const body = await bodyOf(request, operation);
    onReceived();
    const concealment = right === "admin" ? undefined : this.#concealment;
    return operation.respond({
      query,
      params,
      body,
      request,
      concealment: concealment?.isNeeded ? concealment : undefined,
    });
  }

  #find(method: string, pathname: string): Found {
    const path = pathname.slice(API_PREFIX.length);
    const segments = path.slice(1).split("/").map(decoded);
    // A path without parameters comes before one that has them.
    const candidates = this.#routes
      .flatMap(({ operation, segments: pattern }) => {
        const params = match(pattern, segments);
        return params ? [{ operation, params }] : [];
      })
      .toSorted((one, other) => Object.keys(one.params).length - Object.keys(other.params).length);
    const wanted = method === "HEAD" ? "GET" : method;
    const found = candidates.find(({ operation }) => operation.method === wanted);
    if (found) return found;
    if (candidates.length === 0) {
      const detail = `there is no endpoint ${pathname}`;
      const next = `GET ${API_PREFIX}/openapi.json describes all of them`;
      throw new ProblemError({ status: 404, detail, next });
    }
    const allowed = [...new Set(candidates.map(({ operation }) => operation.method))];
    const detail = `${method} is not a method of ${pathname}`;
    const headers = {
      allow: allowed.flatMap((one) => (one === "GET" ? [one, "HEAD"] : one)).join(", "),
    };
    throw new ProblemError({ status: 405, detail, next: `use ${allowed.join(" or ")}`, headers });
  }
}

/** @throws ProblemError if the text is not percent-encoded as it should be */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    const detail = `${JSON.stringify(segment.slice(0, 100))} is no percent-encoded text`;
    const next = "encode it as encodeURIComponent does";
    throw new ProblemError({ status: 400, detail, next }, { cause });
  }
}

/** The parameters by name, if the path fits the pattern. */
function match(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? "";
    if (expected.startsWith("{")) {
      if (segment === "") return undefined;
      params[expected.slice(1, -1)] = segment;
    } else if (expected !== segment) return undefined;
  }
  return params;
}
