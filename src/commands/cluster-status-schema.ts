import { z } from "zod";

const moment = z.number().describe("milliseconds since the epoch");

const member = z.object({
  /** The URL that it advertises, at which other replicas ask it. */
  id: z.string(),
  /** `silent`: it has not answered, or not been heard of, for longer than a living one may be. */
  state: z.enum(["this", "living", "silent"]),
  version: z.string().optional(),
  seenAt: moment.optional(),
});

const ledger = z.object({
  state: z.enum(["up", "away"]),
  since: moment,
  name: z.string(),
  /** The time since all that others had told was last read, in milliseconds. */
  lag: z.number(),
  /** Facts that this replica has not told it yet. */
  untold: z.number(),
});

const store = z.object({
  state: z.enum(["up", "read-only", "away"]),
  since: moment,
  name: z.string(),
  /** Blobs that are to be written to it. */
  backlog: z.number(),
  /** Of all replicas, in bytes; absent without a ledger. */
  usedBytes: z.number().optional(),
  blobs: z.number().optional(),
  maxSize: z.number().optional(),
});

const problem = z.object({
  kind: z.string(),
  /** A member's address, the name of a bucket or of a database. */
  subject: z.string(),
  found: z.string(),
  /** What it means for pulls and for the other replicas. */
  means: z.string(),
  advice: z.string(),
  /** All of that in one line: also in the other `problems`. */
  text: z.string(),
});

/** A cluster as the replica that is asked sees it. */
export const clusterStatusSchema = z.object({
  /** The replica that is asked is one of them. */
  members: z.array(member),
  ledger: ledger.optional(),
  store: store.optional(),
  /** Who evicts from the shared store. */
  leader: z.object({ id: z.string(), isThis: z.boolean() }).optional(),
  degraded: z.array(problem),
});

export type ClusterStatusShape = z.infer<typeof clusterStatusSchema>;
