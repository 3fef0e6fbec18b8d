import { z } from "zod";

/** Why a request was refused, or failed: problem details of RFC 9457. */
export const problemSchema = z
  .object({
    type: z.string().describe("a URN of the kind of problem, the same for every request"),
    title: z.string().describe("the kind of problem in words"),
    status: z.int(),
    detail: z.string().describe("what is wrong with this request, or went wrong"),
    next: z.string().describe("the next step"),
    pin: z
      .string()
      .optional()
      .describe("the pattern of the pin that stands in the way, where one does"),
    instance: z
      .string()
      .optional()
      .describe("what happened, where it is logged: the log has the UUID at the end of this URN"),
  })
  .meta({ id: "Problem" });

export type Problem = z.infer<typeof problemSchema>;

/** The media type of a `Problem`. */
export const PROBLEM_TYPE = "application/problem+json";
