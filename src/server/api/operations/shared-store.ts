import { z } from "zod";
import { pageQuery } from "../../../api/page.ts";
import { parsedText } from "../../../api/parsed-text.ts";
import {
  type SharedCollected,
  sharedCollectedSchema,
  type SharedObject,
  sharedObjectsSchema,
} from "../../../api/shared-store.ts";
import { fsckJobSchema, verificationSchema } from "../../../api/upkeep.ts";
import { RefusedError } from "../../../cache/retention/refused-error.ts";
import { type Digest, parseDigest } from "../../../oci/digest.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import type { Jobs } from "../jobs/job-table.ts";
import { type Given, operation, type Operation } from "../operation.ts";
import { accepted, LOCATION } from "./jobs.ts";
import { DEFAULT_RATE, progressOf } from "./upkeep.ts";

/** What operators can do with the store that replicas share. */
export interface SharedStoreOperations {
  /** A page of the objects in order of their digests, after `last`. */
  list(limit: number, last?: Digest): Promise<readonly Given<SharedObject>[]>;
  /** Marks what exceeds the limit; only counts it in a dry run. */
  collect(dryRun: boolean, signal: AbortSignal): Promise<SharedCollected>;
  /** Reads every object. */
  verify(options: {
    readonly repair: boolean;
    /** Bytes per second. */
    readonly rate: number;
    readonly onProgress: (progress: { readonly files: number; readonly bytes: number }) => void;
    readonly signal: AbortSignal;
  }): Promise<object>;
}

export interface SharedStoreParts {
  /** Absent where this cache shares no store. */
  readonly shared?: (() => SharedStoreOperations | undefined) | undefined;
  readonly jobs: Jobs;
}

export function sharedStoreOperations({ shared, jobs }: SharedStoreParts): Operation[] {
  const store = (): SharedStoreOperations => {
    const found = shared?.();
    if (found) return found;
    throw new RefusedError("no-match", "this cache shares no store", "set cluster.store");
  };
  const tag = "shared store";
  return [
    operation({
      id: "listSharedObjects",
      method: "GET",
      path: "/shared-store/objects",
      tag,
      summary: "Lists the objects of the store that replicas share",
      right: "read",
      query: z.strictObject(pageQuery),
      refusals: [404],
      answer: sharedObjectsSchema,
      async handle({ query: { cursor, limit } }) {
        const last =
          cursor === undefined ? undefined : decodeCursor(cursor, parsedText(parseDigest));
        const items = await store().list(limit, last);
        const end = items.length < limit ? undefined : items.at(-1);
        return { items, ...(end && { next: encodeCursor(end.digest) }) };
      },
    }),
    operation({
      id: "previewSharedGc",
      method: "GET",
      path: "/shared-store/gc",
      tag,
      summary: "What exceeds the limit of the shared store, and would be evicted",
      right: "read",
      refusals: [400, 404],
      answer: sharedCollectedSchema,
      handle: ({ signal }) => store().collect(true, signal),
    }),
    operation({
      id: "sharedGc",
      method: "POST",
      path: "/shared-store/gc",
      tag,
      summary: "Marks what exceeds the limit of the shared store",
      description: "The replica that leads deletes what is not used within 15 minutes.",
      right: "admin",
      refusals: [404],
      answer: sharedCollectedSchema,
      handle: ({ signal }) => store().collect(false, signal),
    }),
    operation({
      id: "sharedFsck",
      method: "POST",
      path: "/shared-store/fsck",
      tag,
      summary: "Verifies every object of the shared store, and the ledger's entries of it",
      description: "A job, which takes as long as it takes to read all objects.",
      right: "admin",
      body: verificationSchema,
      status: 202,
      headers: LOCATION,
      refusals: [404, 503],
      answer: fsckJobSchema,
      handle({ body: { repair, rate = DEFAULT_RATE } }) {
        const operations = store();
        return accepted(
          jobs.start({
            kind: "shared-fsck",
            title: "Verify every object of the shared store",
            run: (progress, signal) =>
              operations.verify({
                repair,
                rate,
                signal,
                onProgress: (made) => progress(progressOf(made)),
              }),
          }),
        );
      },
    }),
  ];
}
