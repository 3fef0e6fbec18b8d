import type { Traits } from "../traits.ts";

const KEYS = new Set([
  "capabilities",
  "ca",
  "client",
  "skip_verify",
  "header",
  "override_path",
  "dial_timeout",
]);
const ROOT_KEYS = new Set([...KEYS, "server"]);

export type Table = Readonly<Record<string, unknown>>;

export function asTable(value: unknown): Table {
  const isTable = typeof value === "object" && value !== null && !Array.isArray(value);
  // An object that is not an array is a TOML table here: no field that is read this way holds a date.
  return isTable ? (value as Table) : {};
}

/** A key that containerd does not know as it is written. */
export interface StrangeKey {
  readonly key: string;
  /** The key that it equals apart from its case. */
  readonly documented?: string;
  /** Whether this version reads it all the same. */
  readonly isRead: boolean;
}

/**
 * The fields of a table under the keys as which containerd reads them: 2.x in any case, 1.x also in
 * capitals. `host` has to be exact, because the order of the hosts is read apart from their fields.
 */
export function readKeys(
  table: Table,
  isRoot: boolean,
  traits: Traits,
): { readonly fields: Table; readonly strange: readonly StrangeKey[] } {
  const known = isRoot ? ROOT_KEYS : KEYS;
  const fields: Record<string, unknown> = {};
  const strange: StrangeKey[] = [];
  for (const [key, value] of Object.entries(table)) {
    const documented = key.toLowerCase();
    if (known.has(key)) {
      if (!traits.foldsKeys || !(key in fields)) fields[key] = value;
    } else if (isRoot && documented === "host") {
      if (key !== "host") strange.push({ key, documented, isRead: false });
    } else if (known.has(documented)) {
      const isRead = traits.foldsKeys || (key === key.toUpperCase() && !(documented in table));
      strange.push({ key, documented, isRead });
      if (isRead) fields[documented] = value;
    } else strange.push({ key, isRead: false });
  }
  return { fields, strange };
}
