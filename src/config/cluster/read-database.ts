import path from "node:path";
import type { DatabaseEntry } from "../database-schema.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { type FileContext, readCaBundle } from "../upstreams/certificates.ts";
import type { DatabaseSettings } from "../database-settings.ts";
import { parseDatabaseUrl } from "./database-url.ts";

const AT = ["cluster", "database"];
const MAX_URL_BYTES = 4096;

/** Reads `cluster.database` of the configuration. Problems are reported, without the password. */
export function readDatabase(
  { urlFile, ca }: DatabaseEntry,
  context: FileContext,
): DatabaseSettings | undefined {
  const { folder, readFile, report } = context;
  const bundle = readCaBundle(AT, ca, context);
  const name = path.resolve(folder, urlFile);
  try {
    const settings = parseDatabaseUrl(readFile(name, MAX_URL_BYTES), bundle);
    if (typeof settings === "string") report([...AT, "urlFile"], `${name} ${settings}`, "value");
    else if (ca === undefined || bundle !== undefined) return settings;
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    report([...AT, "urlFile"], `${name} ${error.message}`, "value");
  }
  return undefined;
}
