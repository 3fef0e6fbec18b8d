import { AdoptionError } from "../../cache/adoption/registry-v2-layout.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import { type Problem, PROBLEM_TYPE } from "../../api/problem.ts";

/** What the kinds of problems are called. Each status that this API answers with is one kind. */
export const TITLES = {
  400: "The request is not valid",
  401: "A token is needed",
  403: "This is not allowed",
  404: "There is no such thing",
  405: "The method is not allowed",
  409: "The state of the cache does not allow this",
  410: "This is gone",
  413: "The body is too large",
  415: "The body is not JSON",
  421: "The host name is not known",
  422: "What was named cannot be used",
  429: "There are too many requests",
  500: "The cache failed",
  503: "The cache cannot do this now",
} as const satisfies Readonly<Record<number, string>>;

export type ProblemStatus = keyof typeof TITLES;

export interface ProblemOptions {
  readonly status: ProblemStatus;
  /** What is wrong with this request. */
  readonly detail: string;
  /** What to do about it. */
  readonly next: string;
  /** The pattern of the pin that stands in the way. */
  readonly pin?: string;
  /** Names what happened, where the log tells more of it. */
  readonly instance?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Ends the handling of a request with a problem. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(
    readonly problem: ProblemOptions,
    options?: ErrorOptions,
  ) {
    super(`${problem.detail}: ${problem.next}`, options);
  }
}

/** Problem details, as RFC 9457 has them. */
export function problemDetails(problem: ProblemOptions): Problem {
  const { status, detail, next, pin, instance } = problem;
  return {
    type: `urn:entrepot:problem:${status}`,
    title: TITLES[status],
    status,
    detail,
    next,
    ...(pin === undefined ? {} : { pin }),
    ...(instance === undefined ? {} : { instance }),
  };
}

export function problemResponse(problem: ProblemOptions): Response {
  const { status, headers = {} } = problem;
  return Response.json(problemDetails(problem), {
    status,
    headers: { "content-type": PROBLEM_TYPE, "cache-control": "no-store", ...headers },
  });
}

const REFUSED: Readonly<Record<RefusedError["kind"], ProblemStatus>> = {
  "invalid-argument": 400,
  "no-match": 404,
  "over-max-size": 409,
  pinned: 409,
};

/** What an error that ends the handling of a request is for the client; undefined for one that nobody has expected. */
export function problemOf(error: unknown): ProblemOptions | undefined {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof RefusedError) {
    const { kind, reason, next, pin } = error;
    const problem = { status: REFUSED[kind], detail: reason, next };
    return pin === undefined ? problem : { ...problem, pin };
  }
  if (error instanceof AdoptionError) {
    const next = "mend that, and adopt the folder again";
    return { status: 422, detail: error.message, next };
  }
  return undefined;
}
