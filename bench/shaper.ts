// A TCP proxy that simulates a network link (see link.ts) to a port of this machine: `bun shaper.ts
// <port> <shape as JSON>`. Runs in a process of its own, so that its CPU time is not attributed to a
// measured program. Prints the port that it listens on, and on SIGUSR2 how many bytes it has
// delivered to clients.
import { connect, createServer, type Socket } from "node:net";
import { z } from "zod";
import { type Flow, Line, type LinkShape } from "./link.ts";

/** How often time is looked at while something is under way. */
const TICK_MS = 1;
/** Bytes of a connection that are read ahead of what its flow may send. */
const READ_AHEAD = 512 * 1024;

const shapeSchema: z.ZodType<LinkShape> = z.object({
  roundTripMs: z.number(),
  megabytesPerSecond: z.number(),
  connectionMegabytesPerSecond: z.number().optional(),
  slowStart: z.boolean().optional(),
});

/** What has left one end of the link and arrives at the other; no bytes are the end of a stream. */
interface InTransit {
  readonly at: number;
  readonly pipe: Pipe;
  readonly bytes: Buffer | undefined;
}

/** One direction of the link, with a pipe per connection. */
class Direction {
  readonly line: Line;
  readonly #transit: InTransit[] = [];
  readonly #pipes = new Map<Flow, Pipe>();
  #isAwake = false;
  /** Bytes that have arrived since the start. */
  delivered = 0;

  constructor(shape: LinkShape) {
    this.line = new Line(shape);
  }

  open(from: Socket, to: Socket, startsAt: number): void {
    const pipe = new Pipe(this, from, to, startsAt);
    this.#pipes.set(pipe.flow, pipe);
  }

  close(pipe: Pipe): void {
    this.line.close(pipe.flow);
    this.#pipes.delete(pipe.flow);
  }

  /** Goes on as long as something is under way. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    setTimeout(() => this.#tick(), TICK_MS);
  }

  /** The end of a stream arrives after all of its bytes. */
  transmit(pipe: Pipe, bytes: Buffer | undefined): void {
    this.#transit.push({ at: performance.now() + this.line.delayMs, pipe, bytes });
  }

  #tick(): void {
    this.#isAwake = false;
    const now = performance.now();
    let arrived = 0;
    for (const { at, pipe, bytes } of this.#transit) {
      if (at > now) break;
      arrived += 1;
      pipe.deliver(bytes);
    }
    this.#transit.splice(0, arrived);
    this.line.advance(now, (flow, bytes) => this.#pipes.get(flow)?.send(bytes));
    if (this.line.isBusy || this.#transit.length > 0) this.wake();
  }
}

/** One direction of one connection. */
class Pipe {
  readonly flow: Flow;
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #waiting: Buffer[] = [];
  /** What has arrived while the receiver did not read. */
  readonly #unread: (Buffer | undefined)[] = [];
  #hasEnded = false;

  constructor(direction: Direction, from: Socket, to: Socket, startsAt: number) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.flow = direction.line.open(startsAt);
    from.on("data", (bytes: Buffer) => {
      this.#waiting.push(bytes);
      direction.line.offer(this.flow, bytes.byteLength, performance.now());
      if (this.flow.waiting >= READ_AHEAD) from.pause();
      direction.wake();
    });
    from.on("end", () => {
      this.#hasEnded = true;
      if (this.#waiting.length === 0) direction.transmit(this, undefined);
      direction.wake();
    });
    to.on("drain", () => this.#read());
    to.on("close", () => direction.close(this));
    from.on("error", () => to.destroy());
    // After its end a stream may close while its last bytes are still on their way.
    from.on("close", () => {
      if (!this.#hasEnded) to.destroy();
    });
  }

  /** Puts the next bytes on the way. */
  send(count: number): void {
    for (let left = count; left > 0;) {
      const [first] = this.#waiting;
      if (!first) break;
      if (first.byteLength > left) this.#waiting[0] = first.subarray(left);
      else this.#waiting.shift();
      const bytes = first.subarray(0, left);
      this.#direction.transmit(this, bytes);
      left -= bytes.byteLength;
    }
    if (this.#hasEnded && this.#waiting.length === 0) this.#direction.transmit(this, undefined);
    else if (this.flow.waiting < READ_AHEAD) this.#from.resume();
  }

  deliver(bytes: Buffer | undefined): void {
    this.#unread.push(bytes);
    if (this.#unread.length === 1) this.#read();
  }

  #read(): void {
    while (this.#unread.length > 0) {
      if (this.#to.destroyed) return;
      if (this.#to.writableNeedDrain) return;
      const bytes = this.#unread.shift();
      if (!bytes) {
        this.#to.end();
        return;
      }
      this.#direction.delivered += bytes.byteLength;
      this.flow.read(bytes.byteLength, performance.now());
      this.#direction.wake();
      this.#to.write(bytes);
    }
  }
}

const [port = "", json = ""] = process.argv.slice(2);
const shape = shapeSchema.parse(JSON.parse(json));
// Requests are small: of the link they have its delay alone.
const toUpstream = new Direction({ roundTripMs: shape.roundTripMs, megabytesPerSecond: 0 });
const toClient = new Direction(shape);

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({
    port: Number(port),
    host: "127.0.0.1",
    allowHalfOpen: true,
    noDelay: true,
  });
  // The TCP handshake takes a round trip on a real link, but no time on this machine.
  const connectedAt = performance.now() + shape.roundTripMs;
  toUpstream.open(client, upstream, connectedAt);
  toClient.open(upstream, client, connectedAt);
});
process.on("SIGUSR2", () => console.log(`delivered ${toClient.delivered}`));
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(`port ${typeof address === "object" ? address?.port : ""}`);
});
