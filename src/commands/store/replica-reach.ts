import type { ReplicaReach } from "../../api/replicas.ts";
import { counted } from "../table.ts";

/** What becomes of the others. */
const AFTERWARDS = {
  up: "the others do so once they hear of it",
  away: "the ledger of the replicas cannot be reached. The others hear of it once it can be",
  none: "without cluster.database, replicas do not hear of it. Run the command at each of them",
} as const;

/**
 * @param done such as `Purged`
 * @param reach absent where there is only one replica
 */
export function reachText(done: string, reach: ReplicaReach | undefined): string[] {
  if (!reach) return [];
  const { reached, of, ledger, images, refused } = reach;
  const elsewhere = images > 0 ? `, ${counted(images, "image")} at the others` : "";
  const where = `${done} at ${reached} of ${counted(of, "replica")}${elsewhere}`;
  return [
    reached + refused < of ? `${where}: ${AFTERWARDS[ledger]}.` : `${where}.`,
    ...(refused > 0 ? [`${counted(refused, "replica")} cannot do so: see the log there.`] : []),
  ];
}
