import { z } from "zod";

/** Which replicas have done what was asked of one. */
export const replicaReachSchema = z
  .object({
    reached: z.int().describe("how many have done it, this one included"),
    of: z.int(),
    ledger: z
      .enum(["up", "away", "none"])
      .describe(
        "`up`: the others will hear of it; `away`: they will once this one can tell; `none`: they will not",
      ),
    images: z.int().describe("how many images it concerned at the others"),
    refused: z.int().describe("how many of the others cannot do it as it is: their logs say why"),
    sharedStore: z
      .enum(["evicts", "keeps"])
      .optional()
      .describe(
        "whether what is removed stays in the shared store until it is evicted, or for good; absent without a store",
      ),
  })
  .meta({ id: "ReplicaReach" });

export type ReplicaReach = z.infer<typeof replicaReachSchema>;

/** Of what one replica is asked, and all have to do. */
export const reachField = {
  replicas: replicaReachSchema.optional().describe("absent where this cache is the only one"),
};
