import { z } from "zod";
import { clusterStatusSchema } from "./cluster-status-schema.ts";

const moment = z.number().describe("milliseconds since the epoch");

const address = z.object({
  url: z.string(),
  isMirror: z.boolean(),
  circuit: z.enum(["closed", "open", "half-open"]),
  /** Why it is not asked, or what has failed since its last success. */
  reason: z.string().optional(),
  since: moment.optional(),
  /** What went wrong with the last request, if that was a few minutes ago and none was answered since. */
  failure: z.object({ message: z.string(), at: moment }).optional(),
  lastError: z.object({ message: z.string(), at: moment }).optional(),
  budget: z
    .object({ remaining: z.number(), limit: z.number().optional(), window: z.number() })
    .optional(),
  rateLimitedUntil: moment.optional(),
});

/** In bytes per second. */
const rate = z.object({
  /** Received in the last five seconds. */
  used: z.number(),
  /** By `maxRate`; absent without a limit. */
  limit: z.number().optional(),
  /** The local time of day at which the limit changes, begins or ends: `18:00`. */
  until: z.string().optional(),
});

const upstream = z.object({
  name: z.string(),
  /** `unavailable`: the circuits of all of its addresses are open. */
  state: z.enum(["ok", "rate-limited", "unavailable"]),
  addresses: z.array(address),
  rate,
  credentials: z.object({
    state: z.enum(["none", "unused", "ok", "refused", "failed"]),
    problem: z.string().optional(),
  }),
  /** Of layers before clients ask for them, since the start. */
  prefetch: z.object({
    /** `off`: by the configuration; `paused`: since clients asked for fewer than half of what was downloaded. */
    state: z.enum(["on", "off", "paused"]),
    pausedUntil: moment.optional(),
    downloaded: z.number(),
    /** What of it a client asked for within ten minutes. */
    asked: z.number(),
  }),
  /** Since the start. */
  traffic: z.object({
    responses: z.number(),
    /** Of the responses, those from the cache: hits, revalidated, stale and collapsed ones. */
    fromCache: z.number(),
    /** From 0 to 1, without bypassed responses. Absent before the first response. */
    hitRatio: z.number().optional(),
    sentBytes: z.number(),
    fetchedBytes: z.number(),
    savedBytes: z.number(),
  }),
});

const fill = z.object({
  digest: z.string(),
  /** The repository for which it was started, with the upstream. */
  source: z.string(),
  /** In bytes; absent until it is known. */
  size: z.number().optional(),
  /** In bytes. */
  received: z.number(),
  /** Of these bytes, those that a suspended download left. */
  resumedBytes: z.number(),
  since: moment,
  clients: z.number(),
  /** To its upstream: large blobs are downloaded over several, where that is faster. */
  connections: z.number(),
});

/** The status of a running cache, as `GET /api/v1/status` returns it. */
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
    /** The sum of the sizes of complete blobs, in bytes. */
    blobBytes: z.number(),
    /** What complete blobs take on the disk: whole blocks, in bytes. */
    blobDiskBytes: z.number(),
    /** Of downloads in progress and of suspended partial downloads on the disk, in bytes. */
    partialBytes: z.number(),
    /** Of the metadata database, with its write-ahead log, in bytes. */
    databaseBytes: z.number(),
    /** Of the sidecar files on the disk, in bytes. */
    sidecarBytes: z.number(),
    /** What all of these take on the disk, in bytes. It counts towards `maxSize`. */
    usedBytes: z.number(),
    pinnedBytes: z.number(),
    maxSize: z.number(),
    minFree: z.number(),
    /** Free bytes of the disk; absent if they cannot be measured. */
    free: z.number().optional(),
    /** Of the disk; absent where its file system does not limit them. */
    inodes: z.object({ free: z.number(), total: z.number() }).optional(),
    isFull: z.boolean(),
    fullReason: z.string().optional(),
  }),
  /** The limits of the machine, and what of them is used. */
  machine: z.object({
    /** What the process may use, and what that is divided into, in bytes. */
    memory: z.object({
      /** Of its control group, or else of the machine. */
      limit: z.number(),
      /** What it uses now, its program file included. */
      resident: z.number(),
      /** What JavaScriptCore is told the machine has. */
      heapBasis: z.number(),
      /** For bytes of blobs that were received and are not written yet. */
      received: z.number(),
      /** Of these, what is in use now. */
      receivedNow: z.number(),
      /** Bytes of a download after which a sync starts. */
      unsynced: z.number(),
      /** How many blobs are downloaded at once; the others wait. */
      downloads: z.number(),
      /** The caches: manifests, lists of tags and referrers, small blobs, responses. */
      manifests: z.number(),
      lists: z.number(),
      smallBlobs: z.number(),
      responses: z.number(),
    }),
    fileDescriptors: z.number(),
    /** Absent if there is none. */
    fileDescriptorLimit: z.number().optional(),
    /** What is wrong with it: also in the other `problems`. */
    problems: z.array(z.object({ kind: z.string(), text: z.string() })),
  }),
  fills: z.array(fill),
  /** Of all upstreams together. */
  rate,
  upstreams: z.array(upstream),
  /** Absent where `cluster` is not configured. */
  cluster: clusterStatusSchema.optional(),
  /** Each says what is wrong and what to do. */
  problems: z.array(z.string()),
});

export type Status = z.infer<typeof statusSchema>;
