import { z } from "zod";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { type Progress, progressStream } from "./progress-stream.ts";

/** What operators can do with the store that replicas share. */
export interface SharedStoreOperations {
  /** A page of the objects in order of their digests, after `last`. */
  list(limit: number, last?: Digest): Promise<readonly object[]>;
  /** Marks what exceeds the limit; only counts it in a dry run. */
  collect(dryRun: boolean, signal: AbortSignal): Promise<object>;
  /** Reads every object. */
  verify(options: {
    readonly repair: boolean;
    /** Bytes per second. */
    readonly rate: number;
    readonly onProgress: (progress: Progress) => void;
    readonly signal: AbortSignal;
  }): Promise<object>;
}

/** The most objects in one response. */
const MAX_PAGE = 1000;
/** Default read rate of a verification, which runs beside traffic, in bytes per second. */
const DEFAULT_RATE = 100 * 1024 * 1024;

const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
  after: z
    .string()
    .transform((text, context) => {
      const digest = parseDigest(text);
      if (digest) return digest;
      context.addIssue({ code: "custom", message: "is not a digest" });
      return z.NEVER;
    })
    .optional(),
});
const gcBody = z.strictObject({ dryRun: z.boolean().default(false) });
const fsckBody = z.strictObject({
  repair: z.boolean().default(false),
  rate: z.number().int().min(1).default(DEFAULT_RATE),
});

/** A request for `/api/v1/shared-…`. */
export interface SharedRequest {
  readonly method: "GET" | "POST";
  /** Behind `shared-`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parsed JSON of a POST. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/**
 * Answers a request about the store that replicas share.
 *
 * @param shared absent if there is none
 * @returns undefined if there is no such endpoint
 * @throws RefusedError if there is no such store, ZodError if the request is not valid
 */
export async function handleShared(
  shared: SharedStoreOperations | undefined,
  { method, path, query, body, signal }: SharedRequest,
): Promise<Response | undefined> {
  const store = (): SharedStoreOperations => {
    if (shared) return shared;
    throw new RefusedError("no-match", "this cache shares no store: set cluster.store");
  };
  switch (`${method} ${path}`) {
    case "GET objects": {
      const { limit, after } = pageQuery.parse(Object.fromEntries(query));
      return Response.json({ objects: await store().list(limit, after) });
    }
    case "POST gc":
      return Response.json(await store().collect(gcBody.parse(body).dryRun, signal));
    case "POST fsck": {
      const verification = { ...fsckBody.parse(body), signal };
      const operations = store();
      return progressStream(signal, (onProgress) =>
        operations.verify({ ...verification, onProgress }),
      );
    }
    default:
      return undefined;
  }
}
