/** Where so few further connections fill a fast line, a download's own one may fill it as well. */
const MAX_FURTHER = 2;
/** For how many windows that is tried. */
const MAX_WINDOWS = 10;
/** How long after it was tried it is not tried again, in milliseconds. */
const PAUSE_MS = 60_000;

/**
 * Tries whether a download's own connection fills the line alone. The first further ones may have been added while
 * it was getting up to speed, and cost if they are not needed: what comes ahead is written, and read again.
 */
export class AloneTrial {
  #further = 0;
  #windows = 0;
  #pausedUntil = -Infinity;

  get isRunning(): boolean {
    return this.#further > 0;
  }

  /**
   * @param further how many further connections there are
   * @param now in milliseconds
   * @returns whether it begins: then there are to be none
   */
  begin(further: number, now: number): boolean {
    if (further === 0 || further > MAX_FURTHER || now < this.#pausedUntil) return false;
    this.#further = further;
    this.#windows = 0;
    this.#pausedUntil = now + PAUSE_MS;
    return true;
  }

  /**
   * Judges one more window.
   *
   * @returns how many further connections are to come back, or `undefined` if it goes on
   */
  look(isFastAlone: boolean): number | undefined {
    this.#windows += 1;
    if (!isFastAlone && this.#windows < MAX_WINDOWS) return undefined;
    const further = isFastAlone ? 0 : this.#further;
    this.cancel();
    return further;
  }

  cancel(): void {
    this.#further = 0;
  }
}
