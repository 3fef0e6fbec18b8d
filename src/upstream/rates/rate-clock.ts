/** The time, which tests replace. */
export interface RateClock {
  /** Monotonic, in milliseconds. */
  now(): number;
  /** By which the hours of a schedule hold. */
  date(): Date;
  /** Calls back once after so many milliseconds. The result cancels it. */
  after(milliseconds: number, call: () => void): () => void;
}

export const SYSTEM_CLOCK: RateClock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(milliseconds, call) {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
};
