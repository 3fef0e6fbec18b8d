export interface Column {
  readonly title: string;
  /** Aligns a column of numbers. */
  readonly right?: boolean;
}

/** A table with columns as wide as their longest cell. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  return [...tableLines(columns, rows)].join("\n");
}

/** The lines of a table, one by one. */
export function* tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): Generator<string> {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), title.length),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return columns[index]?.right ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  yield line(columns.map(({ title }) => title));
  for (const row of rows) yield line(row);
}

/** A duration in seconds, rounded to its one or two largest units: `3 d 4 h`. */
export function duration(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  if (left < 90) return `${left} s`;
  const minutes = Math.round(left / 60);
  if (minutes < 90) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours < 24) return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The time since a moment, in milliseconds since the epoch, in its largest unit: `3 h ago`. */
export function ago(moment: number, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.floor((now - moment) / 1000));
  const units: [size: number, name: string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
  ];
  for (const [size, name] of units) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${name} ago`;
  }
  return seconds < 5 ? "just now" : `${seconds} s ago`;
}

/** `1 file`, `3 files`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
