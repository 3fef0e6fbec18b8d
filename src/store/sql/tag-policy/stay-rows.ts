import type { Selectable } from "kysely";
import { joinedStays, thinnedStays } from "../../merged-stays.ts";
import { MAX_STAYS, type TagStay } from "../../tag-history.ts";
import type { Tables } from "../tables.ts";

/** What is told of a tag, of its rows: the latest first. */
export function toldStays(stays: readonly TagStay[]): TagStay[] {
  return [...thinnedStays(joinedStays(stays), MAX_STAYS)];
}

type StayRow = Pick<
  Selectable<Tables["tag_history"]>,
  "digest" | "first_seen" | "last_seen" | "first_served" | "source"
>;

export function stayOf({ digest, first_seen, last_seen, first_served, source }: StayRow): TagStay {
  return {
    digest,
    firstSeen: first_seen,
    lastSeen: last_seen,
    ...(first_served === null ? {} : { firstServed: first_served }),
    ...(source === null ? {} : { source }),
  };
}
