/** In milliseconds. */
export interface Timeouts {
  /** For a TCP connection to any of a host's addresses. */
  readonly connect: number;
  /** From the call to the last response header: DNS, TCP, TLS and the server's own time. */
  readonly headers: number;
  /** The longest wait for the next byte of a body. */
  readonly stall: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = { connect: 5000, headers: 10_000, stall: 30_000 };
