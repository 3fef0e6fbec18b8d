/** `note`: it works, and somebody should know. `unknown`: it could not be found out. */
export type State = "ok" | "note" | "problem" | "unknown";

/** A row of the doctor's table. */
export interface Finding {
  /** What was looked at: `address`, `disk`, `clock`. */
  readonly topic: string;
  /** Which one of them: a folder, a port, an upstream. */
  readonly subject: string;
  readonly state: State;
  readonly found: string;
  /** What to do about it; nothing where it is as it should be. */
  readonly advice?: string;
}

/** Reports rows of one topic. */
export function about(topic: string, subject: string) {
  return (state: State, found: string, advice?: string): Finding => ({
    topic,
    subject,
    state,
    found,
    ...(advice === undefined ? {} : { advice }),
  });
}
