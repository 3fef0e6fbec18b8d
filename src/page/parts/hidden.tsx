import type { JSX } from "preact";

/** How much is not shown to whoever may only read. */
export function Hidden({
  count = 0,
  what,
}: {
  readonly count: number | undefined;
  readonly what: string;
}): JSX.Element | null {
  if (count === 0) return null;
  return (
    <p class="note">
      {count} private {count === 1 ? `${what} is` : `${what}s are`} not shown to a token that may
      only read.
    </p>
  );
}
