import { z } from "zod";
import { imageDetailsSchema, imagesQuery, imagesSchema } from "../../../api/images.ts";
import { parsedText } from "../../../api/parsed-text.ts";
import type { Cache } from "../../../cache/cache.ts";
import { imageNotCached, type ImageInspector } from "../../../cache/inspection/image-details.ts";
import type { ImagePages } from "../../../cache/inspection/image-pages.ts";
import { requestedPattern } from "../../../cache/retention/requested-pattern.ts";
import { withTimeout } from "../../../cache/with-timeout.ts";
import { parseDigest } from "../../../oci/digest.ts";
import { parseImageReference } from "../../../oci/image-reference.ts";
import { parseRepositoryName, parseTag, parseUpstreamName } from "../../../oci/names.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { operation, type Operation } from "../operation.ts";
import type { SurveyLimit } from "../survey-limit.ts";

export interface ImageParts {
  readonly pages: Pick<ImagePages, "page">;
  readonly inspector: Pick<ImageInspector, "details">;
  /** What clients have got, and is still being stored. */
  readonly pulled: Pick<Cache, "settled" | "storing">;
  /** Writes the times at which blobs were read last. */
  readonly flushAccessTimes: () => Promise<void>;
  readonly surveys: SurveyLimit;
}

/** How long a list waits for what clients have got and is still being stored, in milliseconds. */
const LIST_PATIENCE_MS = 1000;

/** A cursor comes from outside, so its names are parsed as those of any request. */
const place = z
  .object({
    upstream: parsedText(parseUpstreamName),
    repository: parsedText(parseRepositoryName),
    tag: parsedText(parseTag).optional(),
    digest: parsedText(parseDigest),
    value: z.number().optional(),
  })
  .transform(({ tag, value, ...name }) => ({
    ...name,
    ...(tag !== undefined && { tag }),
    ...(value !== undefined && { value }),
  }));

export function imageOperations(parts: ImageParts): Operation[] {
  const { pages, inspector, pulled, flushAccessTimes, surveys } = parts;
  return [
    operation({
      id: "listImages",
      method: "GET",
      path: "/images",
      tag: "images",
      summary: "Lists cached images",
      right: "read",
      query: imagesQuery,
      refusals: [503],
      answer: imagesSchema,
      async handle({
        query: { pattern, search, sort: order, limit, cursor },
        signal,
        concealment,
      }) {
        const matched = pattern === undefined ? undefined : requestedPattern(pattern);
        // A cursor of another order would lead to another place.
        const cursors = z.object({ order: z.literal(order), place });
        const after = cursor === undefined ? undefined : decodeCursor(cursor, cursors).place;
        return surveys.run(async () => {
          if (!after) {
            await withTimeout(LIST_PATIENCE_MS, pulled.settled());
            await flushAccessTimes().catch(() => {});
          }
          const { storing } = pulled;
          const query = { pattern: matched, search, order, limit, after, signal };
          const privateAmong = concealment?.privateAmong.bind(concealment);
          const { images, next, hidden = 0 } = await pages.page({ ...query, privateAmong });
          return {
            items: images,
            ...(next && { next: encodeCursor({ order, place: next }) }),
            storing,
            ...(hidden > 0 && { hidden }),
          };
        });
      },
    }),
    operation({
      id: "getImage",
      method: "GET",
      path: "/images/{name}",
      tag: "images",
      summary: "One image: its platforms and layers, what else names it, and what refers to it",
      right: "read",
      params: z.strictObject({
        name: parsedText(parseImageReference).describe(
          "as runtimes take it: `docker.io/library/nginx:1.29`, or with `@sha256:…`",
        ),
      }),
      refusals: [404, 503],
      answer: imageDetailsSchema,
      async handle({ params: { name }, concealment }) {
        // As if it were not here.
        if (await concealment?.isPrivate(name)) throw imageNotCached(name);
        return surveys.run(() => inspector.details(name));
      },
    }),
  ];
}
