import type { Kysely } from "kysely";
import type { Fact } from "../ledger/facts.ts";
import type { Untold } from "../ledger/outbox.ts";
import { describeDatabaseError, isOfData } from "../database/database-error.ts";
import type { ReplicaRun } from "./heartbeat.ts";
import type { ServerClock } from "../database/server-clock.ts";
import { type Told, tellApplied, tellLimits, tellManifests, tellTags } from "./tell-facts.ts";
import { tellParts } from "./image-parts.ts";
import { tellStays } from "./tag-stays.ts";
import type { LedgerTables } from "../database/tables.ts";

export interface TellingOptions {
  readonly db: Kysely<LedgerTables>;
  readonly run: ReplicaRun;
  readonly clock: () => ServerClock;
  readonly now: () => number;
  /** The database does not take a fact, whatever it says. */
  readonly refused: (fact: Fact, reason: string) => void;
}

/** Tells facts. Rejects if the database fails; what it does not take is left out. */
export async function tellAll(facts: readonly Untold[], options: TellingOptions): Promise<void> {
  const told = toldOf(facts, options);
  await tellEach(told.seen, options, (some) => tellStays(options.db, some));
  await tellEach(told.tags, options, (some) => tellTags(options.db, options.run.instance, some));
  await tellEach(told.parts, options, (some) => tellParts(options.db, some));
  await tellEach(told.manifests, options, (some) => tellManifests(options.db, some));
  await tellEach(told.limits, options, (some) =>
    tellLimits(options.db, options.run.instance, some),
  );
  await tellEach(told.applied, options, (some) => {
    const { db, run } = options;
    const applied = some.map(({ fact }) => fact);
    return tellApplied(db, run.instance, run.id, applied);
  });
}

type FactOf<Kind extends Fact["kind"]> = Extract<Fact, { readonly kind: Kind }>;

interface ToldByTable {
  readonly tags: Told<FactOf<"tag" | "tag-removed">>[];
  readonly seen: Told<FactOf<"seen">>[];
  readonly parts: Told<FactOf<"parts">>[];
  readonly manifests: Told<FactOf<"manifest">>[];
  readonly limits: Told<FactOf<"rest" | "budget">>[];
  readonly applied: Told<FactOf<"applied">>[];
}

/** The moments are of the server's clock: told late, a fact is as old as it is. */
function toldOf(facts: readonly Untold[], { clock, now }: TellingOptions): ToldByTable {
  const told: ToldByTable = {
    tags: [],
    seen: [],
    parts: [],
    manifests: [],
    limits: [],
    applied: [],
  };
  const server = clock().earliest();
  for (const { fact, at } of facts) {
    const given = server - (now() - at);
    switch (fact.kind) {
      case "tag":
      case "tag-removed":
        told.tags.push({ fact, moment: given - fact.ageMs });
        break;
      case "seen":
        told.seen.push({ fact, moment: given });
        break;
      case "parts":
        told.parts.push({ fact, moment: given - fact.ageMs });
        break;
      case "manifest":
        told.manifests.push({ fact, moment: given - fact.ageMs });
        break;
      case "rest":
      case "budget":
        told.limits.push({ fact, moment: given + fact.leftMs });
        break;
      case "applied":
        told.applied.push({ fact, moment: given });
        break;
    }
  }
  return told;
}

/** Where the database does not take one of the facts, the others are told. */
async function tellEach<One extends Told<Fact>>(
  told: readonly One[],
  options: TellingOptions,
  tell: (some: readonly One[]) => Promise<void>,
): Promise<void> {
  const [first] = told;
  if (!first) return;
  try {
    await tell(told);
  } catch (error) {
    if (!isOfData(error)) throw error;
    if (told.length === 1) return options.refused(first.fact, describeDatabaseError(error));
    const middle = told.length >> 1;
    await tellEach(told.slice(0, middle), options, tell);
    await tellEach(told.slice(middle), options, tell);
  }
}
