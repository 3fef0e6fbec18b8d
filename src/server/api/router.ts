import { z } from "zod";
import type { Operation, Right } from "./operation.ts";
import { ProblemError, problemOf, problemResponse } from "./problem-details.ts";
import { readJson } from "./request-body.ts";

/** Where the operations are. */
export const API_PREFIX = "/api/v1";

interface Route {
  readonly operation: Operation;
  readonly segments: readonly string[];
}

/** Finds the operation for a request, and turns whatever goes wrong into problem details. */
export class Router {
  readonly operations: readonly Operation[];
  readonly #routes: readonly Route[];

  /** @throws Error if two operations have the same method and path, or the same id */
  constructor(operations: readonly Operation[]) {
    this.operations = operations;
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
    try {
      const response = await this.#respond(request, right, onReceived);
      if (request.method !== "HEAD") return response;
      await response.body?.cancel();
      return new Response(null, response);
    } catch (error) {
      return problemResponse(problemOf(error));
    }
  }

  /** @param path below `API_PREFIX` */
  has(path: string): boolean {
    const segments = path.slice(1).split("/");
    return this.#routes.some(({ segments: pattern }) => match(pattern, segments));
  }

  async #respond(request: Request, right: Right, onReceived: () => void): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const { operation, params } = this.#find(request.method, pathname);
    if (operation.right === "admin" && right !== "admin") {
      const detail = `the token only allows to read, and this changes something: ${request.method} ${pathname}`;
      throw new ProblemError({ status: 403, detail, next: "send the admin token" });
    }
    const query = queryOf(searchParams, operation.query);
    const body = await bodyOf(request, operation);
    onReceived();
    return operation.respond({ query, params, body, request });
  }

  #find(
    method: string,
    pathname: string,
  ): { readonly operation: Operation; readonly params: Readonly<Record<string, string>> } {
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
    const headers = { allow: allowed.join(", ") };
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

/**
 * Fields that the schema has as lists may be given several times, others once.
 *
 * @throws ProblemError if a field is given that the operation does not have, or twice
 */
function queryOf(
  searchParams: URLSearchParams,
  schema: z.ZodObject | undefined,
): Record<string, string | readonly string[]> {
  const query = new Map<string, string | readonly string[]>();
  for (const name of new Set(searchParams.keys())) {
    const values = searchParams.getAll(name);
    const field = schema && Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
    if (field && isList(field)) {
      query.set(name, values);
      continue;
    }
    const [value = "", ...more] = values;
    const shown = JSON.stringify(name.slice(0, 100));
    if (!schema || more.length > 0) {
      const detail = `the query has ${schema ? `${shown} ${values.length} times` : shown}`;
      const next = schema ? "give it once" : "leave it out: this endpoint takes no query";
      throw new ProblemError({ status: 400, detail, next });
    }
    query.set(name, value);
  }
  return Object.fromEntries(query);
}

function isList(schema: z.core.$ZodType): boolean {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return isList(schema.unwrap());
  }
  return schema instanceof z.ZodArray;
}

/** @throws ProblemError */
async function bodyOf(request: Request, { body, maxBody }: Operation): Promise<unknown> {
  if (body) return readJson(request, maxBody);
  const length = request.headers.get("content-length");
  if (request.body === null || length === "0") {
    // The same barrier for pages of other origins as for requests that have a body.
    if (request.method === "POST" || request.method === "PUT") await readJson(request, maxBody);
    return undefined;
  }
  if (request.method === "GET" || request.method === "HEAD") return undefined;
  const received = await readJson(request, maxBody);
  if (JSON.stringify(received) === "{}") return undefined;
  const detail = "this endpoint takes no body";
  throw new ProblemError({ status: 400, detail, next: "send none, or {}" });
}
