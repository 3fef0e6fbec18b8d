/** Converts Kubernetes quantities and Go durations to the notation of entrepot.yaml. */

const BINARY = /^\d+(?:\.\d+)?[KMGT]i$/;
/** Decimal units of Kubernetes and their equivalents. Kubernetes' k is 1000, as is the K of KB. */
const THOUSANDS: Readonly<Record<string, string>> = { k: "KB", M: "MB", G: "GB", T: "TB" };
const DECIMAL: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/**
 * Converts a Kubernetes quantity: `100Gi` is unchanged, `5G` becomes `5GB`, `1e9` becomes
 * `1000000000`. Returns undefined if it is invalid.
 */
export function convertQuantity(text: string): string | undefined {
  if (BINARY.test(text)) return text;
  const [, count = "", unit = ""] = /^(\d+(?:\.\d+)?)([kMGT])$/.exec(text) ?? [];
  if (unit !== "") return `${count}${THOUSANDS[unit]}`;
  const match = /^(\d+(?:\.\d+)?)(?:e(\d{1,2})|([kMGTP]|[KMGTP]i))?$/i.exec(text);
  const factor = DECIMAL[match?.[3] ?? ""];
  if (!match || factor === undefined) return undefined;
  return String(Math.floor(Number(match[1]) * factor * 10 ** Number(match[2] ?? 0)));
}

/** A quantity of Kubernetes in bytes; 0 if it is none. */
export function quantityBytes(text: string): number {
  const [, count = "0", exponent = "0", unit = ""] =
    /^(\d+(?:\.\d+)?)(?:e(\d{1,2})|([kMGTP]|[KMGTP]i))?$/.exec(text) ?? [];
  return Number(count) * (DECIMAL[unit] ?? 1) * 10 ** Number(exponent);
}

/** The sum of quantities, as one that is no smaller. */
export function addQuantities(quantities: readonly string[]): string {
  const bytes = quantities.reduce((sum, text) => sum + quantityBytes(text), 0);
  const [unit = "Mi", size = 2 ** 20] =
    Object.entries(DECIMAL).findLast(
      ([name, factor]) => name.endsWith("i") && Number.isInteger(bytes / factor),
    ) ?? [];
  return `${Math.ceil(bytes / size)}${unit}`;
}

const GO_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 36e5,
};

/** Parses a Go duration such as `1h30m` to milliseconds. Returns undefined if it is invalid. */
export function parseGoDuration(text: string): number | undefined {
  if (/^[+-]?0$/.test(text)) return 0;
  const match = /^([+-]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+)$/.exec(text);
  if (!match) return undefined;
  const parts = [...(match[2] ?? "").matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)];
  const sum = parts.reduce(
    (total, part) => total + Number(part[1]) * (GO_UNITS[part[2] ?? ""] ?? 0),
    0,
  );
  return match[1] === "-" ? -sum : sum;
}

/** Formats a duration as an integer of the largest fitting unit: `168h`, `90s`, `0`. */
export function formatDuration(milliseconds: number): string | number {
  if (milliseconds === 0) return 0;
  for (const [unit, size] of [
    ["h", 36e5],
    ["m", 6e4],
    ["s", 1e3],
  ] as const) {
    if (milliseconds % size === 0) return `${milliseconds / size}${unit}`;
  }
  return `${Math.ceil(milliseconds)}ms`;
}
