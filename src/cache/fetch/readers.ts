/** Who reads a download while it runs. */
export interface Readers {
  /** How far beyond `offset` the download may go, in bytes: what is ahead of its readers can be lost to them. */
  reach(offset: number): number;
  /** Resolves once it may go on from `offset`; `undefined` if it may at once. Waits for no reader that stands still. */
  keepUp(offset: number): Promise<void> | undefined;
}
