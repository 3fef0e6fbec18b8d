import { z } from "zod";

const moment = z.number().describe("milliseconds since the epoch");

const member = z.object({
  id: z.string().describe("the URL that it advertises, at which other replicas ask it"),
  state: z
    .enum(["this", "living", "silent", "unusable"])
    .describe(
      "`silent`: it has not answered, or not been heard of, for longer than a living one may be. `unusable`: it answers, and cannot be asked",
    ),
  problem: z.string().optional().describe("the kind of what is wrong with one that is unusable"),
  version: z.string().optional(),
  seenAt: moment.optional(),
});

const ledger = z.object({
  state: z.enum(["up", "away"]),
  since: moment,
  name: z.string(),
  lag: z
    .number()
    .describe("the time since all that others had told was last read, in milliseconds"),
  untold: z.number().describe("facts that this replica has not told it yet"),
});

const store = z.object({
  state: z.enum(["up", "read-only", "away"]),
  since: moment,
  name: z.string(),
  backlog: z.number().describe("blobs that are to be written to it"),
  usedBytes: z.number().optional().describe("of all replicas, in bytes; absent without a ledger"),
  blobs: z.number().optional(),
  maxSize: z.number().optional(),
});

const problem = z.object({
  kind: z.string(),
  subject: z.string().describe("a member's address, the name of a bucket or of a database"),
  found: z.string(),
  means: z.string().describe("what it means for pulls and for the other replicas"),
  advice: z.string(),
  text: z.string().describe("all of that in one line: also in the other `problems`"),
});

/** A cluster as the replica that is asked sees it. */
export const clusterStatusSchema = z.object({
  members: z.array(member).describe("the replica that is asked is one of them"),
  ledger: ledger.optional(),
  store: store.optional(),
  leader: z
    .object({ id: z.string(), isThis: z.boolean() })
    .optional()
    .describe("who evicts from the shared store"),
  degraded: z.array(problem),
});

export type ClusterStatusShape = z.infer<typeof clusterStatusSchema>;
