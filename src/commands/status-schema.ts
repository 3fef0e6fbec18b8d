import { z } from "zod";

const moment = z.number().describe("milliseconds of the epoch");

const address = z.object({
  url: z.string(),
  isMirror: z.boolean(),
  circuit: z.enum(["closed", "open", "half-open"]),
  /** Why it is not asked, or what failed since it last answered. */
  reason: z.string().optional(),
  since: moment.optional(),
  lastError: z.object({ message: z.string(), at: moment }).optional(),
  budget: z
    .object({ remaining: z.number(), limit: z.number().optional(), window: z.number() })
    .optional(),
  limitedUntil: moment.optional(),
});

const upstream = z.object({
  name: z.string(),
  /** `out`: its own address is not asked, and neither is any mirror. */
  state: z.enum(["ok", "limited", "out"]),
  addresses: z.array(address),
  credentials: z.object({
    state: z.enum(["none", "unused", "ok", "refused", "failed"]),
    problem: z.string().optional(),
  }),
  /** Since the start. */
  traffic: z.object({
    answers: z.number(),
    /** Of the answers, those from here: hits, stale ones, and those that joined a download. */
    fromHere: z.number(),
    /** Absent before the first answer. What is bypassed does not count. */
    hitRatio: z.number().optional(),
    sentBytes: z.number(),
    fetchedBytes: z.number(),
    savedBytes: z.number(),
  }),
});

const fill = z.object({
  digest: z.string(),
  /** Where it was first asked for, as upstream and repository. */
  source: z.string(),
  /** Absent as long as nobody told it. */
  size: z.number().optional(),
  received: z.number(),
  /** Of these, what a download that was broken off has left. */
  kept: z.number(),
  since: moment,
  clients: z.number(),
});

/** What a running cache tells of itself, at `/api/v1/status`. */
export const statusSchema = z.object({
  version: z.string(),
  startedAt: moment,
  listening: z.object({
    listen: z.string(),
    admin: z.string(),
    ports: z.record(z.string(), z.string()),
  }),
  storage: z.object({
    dataDirectory: z.string(),
    /** How many complete blobs are stored. */
    blobs: z.number(),
    /** Of complete blobs, in bytes. */
    blobBytes: z.number(),
    /** Of downloads in progress and of suspended partial downloads, in bytes. */
    partialBytes: z.number(),
    pinnedBytes: z.number(),
    maxSize: z.number(),
    minFree: z.number(),
    /** Of the disk; absent where it does not tell. */
    free: z.number().optional(),
    isFull: z.boolean(),
    fullBecause: z.string().optional(),
  }),
  fills: z.array(fill),
  upstreams: z.array(upstream),
  /** What is wrong, and what to do; empty where nothing is. */
  problems: z.array(z.string()),
});

export type Status = z.infer<typeof statusSchema>;
