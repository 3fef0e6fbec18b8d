import { z } from "zod";
import { pageQuery, queryFlag } from "../../../api/page.ts";
import type { Job } from "../../../api/jobs.ts";
import { warmJobSchema } from "../../../api/warm.ts";
import { accepted } from "./jobs.ts";
import {
  readinessFixSchema,
  readinessQuestionSchema,
  type ReadinessReport,
  readinessSchema,
} from "../../../api/readiness.ts";
import { parseImageReference } from "../../../oci/image-reference.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { operation, type Operation } from "../operation.ts";

export interface ReadinessOperationParts {
  readonly readiness: {
    /** @param isFresh whether it is looked at now, and not only if it never was */
    report(isFresh: boolean, signal: AbortSignal): Promise<ReadinessReport>;
    /** @throws ProblemError if an image or a platform is none */
    ask(
      question: z.infer<typeof readinessQuestionSchema>,
      signal: AbortSignal,
    ): Promise<ReadinessReport>;
    /** @throws ProblemError if an image or a platform is none, or nothing is to be fixed */
    fix(wanted: z.infer<typeof readinessFixSchema>): Promise<Job>;
  };
}

export function readinessOperations({ readiness }: ReadinessOperationParts): Operation[] {
  return [
    operation({
      id: "getReadiness",
      method: "GET",
      path: "/readiness",
      tag: "readiness",
      summary: "Whether what is wanted could be pulled if its registries did not answer",
      description: "Images that are not ready come first.",
      right: "read",
      query: z.strictObject({
        ...pageQuery,
        fresh: queryFlag.describe(
          "Whether to look now; otherwise it is as of at most ten minutes ago",
        ),
      }),
      answer: readinessSchema,
      refusals: [400],
      async handle({ query: { cursor, limit, fresh }, signal }) {
        const { items, ...report } = await readiness.report(fresh, signal);
        const from = cursor === undefined ? 0 : decodeCursor(cursor, z.int().min(0));
        const end = from + limit;
        const next = end < items.length ? { next: encodeCursor(end) } : {};
        return { ...report, items: items.slice(from, end), ...next };
      },
    }),
    operation({
      id: "askReadiness",
      method: "POST",
      path: "/readiness",
      tag: "readiness",
      summary: "Whether these images could be pulled if their registries did not answer",
      right: "read",
      body: readinessQuestionSchema,
      answer: readinessSchema,
      refusals: [400],
      async handle({ body, signal, concealment }) {
        const named = body.images.flatMap((image) => parseImageReference(image) ?? []);
        const isPrivate = await concealment?.privateAmong(named);
        if (isPrivate && named.some(isPrivate))
          concealment?.refuse("what is stored of these images");
        return readiness.ask(body, signal);
      },
    }),
    operation({
      id: "fixReadiness",
      method: "POST",
      path: "/readiness/fix",
      tag: "readiness",
      summary: "Downloads what is missing of the images that are wanted",
      right: "admin",
      body: readinessFixSchema,
      status: 202,
      headers: { location: "Of the job" },
      answer: warmJobSchema,
      refusals: [400, 409, 503],
      handle: async ({ body }) => accepted(await readiness.fix(body)),
    }),
  ];
}
