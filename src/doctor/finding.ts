/**
 * `note`: it works, but the operator should know. `unknown`: the check could not be carried out.
 */
export type State = "ok" | "note" | "problem" | "unknown";

/** One row of the doctor's table. */
export interface Finding {
  /** What was checked: `address`, `disk`, `clock`. */
  readonly topic: string;
  /** The folder, port or upstream that was checked. */
  readonly subject: string;
  readonly state: State;
  readonly found: string;
  /** What to do about it; absent if nothing has to be done. */
  readonly advice?: string;
}

/** Returns a function that builds findings with this topic and subject. */
export function reporter(topic: string, subject: string) {
  return (state: State, found: string, advice?: string): Finding => ({
    topic,
    subject,
    state,
    found,
    ...(advice === undefined ? {} : { advice }),
  });
}
