import { z } from "zod";
import { quote } from "./parsing/problems.ts";
import { duration, maxSize, size } from "./schema-values.ts";

/** A part of a whole, above 0 and up to 1; 0 for none. */
const share = z
  .union([z.string(), z.number()])
  .transform(String)
  .transform((text, context): number => {
    const percent = /^\s*(\d{1,3}(?:\.\d+)?)\s?%\s*$/.exec(text)?.[1];
    if (text.trim() === "0") return 0;
    if (percent !== undefined && Number(percent) <= 100) return Number(percent) / 100;
    const message = `${quote(text)} is not a share: write 0, or a percentage up to 100, such as 20%`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ pattern: String.raw`^\s*(?:0|(?:100(?:\.0+)?|\d{1,2}(?:\.\d+)?)\s?%)\s*$` });

const history = z.strictObject({
  digests: z
    .int()
    .min(0)
    .max(20)
    .optional()
    .describe(
      "How many of the digests that a tag had are kept before other content, with the one that it has now. 0 to 20. Default: 3.",
    ),
  seenWithin: duration
    .optional()
    .describe(
      "How long any digest that a tag had is kept before other content, since it was last seen. 0 for not at all. Default: 7d.",
    ),
  share: share
    .optional()
    .describe(
      "The part of storage.maxSize that these contents may take so; what was seen last comes first. Beyond it, they are evicted like all else. 0: none are kept so. Default: 20%.",
    ),
});

/** `storage` of entrepot.yaml. */
export const storageSchema = z.strictObject({
  dir: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The data directory. Only one process may use it at a time. --data and ENTREPOT_DATA override it. Default: /var/lib/entrepot.",
    ),
  maxSize: maxSize
    .optional()
    .describe(
      "Maximum size of the stored blobs and metadata, in bytes or with a unit. The least recently used blobs are evicted first. Minimum: 1MiB. Default: 80 % of the sum of the disk's free space at the start and the size of the store.",
    ),
  minFree: size
    .optional()
    .describe(
      "The free disk space to maintain, in bytes or with a unit, whatever else uses the disk. Default: 1GiB, or 5 % of a disk smaller than 20 GiB.",
    ),
  scrub: size
    .optional()
    .describe(
      "How many stored bytes per second the background scrub reads and verifies, in bytes or with a unit. 0 disables it. Default: 4MiB.",
    ),
  history: history
    .optional()
    .describe(
      "What tags pointed to before they moved: it is evicted only once nothing else can be, so that a tag can be given back.",
    ),
});
