/** A tag that is held, and is served with an image to which something belongs that its registry no longer has. */
export interface NeededBy {
  /** `docker.io/library/node:24`. */
  readonly image: string;
  /** With which it is served. */
  readonly digest: string;
  /** Why it is held, and what to do: a sentence without its full stop. */
  readonly text: string;
}

/** What is added to a message that something is missing. */
export function neededText(neededBy: NeededBy | undefined): string {
  if (!neededBy) return "";
  return `, which ${neededBy.image} needs as long as it is held: ${neededBy.text}`;
}
