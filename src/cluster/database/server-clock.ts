/** How long an answer that came quicker is preferred, in milliseconds. */
const PREFERRED_MS = 10_000;

/**
 * The server's clock, from its answers and from this machine's monotonic clock. With it, replicas send the
 * moment of what they tell, and not its age: a statement that the server carries out much later, since it
 * hung or the network did, then says nothing that is not true any more.
 *
 * All times are in milliseconds.
 */
export class ServerClock {
  readonly #now: () => number;
  #server: number;
  #sent: number;
  #received: number;

  /**
   * @param server what the server's clock said, some time between `sent` and `received`
   * @param now the monotonic clock of `sent` and `received`
   */
  constructor(server: number, sent: number, received: number, now: () => number) {
    this.#now = now;
    this.#server = server;
    this.#sent = sent;
    this.#received = received;
  }

  /** Takes another answer, unless there was one lately that says it more exactly. */
  hear(server: number, sent: number, received: number): void {
    const isExacter = received - sent <= this.#received - this.#sent;
    if (!isExacter && received - this.#received < PREFERRED_MS) return;
    this.#server = server;
    this.#sent = sent;
    this.#received = received;
  }

  /** What the server's clock says now at least. */
  earliest(): number {
    return this.#server + this.#now() - this.#received;
  }

  /** What the server's clock says now at most. */
  latest(): number {
    return this.#server + this.#now() - this.#sent;
  }
}
