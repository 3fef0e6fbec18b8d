import type { z } from "zod";
import type { Concealment } from "./concealment.ts";
import { parsePart } from "./invalid-request.ts";
import type { ProblemStatus } from "./problem-details.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** What a token must allow: a read-only one suffices for `read`. */
export type Right = "read" | "admin";

/** An answer that is no JSON object: events, lines, text. The operation makes the `Response` itself. */
export interface StreamedAnswer {
  /** The media type. */
  readonly type: string;
  /** Of one event or line, or of the text. */
  readonly schema: z.ZodType;
  readonly description: string;
}

/** What the document and the router know of an operation. */
export interface OperationDescription {
  /** `listImages`: the name under which clients in other languages find it. */
  readonly id: string;
  readonly method: Method;
  /** Below `/api/v1`, with `{name}` for a parameter, which is one segment: `/images/{name}`. */
  readonly path: `/${string}`;
  /** Groups operations in the document: mostly the resource. */
  readonly tag: string;
  /** One line. */
  readonly summary: string;
  readonly description?: string;
  readonly right: Right;
  /** Of a success: 200 by default, or 204 where there is no answer. */
  readonly status?: 200 | 201 | 202 | 204;
  /** Headers of a success, and what they say. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The problems that are particular to this operation. */
  readonly refusals?: readonly ProblemStatus[];
  /** Limit of the request's body in bytes: 64 KiB by default. */
  readonly maxBody?: number;
}

/** An operation as the router answers it, and the document describes it. */
export interface Operation extends OperationDescription {
  readonly query: z.ZodObject | undefined;
  readonly params: z.ZodObject | undefined;
  readonly body: z.ZodType | undefined;
  readonly answer: z.ZodType | StreamedAnswer | undefined;
  /** @throws ProblemError, RefusedError: all become problem details */
  respond(received: Received): Promise<Response>;
}

/** A request, taken apart. */
export interface Received {
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** By their names in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Parsed JSON; undefined where the operation takes none. */
  readonly body: unknown;
  readonly request: Request;
  /** Set if whoever asks may not know what is private. */
  readonly concealment: Concealment | undefined;
}

/** What a handler is given. */
export interface Handled<Query, Params, Body> {
  readonly query: Parsed<Query>;
  readonly params: Parsed<Params>;
  readonly body: Parsed<Body>;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  readonly request: Request;
  /**
   * Set if whoever asks may not know what is private. Answers in JSON are looked through anyway: this is for what
   * would tell it by a count, a place or a stream.
   */
  readonly concealment: Concealment | undefined;
}

type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** Handlers may give what is not theirs to write to. */
export type Given<Value> = Value extends readonly (infer Item)[]
  ? readonly Given<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: Given<Value[Key]> }
    : Value;

type Answered<Answer> = Answer extends z.ZodType
  ? Given<z.input<Answer>> | Response
  : Answer extends StreamedAnswer
    ? Response
    : undefined;

interface Definition<Query, Params, Body, Answer> extends OperationDescription {
  /** Always a `strictObject`, so that a misspelt field is refused. */
  readonly query?: Query;
  readonly params?: Params;
  readonly body?: Body;
  /** Absent where a success says all. */
  readonly answer?: Answer;
  readonly handle: (
    received: Handled<Query, Params, Body>,
  ) => Answered<Answer> | Promise<Answered<Answer>>;
}

/** One method of one path, with the schemas that check its requests and describe its answers. */
export function operation<
  Query extends z.ZodObject | undefined = undefined,
  Params extends z.ZodObject | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
  Answer extends z.ZodType | StreamedAnswer | undefined = undefined,
>({
  handle,
  query,
  params,
  body,
  answer,
  ...description
}: Definition<Query, Params, Body, Answer>): Operation {
  return {
    ...description,
    query,
    params,
    body,
    answer,
    async respond({ request, concealment, ...received }) {
      const { signal } = request;
      // What a schema gives is what `Parsed` says of it; the compiler cannot see it for one that may be absent.
      const handled = {
        query: query && parsePart("query", query, received.query),
        params: params && parsePart("path", params, received.params),
        body: body && parsePart("body", body, received.body),
        signal,
        request,
        concealment,
      } as Handled<Query, Params, Body>;
      const handledValue: unknown = await handle(handled);
      if (handledValue instanceof Response) return handledValue;
      const value = concealment ? await concealment.answer(handledValue) : handledValue;
      const headers = { "cache-control": "no-store" };
      if (value === undefined) return new Response(null, { status: 204, headers });
      return Response.json(value, { status: description.status ?? 200, headers });
    },
  };
}

export function isStreamed(answer: Operation["answer"]): answer is StreamedAnswer {
  return (
    answer !== undefined && "type" in answer && "description" in answer && !("parse" in answer)
  );
}
