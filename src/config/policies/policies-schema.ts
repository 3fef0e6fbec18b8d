import { z } from "zod";
import { quote } from "../parsing/problems.ts";
import { parseDuration } from "../parsing/units.ts";
import type { PolicyMatch } from "./policy-settings.ts";
import { policyMatch } from "./policy-match.ts";
import { verifySchema } from "./verify-schema.ts";

const YEAR = 365 * 86_400_000;

const match = z
  .string()
  .transform((text, context): PolicyMatch => {
    const compiled = policyMatch(text);
    if (typeof compiled !== "string") return compiled;
    context.addIssue({ code: "custom", message: `${quote(text)} ${compiled}` });
    return z.NEVER;
  })
  .meta({ minLength: 1, maxLength: 512 });

const minAge = z
  .union([z.string(), z.number()])
  .transform(String)
  .transform((text, context): number => {
    const parsed = parseDuration(text);
    if (parsed !== undefined && parsed <= YEAR) return parsed;
    const message =
      parsed === undefined
        ? `${quote(text)} is not a valid duration: write a number with a unit, such as 12h or 3d, or 0`
        : `${quote(text)} is longer than a year (365d)`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ pattern: String.raw`^\s*(?:0|(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)\s*$` });

/** An entry of `policies`. */
export const policySchema = z.strictObject({
  match: match.describe(
    "The images that the rule is for: a pattern of repositories with their registry, such as docker.io/library/* or ghcr.io/acme/**, and after a colon one of tags, such as ghcr.io/acme/**:v*.",
  ),
  minAge: minAge
    .optional()
    .describe(
      "How long ago the cache, or one of its replicas, must have seen a digest first, before a tag is served with it. Until then, the tag is served with the newest of its digests that is old enough. 0: as the registry says. Range: 0 to 365d. Default: the next rule that matches decides.",
    ),
  first: z
    .enum(["allow", "hold"])
    .optional()
    .describe(
      "What happens to a tag none of whose digests is old enough: allow serves the first one that was seen, hold refuses it (403) until it is old enough. Needs minAge. Default: allow.",
    ),
  digests: z
    .enum(["pass", "hold"])
    .optional()
    .describe(
      "Whether a digest that is not old enough can be had by its name: with hold, neither its manifest, nor what it alone is made of, nor what refers to it. Needs minAge. Default: pass.",
    ),
  lists: z
    .enum(["show", "hide"])
    .optional()
    .describe(
      "Whether lists of tags show tags that are held, and of which no other digest is served. Needs minAge. Default: show.",
    ),
  verify: verifySchema
    .optional()
    .describe(
      "Who must have signed a digest, with cosign: see docs/how-to/require-signatures.md. Default: the next rule that matches decides.",
    ),
});

export const policiesSchema = z
  .array(policySchema)
  .max(256, { message: "has more than 256 rules: use wider patterns" });

export type PolicyEntry = z.infer<typeof policySchema>;
