import { z } from "zod";
import type { Job } from "../../../api/jobs.ts";
import {
  warmJobSchema,
  type WarmListState,
  warmListsSchema,
  type WarmOrderRequest,
  warmOrderSchema,
} from "../../../api/warm.ts";
import { operation, type Operation } from "../operation.ts";
import { accepted } from "./jobs.ts";

/** Of lists from files: ten thousand names. */
const MAX_BODY = 1024 * 1024;

export interface WarmOperationParts {
  readonly warm: {
    /** @throws ProblemError if an image or a platform is none, or nothing is wanted */
    start(order: WarmOrderRequest): Promise<Job>;
    /** @throws ProblemError if there is no such list */
    startList(name: string): Job;
    lists(): readonly WarmListState[];
  };
}

export function warmOperations({ warm }: WarmOperationParts): Operation[] {
  return [
    operation({
      id: "warm",
      method: "POST",
      path: "/warm",
      tag: "warm",
      summary: "Downloads images before anybody pulls them",
      description:
        "What is missing of each image is downloaded behind all pulls. Registries that limit requests are waited for. Two orders for one image share what is downloaded, and a later one goes on with what an earlier one left.",
      right: "admin",
      body: warmOrderSchema,
      status: 202,
      headers: { location: "Of the job" },
      answer: warmJobSchema,
      refusals: [400, 409, 503],
      maxBody: MAX_BODY,
      handle: async ({ body }) => accepted(await warm.start(body)),
    }),
    operation({
      id: "listWarmLists",
      method: "GET",
      path: "/warm",
      tag: "warm",
      summary: "The lists of images of the configuration, and when they are due",
      right: "read",
      answer: warmListsSchema,
      handle: () => ({ items: [...warm.lists()] }),
    }),
    operation({
      id: "warmList",
      method: "POST",
      path: "/warm/{name}",
      tag: "warm",
      summary: "Warms a list of the configuration now",
      right: "admin",
      params: z.strictObject({ name: z.string().max(100) }),
      status: 202,
      headers: { location: "Of the job" },
      answer: warmJobSchema,
      refusals: [404, 503],
      handle: ({ params: { name } }) => accepted(warm.startList(name)),
    }),
  ];
}
