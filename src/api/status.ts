import { z } from "zod";
import { hiddenField } from "./page.ts";
import { healthSchema } from "./health.ts";
import { clusterStatusSchema } from "./cluster-status.ts";

const moment = z.number().describe("milliseconds since the epoch");

const address = z.object({
  url: z.string(),
  isMirror: z.boolean(),
  circuit: z.enum(["closed", "open", "half-open"]),
  reason: z
    .string()
    .optional()
    .describe("why it is not asked, or what has failed since its last success"),
  since: moment.optional(),
  failure: z
    .object({ message: z.string(), at: moment })
    .optional()
    .describe(
      "what went wrong with the last request, if that was a few minutes ago and none was answered since",
    ),
  lastError: z.object({ message: z.string(), at: moment }).optional(),
  budget: z
    .object({
      remaining: z.number(),
      limit: z.number().optional(),
      window: z.number().describe("in seconds"),
      resetAt: moment.optional().describe("when all of it is there again, at the latest"),
    })
    .optional(),
  rateLimitedUntil: moment.optional(),
});

/** In bytes per second. */
const rate = z.object({
  used: z.number().describe("received in the last five seconds"),
  limit: z.number().optional().describe("by `maxRate`; absent without a limit"),
  until: z
    .string()
    .optional()
    .describe("the local time of day at which the limit changes, begins or ends: `18:00`"),
});

export const upstreamSchema = z
  .object({
    name: z.string(),
    state: z
      .enum(["ok", "rate-limited", "unavailable"])
      .describe("`unavailable`: the circuits of all of its addresses are open"),
    addresses: z.array(address),
    rate,
    credentials: z.object({
      state: z.enum(["none", "unused", "ok", "refused", "failed"]),
      problem: z.string().optional(),
    }),
    access: z
      .object({
        mode: z
          .enum(["open", "upstream", "clients", "denied", "mixed"])
          .describe("who may pull; `mixed`: that depends on the repository"),
        entries: z.int().describe("how many entries say so; 0 where nothing is configured"),
        credentialsFor: z
          .enum(["nothing", "public", "all", "others", "others-and-public"])
          .optional()
          .describe(
            "what the cache's own credentials are sent for: `public` is what the registry shows to anybody, `others` are repositories without `access: upstream`. Absent without credentials",
          ),
      })
      .describe("as `access` of the upstream says"),
    /** Of layers before clients ask for them, since the start. */
    prefetch: z.object({
      state: z
        .enum(["on", "off", "paused"])
        .describe(
          "`off`: by the configuration; `paused`: since clients asked for fewer than half of what was downloaded",
        ),
      pausedUntil: moment.optional(),
      downloaded: z.number(),
      asked: z.number().describe("what of it a client asked for within ten minutes"),
    }),
    /** Since the start. */
    traffic: z.object({
      responses: z.number(),
      fromCache: z
        .number()
        .describe(
          "of the responses, those from the cache: hits, revalidated, stale and collapsed ones",
        ),
      hitRatio: z
        .number()
        .optional()
        .describe("from 0 to 1, without bypassed responses. Absent before the first response"),
      sentBytes: z.number(),
      fetchedBytes: z.number(),
      savedBytes: z.number(),
    }),
  })
  .meta({ id: "Upstream" });

export const downloadSchema = z
  .object({
    digest: z.string(),
    source: z.string().describe("the repository for which it was started, with the upstream"),
    size: z.number().optional().describe("in bytes; absent until it is known"),
    received: z.number().describe("in bytes"),
    resumedBytes: z.number().describe("of these bytes, those that a suspended download left"),
    since: moment,
    clients: z.number(),
    connections: z
      .number()
      .describe("to its upstream: large blobs are downloaded over several, where that is faster"),
  })
  .meta({ id: "Download" });

export const downloadsSchema = z
  .object({ items: z.array(downloadSchema), hidden: hiddenField })
  .meta({ id: "Downloads" });

export const upstreamsSchema = z
  .object({ items: z.array(upstreamSchema) })
  .meta({ id: "Upstreams" });

/** The status of a running cache, as `GET /api/v1/status` returns it. */
export const statusSchema = z
  .object({
    version: z.string(),
    startedAt: moment,
    health: healthSchema,
    listening: z.object({
      listen: z.string(),
      admin: z.string(),
      ports: z.record(z.string(), z.string()),
    }),
    storage: z.object({
      dataDirectory: z.string(),
      blobs: z.number().describe("how many complete blobs are stored"),
      blobBytes: z.number().describe("the sum of the sizes of complete blobs, in bytes"),
      blobDiskBytes: z
        .number()
        .describe("what complete blobs take on the disk: whole blocks, in bytes"),
      partialBytes: z
        .number()
        .describe(
          "of downloads in progress and of suspended partial downloads on the disk, in bytes",
        ),
      databaseBytes: z
        .number()
        .describe("of the metadata database, with its write-ahead log, in bytes"),
      sidecarBytes: z.number().describe("of the sidecar files on the disk, in bytes"),
      usedBytes: z
        .number()
        .describe("what all of these take on the disk, in bytes. It counts towards `maxSize`"),
      pinnedBytes: z.number(),
      maxSize: z.number(),
      minFree: z.number(),
      free: z
        .number()
        .optional()
        .describe("free bytes of the disk; absent if they cannot be measured"),
      inodes: z
        .object({ free: z.number(), total: z.number() })
        .optional()
        .describe("of the disk; absent where its file system does not limit them"),
      isFull: z.boolean(),
      fullReason: z.string().optional(),
    }),
    /** The limits of the machine, and what of them is used. */
    machine: z.object({
      /** What the process may use, and what that is divided into, in bytes. */
      memory: z.object({
        limit: z.number().describe("of its control group, or else of the machine"),
        resident: z.number().describe("what it uses now, its program file included"),
        heapBasis: z.number().describe("what JavaScriptCore is told the machine has"),
        received: z
          .number()
          .describe("for bytes of blobs that were received and are not written yet"),
        receivedNow: z.number().describe("of these, what is in use now"),
        unsynced: z.number().describe("bytes of a download after which a sync starts"),
        downloads: z.number().describe("how many blobs are downloaded at once; the others wait"),
        manifests: z
          .number()
          .describe("the caches: manifests, lists of tags and referrers, small blobs, responses"),
        lists: z.number(),
        smallBlobs: z.number(),
        responses: z.number(),
      }),
      fileDescriptors: z.number(),
      fileDescriptorLimit: z.number().optional().describe("absent if there is none"),
      problems: z
        .array(z.object({ kind: z.string(), text: z.string() }))
        .describe("what is wrong with it: also in the other `problems`"),
    }),
    fills: z.array(downloadSchema),
    /** Of all upstreams together. */
    rate,
    upstreams: z.array(upstreamSchema),
    kubernetes: z
      .object({
        address: z.string().describe("of its API"),
        isCurrent: z.boolean().describe("whether all was read, and is kept up to date now"),
        isRead: z
          .boolean()
          .optional()
          .describe("whether all was read once: else `images` is not known"),
        problem: z.string().optional().describe("why it cannot be read now"),
        images: z.int().describe("different images that it runs, or would run"),
        kept: z.int().describe("images that are kept since it runs them, or ran them lately"),
      })
      .optional()
      .describe("absent where `kubernetes` is not configured"),
    held: z
      .object({
        tags: z
          .int()
          .describe("that are not served as their registries say, of those asked for lately"),
        unverified: z.int().describe("digests whose signatures fail where a rule asks for them"),
      })
      .optional()
      .describe("absent where nothing is held"),
    cluster: clusterStatusSchema.optional().describe("absent where `cluster` is not configured"),
    problems: z.array(z.string()).describe("each says what is wrong and what to do"),
    hidden: hiddenField,
  })
  .meta({ id: "Status" });

export type Status = z.infer<typeof statusSchema>;
