import type { DescriptorBudget } from "../../process/file-descriptors.ts";

/** How often descriptors are counted where they are few, and where they are many, in milliseconds. */
const INTERVAL_MS = 50;
const RELAXED_INTERVAL_MS = 1000;
/** How long a connection may wait to be accepted, in milliseconds. A node whose connection ends asks the registry. */
const MAX_WAIT_MS = 5000;

/** A port that can stop to accept connections for a while. */
export interface Pausable {
  /** Connections wait from now on. */
  pause(): void;
  resume(): void;
  /** Ends the connections that wait. */
  refuseWaiting(): void;
}

export interface ConnectionGateOptions {
  readonly ports: Pausable;
  readonly descriptors: DescriptorBudget;
  /** Called again and again while no connections are accepted. */
  readonly onClosed: () => void;
  /** Called at each look at the descriptors. */
  readonly onLook?: (isScarce: boolean) => void;
}

/**
 * Accepts no more clients than there are file descriptors for. Without any left, Bun would try to accept the next one
 * again and again without a pause, and no file of what is stored could be opened.
 */
export class ConnectionGate implements Disposable {
  readonly #options: ConnectionGateOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #closedAt: number | undefined;
  #isScarce = false;

  constructor(options: ConnectionGateOptions) {
    this.#options = options;
    options.descriptors.hold();
    const interval = options.descriptors.areFew ? INTERVAL_MS : RELAXED_INTERVAL_MS;
    this.#timer = setInterval(() => this.#look(), interval).unref();
  }

  /** Whether connections should be closed after their next response. */
  get isScarce(): boolean {
    // Where hundreds of clients are too many, they may all have come since the last look.
    return this.#options.descriptors.areFew ? this.#options.descriptors.areScarce : this.#isScarce;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { ports, descriptors, onClosed, onLook } = this.#options;
    this.#isScarce = descriptors.areScarce;
    onLook?.(this.#isScarce);
    if (this.#closedAt === undefined) {
      if (!descriptors.areForNoClient) return;
      this.#closedAt = performance.now();
      // Finding the sockets takes descriptors.
      descriptors.release();
      ports.pause();
      onClosed();
    } else if (descriptors.areForClients) {
      this.#closedAt = undefined;
      descriptors.hold();
      ports.resume();
    } else {
      onClosed();
      if (performance.now() - this.#closedAt >= MAX_WAIT_MS) ports.refuseWaiting();
    }
  }
}
