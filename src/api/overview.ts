import { z } from "zod";
import { hiddenField } from "./page.ts";
import { healthSchema } from "./health.ts";
import { nodeSchema } from "./nodes.ts";
import { pullSchema } from "./pulls.ts";

const moment = z.number().describe("milliseconds since the epoch");
const ratio = z.number().min(0).max(1);

/** How many half hours a registry's bars tell of. */
export const BEATS = 48;

/** What the cache saved in a day, a week or a month until now. */
export const savedSchema = z
  .object({
    since: moment
      .optional()
      .describe("the first moment that is known of, if that is later than the period begins"),
    bytes: z.number().describe("sent to nodes and not downloaded"),
    hubRequests: z.int().describe("GETs of manifests of docker.io that were answered here"),
    secondsNotWaited: z
      .number()
      .describe(
        "by which requests that were answered here were faster than the upstream's latency and speed allow, summed up",
      ),
    hitRatioByBytes: ratio.optional().describe("absent if nothing was sent"),
    hitRatioByRequests: ratio.optional().describe("absent if nothing was asked for"),
    series: z
      .array(z.number())
      .describe("`bytes` in steps of equal length, the oldest first; the last step is not over"),
    step: z.number().describe("of `series`, in milliseconds"),
  })
  .meta({ id: "Saved" });

/** What an upstream did in half an hour: `idle` if it was not asked. */
export const beatSchema = z.enum(["ok", "failed", "limited", "idle"]);

export const registrySchema = z
  .object({
    name: z.string(),
    state: z.enum(["ok", "rate-limited", "unavailable"]),
    access: z
      .enum(["open", "upstream", "clients", "denied", "mixed"])
      .describe("who may pull; `mixed`: that depends on the repository"),
    circuit: z.enum(["closed", "open", "half-open"]).describe("of the registry's own address"),
    reason: z
      .string()
      .optional()
      .describe("why it is not `ok`, or why the last request to it failed"),
    latencyMs: z
      .number()
      .optional()
      .describe("the median time to its response headers in the last five minutes"),
    beats: z.array(beatSchema).describe(`the last ${BEATS} half hours, the oldest first`),
    answers: z
      .object({ ok: z.int(), failed: z.int(), limited: z.int() })
      .describe("its responses in the last 24 h, and requests that had none"),
    budget: z
      .object({
        left: z.int(),
        limit: z.int().optional(),
        resetAt: moment.describe("when all of it is there again, at the latest"),
      })
      .optional()
      .describe("the requests that it still allows, as it says itself"),
    limitedUntil: moment.optional().describe("it is not asked until then, after a 429"),
    mirror: z.string().optional().describe("the URL of the mirror that is asked first"),
    hitRatioByBytes: ratio.optional().describe("of the last 24 h"),
    hitRatioByRequests: ratio.optional().describe("of the last 24 h"),
    savedBytes: z.number().describe("in the last 24 h"),
  })
  .meta({ id: "Registry" });

export const runningDownloadSchema = z
  .object({
    digest: z.string(),
    image: z.string().describe("the repository for which it was started, with its tag if known"),
    upstream: z.string(),
    received: z.number().describe("bytes"),
    size: z.number().optional().describe("bytes; absent until it is known"),
    followers: z.int().describe("clients that read it while it is downloaded"),
    bytesPerSecond: z.number().describe("in the last seconds"),
    secondsLeft: z.number().optional(),
  })
  .meta({ id: "RunningDownload" });

export const diskSchema = z
  .object({
    used: z.number().describe("all that counts towards `max`, in bytes"),
    held: z.number().describe("complete blobs"),
    pinned: z.number().describe("of these, what is never evicted"),
    partial: z.number().describe("downloads that are under way or suspended"),
    metadata: z.number().describe("the database and the sidecar files"),
    max: z.number().describe("`storage.maxSize`"),
    free: z.number().optional().describe("of the file system; absent if that cannot be measured"),
    isFull: z.boolean(),
    fullInDays: z
      .number()
      .optional()
      .describe(
        "when the least recently used images begin to be evicted, if it grows on as in the last days; absent if it does not grow, or too little is known",
      ),
    evictedToday: z.number().describe("bytes that were evicted in the last 24 h"),
  })
  .meta({ id: "Disk" });

/** All that an operator sees first, as `GET /api/v1/overview` returns it. */
export const overviewSchema = z
  .object({
    at: moment,
    version: z.string(),
    startedAt: moment.describe("another one than before: the cache was restarted"),
    health: healthSchema,
    saved: z.object({ day: savedSchema, week: savedSchema, month: savedSchema }),
    registries: z.array(registrySchema),
    downloads: z.array(runningDownloadSchema),
    disk: diskSchema,
    nodes: z.array(nodeSchema).describe("those that pulled last"),
    readiness: z
      .object({ checkedAt: moment, wanted: z.int(), ready: z.int(), sentence: z.string() })
      .optional()
      .describe(
        "what would happen if a registry died now, as `GET /api/v1/readiness` said last; absent until it was looked at, and where nothing is wanted",
      ),
    nodeCount: z.int().describe("of all that are known, also those that are not in `nodes`"),
    pulls: z.array(pullSchema).describe("the newest first, at most 50"),
    hidden: hiddenField,
  })
  .meta({ id: "Overview" });

export type Overview = z.infer<typeof overviewSchema>;
export type Saved = z.infer<typeof savedSchema>;
export type Beat = z.infer<typeof beatSchema>;
export type RegistryRow = z.infer<typeof registrySchema>;
export type RunningDownload = z.infer<typeof runningDownloadSchema>;
export type DiskRow = z.infer<typeof diskSchema>;
