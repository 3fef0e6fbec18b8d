/** Durations in milliseconds and sizes in bytes, written with units. */

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const;

/** Parses `30s`, `1h30m`, `250ms`, `7d` or `0` to milliseconds. Returns undefined if the text is invalid. */
export function parseDuration(text: string): number | undefined {
  if (text.trim() === "0") return 0;
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/gy)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== text.trim()) return undefined;
  // The expression only matches the units of the table.
  return parts.reduce(
    (sum, part) => sum + Number(part[1]) * DURATION_UNITS[part[2] as keyof typeof DURATION_UNITS],
    0,
  );
}

/** Parses `100GiB`, `10GB`, `10Gi` or `4096` to bytes. Returns undefined if the text is invalid. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s?([A-Za-z]{0,3})$/.exec(text.trim());
  const unit = match?.[2] ?? "";
  if (!match || !Object.hasOwn(SIZE_UNITS, unit)) return undefined;
  // The check above ensures that the table has this key.
  return Math.floor(Number(match[1]) * SIZE_UNITS[unit as keyof typeof SIZE_UNITS]);
}

/** Formats bytes for display: `1536` as `1.5 KiB`. */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
