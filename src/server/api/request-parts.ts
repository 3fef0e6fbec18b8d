import { z } from "zod";
import type { Operation } from "./operation.ts";
import { ProblemError, type ProblemStatus } from "./problem-details.ts";
import { readJson } from "./request-body.ts";

/**
 * The problems that taking a request apart may end with, whatever the operation does then: those of the functions
 * below. The description of the API has them from here, so that none is missing.
 */
export function problemsOfRequest({ method }: Pick<Operation, "method">): ProblemStatus[] {
  // A query that the operation does not have is refused, also where it has none.
  return method === "GET" ? [400] : [400, 413, 415];
}

/**
 * Fields that the schema has as lists may be given several times, others once.
 *
 * @throws ProblemError if a field is given that the operation does not have, or twice
 */
export function queryOf(
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
export async function bodyOf(request: Request, { body, maxBody }: Operation): Promise<unknown> {
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
