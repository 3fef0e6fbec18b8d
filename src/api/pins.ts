import { z } from "zod";
import { hiddenField } from "./page.ts";
import { reachField } from "./replicas.ts";

/** The text of an image pattern, which its parser checks. */
export const patternField = z
  .string()
  .max(700)
  .describe("`docker.io/library/nginx:1.29`, or with `*` for any characters");

const pinFields = {
  pattern: z.string(),
  platforms: z
    .array(z.string())
    .describe("such as `linux/amd64`; empty: all platforms that are cached"),
  since: z.number().describe("milliseconds since the epoch"),
  images: z.int().describe("how many images it matches now"),
};

export const pinSchema = z
  .object({
    ...pinFields,
    lists: z
      .array(z.string())
      .optional()
      .describe("the configured lists (`warm`) for which it was made; absent if a person made it"),
  })
  .meta({ id: "Pin" });
export type Pin = z.infer<typeof pinSchema>;

export const pinsSchema = z
  .object({ items: z.array(pinSchema), hidden: hiddenField })
  .meta({ id: "Pins" });

export const newPinSchema = z
  .strictObject({
    pattern: patternField,
    platforms: z.array(z.string().max(100)).max(32).default([]),
  })
  .meta({ id: "NewPin" });

export const pinnedSchema = z.object({ ...pinFields, ...reachField }).meta({ id: "Pinned" });

export const unpinnedSchema = z.object(reachField).meta({ id: "Unpinned" });
