import { z } from "zod";
import { counted } from "../table.ts";

/** Which replicas have done what was asked of one; absent if it is the only one. */
export const replicasSchema = z
  .object({
    reached: z.number(),
    of: z.number(),
    ledger: z.enum(["up", "away", "none"]),
    images: z.number(),
    refused: z.number(),
  })
  .optional();

/** What becomes of the others. */
const AFTERWARDS = {
  up: "the others do so once they hear of it",
  away: "the ledger of the replicas cannot be reached. The others hear of it once it can be",
  none: "without cluster.database, replicas do not hear of it. Run the command at each of them",
} as const;

/** @param done such as `Purged` */
export function reachText(done: string, reach: z.infer<typeof replicasSchema>): string[] {
  if (!reach) return [];
  const { reached, of, ledger, images, refused } = reach;
  const elsewhere = images > 0 ? `, ${counted(images, "image")} at the others` : "";
  const where = `${done} at ${reached} of ${counted(of, "replica")}${elsewhere}`;
  return [
    reached + refused < of ? `${where}: ${AFTERWARDS[ledger]}.` : `${where}.`,
    ...(refused > 0 ? [`${counted(refused, "replica")} cannot do so: see the log there.`] : []),
  ];
}
