import { z } from "zod";
import { hiddenField } from "./page.ts";
import { problemSchema } from "./problem.ts";

const moment = z.number().describe("milliseconds since the epoch");

const amounts = z.object({
  images: z.int().optional(),
  blobs: z.int().optional(),
  bytes: z.number().optional(),
});

/** How far a job is. */
export const progressSchema = z
  .object({
    done: amounts.optional(),
    of: amounts.optional().describe("the totals, as far as they are known"),
    bytesPerSecond: z.number().optional(),
    note: z.string().optional().describe("what it waits for, or does now"),
  })
  .meta({ id: "Progress" });

export type Progress = z.infer<typeof progressSchema>;

const jobFields = {
  id: z.string(),
  kind: z.string().describe("`fsck`, `gc`, `adopt`, …"),
  title: z.string().describe("what it does, in words"),
  state: z
    .enum(["running", "cancelling", "done", "failed", "cancelled"])
    .describe("`cancelling`: it was cancelled, and ends what must not be left half done"),
  startedAt: moment,
  outcome: z
    .enum(["partly", "failed"])
    .optional()
    .describe(
      "of one that is done: whether it reached only a part, or nothing, of what it was for; absent if it reached all",
    ),
  shortfall: z.string().optional().describe("what it did not reach, in words"),
  endedAt: moment.optional(),
  progress: progressSchema,
  hidden: hiddenField,
  problem: problemSchema.optional().describe("why it failed"),
};

/** Long work that goes on when whoever asked for it goes away. */
export const jobSchema = z
  .object({
    ...jobFields,
    result: z.looseObject({}).optional().describe("what came of it, by its kind"),
  })
  .meta({ id: "Job" });

export type Job = z.infer<typeof jobSchema>;

/** A job whose result is known. */
export function jobOf<Result extends z.ZodType>(id: string, result: Result) {
  return z
    .object({ ...jobFields, result: result.optional().describe("what came of it") })
    .meta({ id });
}

export const jobsSchema = z
  .object({
    items: z.array(jobSchema).describe("the last ones first, 64 at most"),
    hidden: hiddenField,
  })
  .meta({ id: "Jobs" });
