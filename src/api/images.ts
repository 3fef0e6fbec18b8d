import { z } from "zod";
import { hiddenField, pageOf, pageQuery } from "./page.ts";
import { patternField } from "./pins.ts";

const imageFields = {
  image: z.string().describe("such as `docker.io/library/nginx`"),
  tag: z.string().optional().describe("absent if no tag points to it"),
  digest: z.string(),
  platforms: z.array(z.string()).describe("those of which every blob is stored"),
  partial: z.array(z.string()).describe("those whose manifest is stored, but not every blob"),
  size: z.number().describe("of its stored blobs, in bytes"),
  shared: z.number().describe("the part of `size` that other images use, too"),
  lastUsed: z.number().describe("milliseconds since the epoch; 0 if no blob is stored"),
  pin: z.string().optional().describe("the pattern of the first pin that keeps it"),
};

/** An image of which blobs are stored. */
export const imageSchema = z.object(imageFields).meta({ id: "Image" });

export type Image = z.infer<typeof imageSchema>;

export const IMAGE_ORDERS = ["name", "size", "used"] as const;

export const imagesQuery = z.strictObject({
  ...pageQuery,
  pattern: patternField.optional(),
  search: z
    .string()
    .max(300)
    .optional()
    .describe("text that the name, the tag or the digest contains, in any case"),
  sort: z
    .enum(IMAGE_ORDERS)
    .default("name")
    .describe("by name, images without a tag last; largest first; or last used first"),
});

export const imagesSchema = z
  .object({
    ...pageOf(imageSchema),
    storing: z
      .int()
      .describe(
        "how many manifests and blobs that clients have pulled are still being written, and not listed yet",
      ),
  })
  .meta({ id: "Images" });

export type Images = z.infer<typeof imagesSchema>;

const moment = z.number().describe("milliseconds since the epoch");

const part = z
  .object({
    digest: z.string(),
    size: z.number().describe("in bytes, as its descriptor says"),
    mediaType: z.string().optional(),
    isStored: z.boolean(),
    isShared: z.boolean().describe("whether other images use it, too"),
  })
  .meta({ id: "ImagePart" });

const platformManifest = z
  .object({
    platform: z.string().optional().describe("such as `linux/amd64`, if it is known"),
    digest: z.string(),
    isComplete: z.boolean().describe("whether all of its parts are stored"),
    parts: z
      .array(part)
      .describe(
        "the manifest, its config and layers; the manifest alone if that is not stored. The first 4096 of all platforms together",
      ),
  })
  .meta({ id: "PlatformManifest" });

const referrer = z
  .object({
    digest: z.string(),
    artifactType: z.string().optional(),
    size: z.number().optional(),
  })
  .meta({ id: "Referrer" });

/** All that is known of one image. */
export const imageDetailsSchema = z
  .object({
    ...imageFields,
    hidden: hiddenField,
    mediaType: z.string().optional(),
    storedAt: moment.optional().describe("when its manifest was stored"),
    checkedAt: moment.optional().describe("when the registry last confirmed the tag"),
    pins: z.array(z.string()).describe("the patterns of all pins that keep it"),
    manifests: z.array(platformManifest).describe("one for each platform: the first 256"),
    tags: z
      .array(z.string())
      .describe("the names that point to it, in all repositories: the first 256"),
    repositories: z.array(z.string()).describe("where its digest can be pulled: the first 256"),
    referrers: z
      .array(referrer)
      .optional()
      .describe(
        "signatures, SBOMs and the like, as its registry listed them last; absent if nobody has asked for them",
      ),
  })
  .meta({ id: "ImageDetails" });

export type ImageDetails = z.infer<typeof imageDetailsSchema>;
