import type { DatabaseSettings } from "../../config/database-settings.ts";
import type { LedgerAbsence } from "../ledger/ledger.ts";
import { tryLedger } from "../database/migrations.ts";
import { openDatabase } from "../database/pool.ts";
import { absenceOf, reasonOf } from "./presence.ts";
import type { LedgerTables } from "../database/tables.ts";

export type ProbedLedger =
  /** 0 if there are no tables yet. */
  { readonly version: number } | { readonly absence: LedgerAbsence; readonly reason: string };

/** Looks once whether a database can be the ledger, with all that a replica does there, and changes nothing. Never rejects. */
export async function probeLedger(
  settings: DatabaseSettings,
  milliseconds: number,
): Promise<ProbedLedger> {
  const limits = { connections: 1, statementMs: milliseconds, connectMs: milliseconds };
  const database = openDatabase<LedgerTables>(settings, limits);
  try {
    return { version: await tryLedger(database.db) };
  } catch (error) {
    return { absence: absenceOf(error), reason: reasonOf(error) };
  } finally {
    await database.close().catch(() => {});
  }
}
