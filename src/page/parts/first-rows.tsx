import type { JSX } from "preact";

/** Of more rows, a page would be rendered for so long that pulls had to wait. */
const MOST_ROWS = 100;

export function firstRows<Row>(rows: readonly Row[]): readonly Row[] {
  return rows.slice(0, MOST_ROWS);
}

/** That there are more, and what lists them. */
export function Rest({
  count,
  command,
}: {
  readonly count: number;
  readonly command: string;
}): JSX.Element | null {
  if (count <= MOST_ROWS) return null;
  return (
    <p class="note">
      The first {MOST_ROWS} of {count} are shown: <code>{command}</code> lists all.
    </p>
  );
}
