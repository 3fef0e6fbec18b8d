import { z } from "zod";
import { counted } from "../table.ts";

/** Which replicas have done what was asked of one; absent if it is the only one. */
export const replicasSchema = z
  .object({ reached: z.number(), of: z.number(), isRecorded: z.boolean(), images: z.number() })
  .optional();

/** @param done such as `Purged` */
export function reachText(done: string, reach: z.infer<typeof replicasSchema>): string[] {
  if (!reach) return [];
  const { reached, of, isRecorded, images } = reach;
  const elsewhere = images > 0 ? `, ${counted(images, "image")} at the others` : "";
  const where = `${done} at ${reached} of ${counted(of, "replica")}${elsewhere}`;
  if (!isRecorded) {
    return [
      `${where}: the ledger of the replicas cannot be reached. The others hear of it once it can be.`,
    ];
  }
  return [reached < of ? `${where}: the others do so once they hear of it.` : `${where}.`];
}
