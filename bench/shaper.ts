// A TCP proxy that simulates a network link with a given round-trip time and bandwidth: `bun
// shaper.ts <port> <round trip, ms> <MB/s>`. Runs in a process of its own, so that its CPU time is
// not attributed to a measured program. Prints the port that it listens on.
import { connect, createServer, type Socket } from "node:net";

/** Bytes in flight, beyond the link's bandwidth-delay product, before the sender must wait. */
const SLACK = 256 * 1024;

/** One direction of the link. All connections share its bandwidth, as on a real link. */
class Direction {
  /** When the last byte accepted so far leaves the sender, as a `performance.now()` time. */
  #idleAt = 0;

  /**
   * @param delay one-way delay in milliseconds
   * @param bytesPerMs bandwidth; 0 for unlimited
   */
  constructor(
    readonly delay: number,
    readonly bytesPerMs: number,
  ) {}

  /** Reserves bandwidth for bytes sent now, and returns when the last of them arrives. */
  arrival(bytes: number): number {
    const now = performance.now();
    const duration = this.bytesPerMs > 0 ? bytes / this.bytesPerMs : 0;
    this.#idleAt = Math.max(now, this.#idleAt) + duration;
    return this.#idleAt + this.delay;
  }

  /** The maximum of bytes in flight per connection. */
  get capacity(): number {
    return this.bytesPerMs > 0 ? 2 * this.delay * this.bytesPerMs + SLACK : Infinity;
  }
}

/**
 * Forwards everything from one socket to the other, each chunk at its arrival time.
 *
 * @param earliest no chunk arrives before this `performance.now()` time
 */
function forward(from: Socket, to: Socket, direction: Direction, earliest: number): void {
  const queue: { at: number; bytes: Buffer | undefined }[] = [];
  let inFlight = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deliver = (): void => {
    timer = undefined;
    for (let next = queue[0]; next && next.at <= performance.now(); next = queue[0]) {
      queue.shift();
      if (!next.bytes) {
        to.end();
        return;
      }
      inFlight -= next.bytes.byteLength;
      if (!to.write(next.bytes)) {
        to.once("drain", deliver);
        return;
      }
    }
    if (inFlight < direction.capacity) from.resume();
    schedule();
  };
  const schedule = (): void => {
    const [next] = queue;
    if (next) timer ??= setTimeout(deliver, Math.max(0, next.at - performance.now()));
  };
  const send = (bytes: Buffer | undefined): void => {
    const arrival = direction.arrival(bytes?.byteLength ?? 0);
    queue.push({ at: Math.max(arrival, earliest), bytes });
    inFlight += bytes?.byteLength ?? 0;
    if (inFlight >= direction.capacity) from.pause();
    schedule();
  };
  if (direction.delay === 0 && direction.bytesPerMs === 0) {
    from.pipe(to);
  } else {
    from.on("data", send);
    from.on("end", () => send(undefined));
  }
  from.on("error", () => to.destroy());
  from.on("close", () => clearTimeout(timer));
}

const [port, roundTripMs = 0, megabytesPerSecond = 0] = process.argv.slice(2).map(Number);
const toUpstream = new Direction(roundTripMs / 2, 0);
const toClient = new Direction(roundTripMs / 2, (megabytesPerSecond * 1e6) / 1000);
const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({
    port: port ?? 0,
    host: "127.0.0.1",
    allowHalfOpen: true,
    noDelay: true,
  });
  // The TCP handshake takes a round trip on a real link, but no time on this machine.
  const connectedAt = performance.now() + 2 * toUpstream.delay;
  forward(client, upstream, toUpstream, connectedAt);
  forward(upstream, client, toClient, connectedAt);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(`port ${typeof address === "object" ? address?.port : ""}`);
});
