import type { Position } from "../parsing/problems.ts";

/** Where an imported setting was written. Without a file it is an option of the command line. */
export interface Origin extends Position {
  /** The key or argument in the terms of its own format: `proxy.ttl`, `-p 5010:5000`. */
  readonly what: string;
}
