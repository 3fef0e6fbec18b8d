import { z } from "zod";
import { overrideSchema } from "./overrides.ts";
import { hiddenField } from "./page.ts";

const moment = z.number().describe("milliseconds since the epoch");

/** Why a tag is not what its registry says. */
export const holdSchema = z
  .object({
    because: z.enum(["too-young", "unverified", "held", "rolled-back", "frozen"]),
    text: z.string().describe("a sentence for people"),
    digest: z.string().optional().describe("what is held back"),
    until: moment.optional().describe("when it ends by itself; absent: when something changes"),
  })
  .meta({ id: "Hold" });
export type HoldAnswer = z.infer<typeof holdSchema>;

export const verificationSchema = z
  .object({
    outcome: z.enum(["passed", "failed"]),
    detail: z.string().describe("who signed it, or why it fails"),
    loggedAt: moment.optional().describe("by a transparency log whose entry was verified"),
    verifiedAt: moment,
  })
  .meta({ id: "Verification" });

/** What a tag pointed to, as far as it was seen here or by another replica, and what is served of it. */
export const tagHistorySchema = z
  .object({
    image: z.string(),
    digest: z
      .string()
      .optional()
      .describe("what its registry last said; absent if nothing is known"),
    served: z
      .string()
      .optional()
      .describe(
        "what clients get now if it can be had; absent if that is refused, or nothing is known",
      ),
    hold: holdSchema
      .optional()
      .describe("why that is not what the registry says, or why it is refused"),
    stays: z
      .array(
        z.object({
          digest: z.string(),
          firstSeen: moment.describe("when the registry was first seen to say so, by any replica"),
          lastSeen: moment.describe("when it last said so"),
          firstServed: moment
            .optional()
            .describe("when a client first got this digest for the tag"),
          source: z
            .string()
            .optional()
            .describe("who said so first: the host of a registry or mirror, or `replica`"),
          isStored: z.boolean().describe("whether its manifest is stored here"),
          verification: verificationSchema
            .optional()
            .describe("of its signatures, where a rule asks for them and they were looked at"),
        }),
      )
      .describe("each digest that it had, the latest first, at most twenty"),
    overrides: z
      .array(overrideSchema)
      .describe("what operators decided of it, the latest first; also what has ended"),
  })
  .meta({ id: "TagHistory" });
export type TagHistory = z.infer<typeof tagHistorySchema>;

/** What is held now. */
export const heldSchema = z
  .object({
    tags: z
      .array(
        z.object({
          image: z.string(),
          served: z.string().optional().describe("the digest that is served; absent if none is"),
          hold: holdSchema,
        }),
      )
      .describe("tags that are not served as their registries say"),
    unverified: z
      .array(
        z.object({
          image: z.string().describe("with its digest"),
          mode: z.enum(["observe", "enforce"]),
          detail: z.string(),
          verifiedAt: moment,
        }),
      )
      .describe(
        "digests whose signatures fail, the latest first: where a rule observes, they are served",
      ),
    hidden: hiddenField,
  })
  .meta({ id: "Held" });
export type Held = z.infer<typeof heldSchema>;
