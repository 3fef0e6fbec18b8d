import { z } from "zod";
import { pageOf } from "./page.ts";

const moment = z.number().describe("milliseconds since the epoch");

export const sharedObjectSchema = z
  .object({
    digest: z.string(),
    size: z.number(),
    stored: moment,
    used: moment,
    state: z.enum(["here", "going", "deleting"]),
    pinned: z.boolean(),
    repositories: z
      .array(z.string())
      .describe("some of the repositories in which this replica knows it"),
  })
  .meta({ id: "SharedObject" });

export type SharedObject = z.infer<typeof sharedObjectSchema>;

export const sharedObjectsSchema = z
  .object(pageOf(sharedObjectSchema))
  .meta({ id: "SharedObjects" });

export const sharedCollectedSchema = z
  .object({
    objects: z.int(),
    bytes: z.number(),
    here: z.number().describe("what the store holds, in bytes"),
    maxSize: z.number(),
    leader: z
      .string()
      .optional()
      .describe("the replica that deletes what was marked, if one is known to lead"),
  })
  .meta({ id: "SharedCollected" });

export type SharedCollected = z.infer<typeof sharedCollectedSchema>;
