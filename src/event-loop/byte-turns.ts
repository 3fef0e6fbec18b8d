import { TurnLimiter } from "./turn-limiter.ts";

/** How many chunks are received, read or sent in a turn: each takes 30 to 150 µs. */
const CHUNKS_PER_TURN = 4;

/** Of all that moves the bytes of blobs through this thread, so that hits are answered in between. */
export const byteTurns: TurnLimiter = new TurnLimiter(CHUNKS_PER_TURN);
