import { z } from "zod";
import { jobOf } from "./jobs.ts";
import { hiddenField } from "./page.ts";

const moment = z.number().describe("milliseconds since the epoch");

const ageSchema = z.strictObject({
  minAge: z.number().min(0).describe("in milliseconds"),
  first: z.enum(["allow", "hold"]),
  digests: z.enum(["pass", "hold"]),
  lists: z.enum(["show", "hide"]),
});

/** A rule of `policies`, as it is read from entrepot.yaml. */
const ruleSchema = z.strictObject({
  match: z.string().min(1).max(512),
  age: ageSchema.optional(),
  verify: z
    .strictObject({
      mode: z.enum(["off", "observe", "enforce"]),
      revision: z
        .string()
        .max(200)
        .describe("names the rule as it is: recorded verifications have it"),
    })
    .optional(),
});

/** How many rows an answer has. */
export const MAX_TRIED = 1000;

export const newPolicyTestSchema = z
  .strictObject({
    since: moment.describe("the pulls that are looked at: at most thirty days are kept"),
    rules: z
      .array(ruleSchema)
      .max(256)
      .optional()
      .describe("`policies` as they would be; absent: as they are"),
  })
  .meta({ id: "NewPolicyTest" });
export type NewPolicyTest = z.infer<typeof newPolicyTestSchema>;

export const policyTestedSchema = z
  .object({
    since: moment,
    begin: moment
      .optional()
      .describe("when the log of pulls begins; absent if nothing was ever recorded"),
    pulls: z.int().describe("of tags, that were looked at"),
    images: z.int(),
    same: z.int().describe("how many pulls would have got the same"),
    isCut: z.boolean().describe("whether there were more than are looked at"),
    items: z
      .array(
        z.object({
          image: z.string(),
          served: z.string().optional().describe("the digest; absent where the tag was refused"),
          would: z
            .string()
            .optional()
            .describe(
              "the digest that would have been served; absent where none would, or it is not known",
            ),
          outcome: z.enum(["other", "refused", "unknown"]),
          why: z.string().optional(),
          pulls: z.int(),
          pulledAt: moment.describe("for the last time"),
        }),
      )
      .describe(`pulls that would have got something else, the most first, at most ${MAX_TRIED}`),
    hidden: hiddenField,
  })
  .meta({ id: "PolicyTested" });
export type PolicyTested = z.infer<typeof policyTestedSchema>;

/** `verify` of a rule, with the contents of its files. */
const givenVerifySchema = z.strictObject({
  mode: z.enum(["off", "observe", "enforce"]),
  keys: z.array(z.string()).optional().describe("public keys as PEM text"),
  keyless: z.array(z.strictObject({ issuer: z.string(), subject: z.string() })).optional(),
  attestations: z.array(z.string()).optional(),
  signature: z.boolean().optional(),
  repository: z.enum(["any", "named"]).optional(),
  trustRoot: z.string().optional().describe("the text of a trusted_root.json"),
  transparencyLog: z.boolean().optional(),
});
export type GivenVerify = z.infer<typeof givenVerifySchema>;

export const newPolicyVerificationSchema = z
  .strictObject({
    since: moment.describe("the pulls that are looked at: at most thirty days are kept"),
    rules: z
      .array(
        z.strictObject({
          match: z.string().min(1).max(512),
          age: ageSchema.optional(),
          verify: givenVerifySchema.optional(),
        }),
      )
      .max(256)
      .optional()
      .describe(
        "`policies` as they would be, with keys and trust roots as text; absent: as they are",
      ),
  })
  .meta({ id: "NewPolicyVerification" });
export type NewPolicyVerification = z.infer<typeof newPolicyVerificationSchema>;

export const policyVerificationJobSchema = jobOf("PolicyVerificationJob", policyTestedSchema);
