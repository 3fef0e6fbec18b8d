import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
} from "zod-openapi";
import { problemSchema, PROBLEM_TYPE } from "../../api/problem.ts";
import { isStreamed, type Operation } from "./operation.ts";
import { type ProblemStatus, TITLES } from "./problem-details.ts";
import { problemsOfRequest } from "./request-parts.ts";
import { API_PREFIX } from "./router.ts";

/** A response for each kind of problem, which operations share. */
const PROBLEMS: Readonly<Record<string, ZodOpenApiResponseObject>> = Object.fromEntries(
  Object.entries(TITLES).map(([code, description]) => [
    code,
    {
      id: `Problem${code}`,
      description,
      content: { [PROBLEM_TYPE]: { schema: problemSchema } },
    },
  ]),
);

/** What the guard of the port answers with, and what any operation may fail with. */
const GUARDED: readonly ProblemStatus[] = [401, 403, 421, 429, 500];

/** Describes operations as OpenAPI 3.1. */
export function describeApi(
  operations: readonly Operation[],
  version: string,
): ReturnType<typeof createDocument> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const operation of operations) {
    const { method, path } = operation;
    (paths[path] ??= {})[method.toLowerCase()] = describe(operation);
  }
  return createDocument({
    openapi: "3.1.0",
    info: {
      title: "The admin API of Entrepot",
      version,
      description:
        "Everything that the commands do. A request that is refused, or fails, is answered with problem details (RFC 9457), whose `next` says what to do.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: API_PREFIX, description: "The admin address of a cache" }],
    tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
    paths: paths satisfies ZodOpenApiPathsObject,
    security: [{}, { token: [] }, { session: [] }],
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description:
            "A token of adminTokenFile, or of readTokenFile for what changes nothing. Where none is configured, none is needed.",
        },
        session: {
          type: "apiKey",
          in: "cookie",
          name: "entrepot-session",
          description:
            "The session of a browser that has logged in at /login. The name ends with the port, and begins with __Host- over TLS. A change needs an Origin of the same port beside it.",
        },
      },
    },
  });
}

function describe(operation: Operation): ZodOpenApiOperationObject {
  const { id, tag, summary, description, right, query, params, body } = operation;
  const allowed =
    right === "read" ? "A token that only allows to read suffices." : "Needs the admin token.";
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: description === undefined ? allowed : `${description}\n\n${allowed}`,
    ...((query ?? params) && {
      requestParams: { ...(query && { query }), ...(params && { path: params }) },
    }),
    ...(body && {
      requestBody: { required: true, content: { "application/json": { schema: body } } },
    }),
    responses: responsesOf(operation),
  };
}

function responsesOf(
  operation: Operation,
): Record<`${ProblemStatus | 200 | 201 | 202 | 204}`, ZodOpenApiResponseObject> {
  const { answer, headers = {} } = operation;
  const status = operation.status ?? (answer ? 200 : 204);
  const success: ZodOpenApiResponseObject = {
    description: isStreamed(answer) ? answer.description : "Success",
    ...(Object.keys(headers).length > 0 && {
      headers: z.object(
        Object.fromEntries(
          Object.entries(headers).map(([name, says]) => [name, z.string().describe(says)]),
        ),
      ),
    }),
    ...(answer && {
      content: isStreamed(answer)
        ? { [answer.type]: { schema: answer.schema } }
        : { "application/json": { schema: answer } },
    }),
  };
  const problems = problemsOf(operation).map((code) => [code, PROBLEMS[code]]);
  return { [status]: success, ...Object.fromEntries(problems) };
}

/** Those of the operation, and those that any such request may meet. */
function problemsOf(operation: Operation): ProblemStatus[] {
  const { refusals = [] } = operation;
  const all = new Set<ProblemStatus>([...GUARDED, ...problemsOfRequest(operation), ...refusals]);
  return [...all].toSorted((one, other) => one - other);
}
