import { descriptorCount } from "../../process/file-descriptors.ts";
import type { Pausable } from "./connection-gate.ts";
import { connectionsAt, endConnections } from "./port-connections.ts";

/** How often connections are counted, in milliseconds. */
const INTERVAL_MS = 500;
/** Readers of events get something every 15 s. Whoever is silent for longer has no use for a connection that is scarce. */
const SILENT_MS = 20_000;

export interface ConnectionLimitOptions {
  readonly port: Pausable;
  readonly number: number;
  /** The most connections at once. */
  readonly max: number;
  /** Called when there are so many that no more are accepted for now. */
  readonly onReached: () => void;
  /** For tests. */
  readonly silentMs?: number;
}

/**
 * Bounds the connections of a port whose clients may all be idle. At the limit no more are accepted: they wait, until
 * others end, or are ended since they have been silent for long.
 */
export class ConnectionLimit implements Disposable {
  readonly #options: ConnectionLimitOptions;
  readonly #timer: Timer;
  #isReached = false;

  constructor(options: ConnectionLimitOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { port, number, max, onReached, silentMs = SILENT_MS } = this.#options;
    // Listing descriptors takes longer than counting them.
    const open = descriptorCount() < max ? [] : connectionsAt(number);
    if (open.length < max) {
      if (this.#isReached) port.resume();
      this.#isReached = false;
      return;
    }
    if (!this.#isReached) {
      this.#isReached = true;
      port.pause();
      onReached();
    }
    const silent = open.filter(({ idle }) => idle >= silentMs);
    const longest = silent.toSorted((one, other) => other.idle - one.idle);
    endConnections(longest.slice(0, open.length - Math.floor(max / 2)));
  }
}
