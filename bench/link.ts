// One direction of a simulated network link, in bytes and milliseconds and without a clock of its
// own: shaper.ts moves real bytes as this says.

export interface LinkShape {
  readonly roundTripMs: number;
  /** Bandwidth that all connections share fairly; 0 for unlimited. */
  readonly megabytesPerSecond: number;
  /** The most that one connection gets, as registries limit it; unlimited if not given. */
  readonly connectionMegabytesPerSecond?: number | undefined;
  /** Each connection begins with TCP's initial window, and again after it was idle. */
  readonly slowStart?: boolean | undefined;
}

/** Linux sends ten segments before the first acknowledgement (RFC 6928); 1448 bytes fit into each. */
const INITIAL_WINDOW = 10 * 1448;
/** Bytes in flight, beyond the bandwidth-delay product, that a connection's window allows. */
const SLACK = 256 * 1024;
/** The window of a connection whose bandwidth is unlimited. */
const UNLIMITED_WINDOW = 16 * 1024 * 1024;
/** Linux's TCP_RTO_MIN: after this and a round trip without sending, a window is the initial one. */
const IDLE_MS = 200;
/**
 * Bandwidth that was not used because a timer was late is used afterwards, or a busy machine would
 * have a slower link.
 */
const MAX_LATENESS_MS = 100;

/** One direction of a link, with the flows of all its connections. */
export class Line {
  /** From one end to the other. */
  readonly delayMs: number;
  readonly #bytesPerMs: number;
  readonly #flowBytesPerMs: number;
  readonly #slowStart: boolean;
  readonly #flows = new Set<Flow>();
  #credit = 0;
  #advancedAt = 0;

  constructor(shape: LinkShape) {
    this.delayMs = shape.roundTripMs / 2;
    this.#bytesPerMs = perMs(shape.megabytesPerSecond);
    this.#flowBytesPerMs = perMs(shape.connectionMegabytesPerSecond ?? 0);
    this.#slowStart = shape.slowStart ?? false;
  }

  /** @param startsAt nothing is sent before this time */
  open(startsAt: number): Flow {
    const rate = Math.min(this.#flowBytesPerMs, this.#bytesPerMs);
    const largest =
      rate === Infinity ? UNLIMITED_WINDOW : Math.ceil(4 * this.delayMs * rate) + SLACK;
    const flow = new Flow({
      delayMs: this.delayMs,
      bytesPerMs: this.#flowBytesPerMs,
      windows: { first: this.#slowStart ? INITIAL_WINDOW : largest, largest },
      startsAt,
    });
    this.#flows.add(flow);
    return flow;
  }

  close(flow: Flow): void {
    this.#flows.delete(flow);
  }

  /** The application behind a flow has written bytes. */
  offer(flow: Flow, bytes: number, now: number): void {
    // Time in which nobody sent is not late.
    if (!this.isBusy) this.#advancedAt = now;
    flow.offer(bytes, now);
  }

  /** Whether time changes anything: bytes wait to be sent, or to be acknowledged. */
  get isBusy(): boolean {
    for (const flow of this.#flows) if (flow.isBusy) return true;
    return false;
  }

  /**
   * Lets each flow send what its window, its rate and its share of the line allow at `now`. Calls
   * `sent` for each flow that may send something.
   */
  advance(now: number, sent: (flow: Flow, bytes: number) => void): void {
    const elapsed = Math.min(now - this.#advancedAt, MAX_LATENESS_MS);
    this.#advancedAt = now;
    const ready: { flow: Flow; wanted: number }[] = [];
    for (const flow of this.#flows) {
      const wanted = flow.wanted(now, elapsed);
      if (wanted > 0) ready.push({ flow, wanted });
    }
    this.#credit = earned(this.#credit, this.#bytesPerMs, elapsed);
    // Max-min fairness: who wants less than an equal share leaves the rest to the others.
    ready.sort((a, b) => a.wanted - b.wanted);
    let isFull = false;
    for (const [at, { flow, wanted }] of ready.entries()) {
      const share = Math.floor(this.#credit / (ready.length - at));
      isFull ||= wanted > share;
      const bytes = Math.min(wanted, share);
      if (bytes === 0) continue;
      this.#credit -= bytes;
      flow.send(bytes, now);
      sent(flow, bytes);
    }
    // A line that had room is not faster afterwards.
    if (!isFull) this.#credit = 0;
  }
}

interface FlowOptions {
  readonly delayMs: number;
  readonly bytesPerMs: number;
  readonly windows: { readonly first: number; readonly largest: number };
  readonly startsAt: number;
}

/** What one connection sends over a line, as TCP does on a line without losses. */
export class Flow {
  readonly #options: FlowOptions;
  #window: number;
  #waiting = 0;
  #inFlight = 0;
  #credit = 0;
  #sentAt = -Infinity;
  readonly #acknowledgements: { readonly at: number; readonly bytes: number }[] = [];

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#window = options.windows.first;
  }

  /** Bytes that are not sent yet. */
  get waiting(): number {
    return this.#waiting;
  }

  get isBusy(): boolean {
    return this.#waiting > 0 || this.#acknowledgements.length > 0;
  }

  /** Called by the line alone, as `wanted` and `send` are. */
  offer(bytes: number, now: number): void {
    const { delayMs, windows } = this.#options;
    const isIdle = this.#inFlight === 0 && this.#waiting === 0;
    if (isIdle && now - this.#sentAt > 2 * delayMs + IDLE_MS) this.#window = windows.first;
    this.#waiting += bytes;
  }

  /** The receiver's application has read bytes, which it did not have before. */
  read(bytes: number, now: number): void {
    this.#acknowledgements.push({ at: now + this.#options.delayMs, bytes });
  }

  /** How much it would send at `now` if the line were its own. */
  wanted(now: number, elapsed: number): number {
    const { startsAt, bytesPerMs, windows } = this.#options;
    for (let [next] = this.#acknowledgements; next && next.at <= now;) {
      this.#acknowledgements.shift();
      this.#inFlight -= next.bytes;
      this.#window = Math.min(this.#window + next.bytes, windows.largest);
      [next] = this.#acknowledgements;
    }
    const allowed = Math.min(this.#waiting, this.#window - this.#inFlight);
    if (now < startsAt || allowed <= 0) {
      this.#credit = 0;
      return 0;
    }
    this.#credit = earned(this.#credit, bytesPerMs, elapsed);
    // Neither is a connection faster after it had nothing to send, or no window for it.
    if (allowed < this.#credit) this.#credit = allowed;
    return Math.floor(this.#credit);
  }

  send(bytes: number, now: number): void {
    this.#credit -= bytes;
    this.#waiting -= bytes;
    this.#inFlight += bytes;
    this.#sentAt = now;
  }
}

function perMs(megabytesPerSecond: number): number {
  return megabytesPerSecond > 0 ? (megabytesPerSecond * 1e6) / 1000 : Infinity;
}

function earned(credit: number, rate: number, elapsed: number): number {
  if (rate === Infinity) return Infinity;
  return Math.min(credit + rate * elapsed, rate * MAX_LATENESS_MS);
}
