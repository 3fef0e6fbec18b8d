import { z } from "zod";
import { hiddenField } from "./page.ts";
import { patternField } from "./pins.ts";
import { reachField } from "./replicas.ts";

const moment = z.number().describe("milliseconds since the epoch");

export const overrideSchema = z
  .object({
    id: z.string(),
    kind: z
      .enum(["release", "hold", "rollback", "freeze"])
      .describe(
        "`release`: a digest is old enough; `hold`: a tag stays where it is, or a digest is given to nobody; `rollback`: a tag points to a digest that it had; `freeze`: tags point where they did at a moment",
      ),
    pattern: z.string().describe("a tag, a digest of a repository, or for `freeze` a pattern"),
    digest: z.string().optional().describe("where the tag stays, or what is released"),
    asOf: moment.optional().describe("for `freeze`: the moment"),
    isUnverified: z
      .boolean()
      .optional()
      .describe("for `release`: also where its signatures are not as the rules want them"),
    reason: z.string(),
    by: z.string().describe("who decided it; what is only claimed says so"),
    since: moment,
    until: moment.optional().describe("from when on it no longer holds; absent: until it is ended"),
    ended: z
      .object({ at: moment, by: z.string(), reason: z.string() })
      .optional()
      .describe("set once it was ended before its time"),
    isActive: z.boolean().describe("whether it holds now"),
  })
  .meta({ id: "Override" });
export type OverrideItem = z.infer<typeof overrideSchema>;

export const overridesSchema = z
  .object({ items: z.array(overrideSchema), hidden: hiddenField })
  .meta({ id: "Overrides" });

const printableText = (longest: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(longest)
    // They are shown in terminals and headers.
    .regex(
      /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+$/u,
      "has characters that are not shown as themselves",
    );

const claimField = printableText(100)
  .optional()
  .describe(
    "who whoever asks claims to be, such as `alice@ops1`: kept beside what the token proves",
  );
const reasonField = printableText(500).describe("why: it is kept and shown");

const terms = {
  reason: reasonField,
  claim: claimField,
  until: moment.optional().describe("from when on it no longer holds; absent: until it is ended"),
  dryRun: z.boolean().default(false).describe("only say what would be done"),
};
const imageField = z
  .string()
  .max(700)
  .describe("`docker.io/library/node:24`, `node:24`, or with a digest");

/** An order of an operator about tags. */
export const newOverrideSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("release"),
      image: imageField.describe(
        "a tag: what is held of it is served, and what holds it ends; or a digest: it is old enough",
      ),
      isUnverified: z.boolean().default(false).describe("also where its signatures fail"),
      ...terms,
    }),
    z.strictObject({
      kind: z.literal("hold"),
      image: imageField.describe("a tag: it stays where it is; or a digest: it is given to nobody"),
      ...terms,
    }),
    z.strictObject({
      kind: z.literal("rollback"),
      image: imageField,
      to: z
        .union([z.string().max(200), z.number()])
        .describe(
          "a digest that the tag had, or as many of its digits as tell it from others; or a moment at which it had it, in milliseconds since the epoch",
        ),
      ...terms,
    }),
    z.strictObject({
      kind: z.literal("freeze"),
      pattern: patternField.default("*"),
      asOf: moment,
      ...terms,
    }),
  ])
  .meta({ id: "NewOverride" });
export type NewOverride = z.infer<typeof newOverrideSchema>;

export const endOverrideSchema = z
  .strictObject({ reason: reasonField, claim: claimField })
  .meta({ id: "EndOverride" });

/** What an order came to. */
export const orderedSchema = z
  .object({
    overrides: z
      .array(overrideSchema)
      .describe("those that were made or ended; of a dry run, those that would be"),
    notes: z.array(z.string()).describe("what to know of it, in sentences"),
    stay: z
      .object({ firstSeen: moment, lastSeen: moment, isStored: z.boolean() })
      .optional()
      .describe("when the tag had the digest that it is given, and whether that is stored here"),
    dryRun: z.boolean(),
    ...reachField,
  })
  .meta({ id: "Ordered" });
export type Ordered = z.infer<typeof orderedSchema>;
