import type { ReplicaReach } from "../../api/replicas.ts";
import { counted } from "../table.ts";

/** What becomes of the others. */
const AFTERWARDS = {
  up: "the rest do so once they hear of it",
  away: "the ledger of the replicas cannot be reached. The others hear of it once it can be",
  none: "without cluster.database, replicas do not hear of it. Run the command at each of them",
} as const;

/** The same where they were only asked. */
export const UNANSWERED = {
  up: "the rest have not answered",
  away: "the ledger of the replicas cannot be reached, so the others were not asked",
  none: "without cluster.database, the others are not asked. Run the command at each of them",
} as const;

const STAYS = "What is removed stays in the shared store";
const IN_STORE = {
  evicts: `${STAYS} until it is evicted there as the least used.`,
  keeps: `${STAYS}: without cluster.store.maxSize, nothing is evicted from it.`,
} as const;

/** What becomes of it in the store that all share. */
export function sharedStoreText(reach: ReplicaReach | undefined): string[] {
  return reach?.sharedStore === undefined ? [] : [IN_STORE[reach.sharedStore]];
}

/**
 * @param done such as `Purged`
 * @param afterwards what becomes of those that have not done it
 */
export function reachText(
  done: string,
  reach: ReplicaReach | undefined,
  afterwards: Readonly<Record<keyof typeof AFTERWARDS, string>> = AFTERWARDS,
): string[] {
  if (!reach) return [];
  const { reached, of, ledger, images, refused } = reach;
  const elsewhere = images > 0 ? `, ${counted(images, "image")} at the others` : "";
  const where = `${done} at ${reached} of ${counted(of, "replica")}${elsewhere}`;
  return [
    reached + refused < of ? `${where}: ${afterwards[ledger]}.` : `${where}.`,
    ...(refused > 0 ? [`${counted(refused, "replica")} cannot do so: see the log there.`] : []),
  ];
}
