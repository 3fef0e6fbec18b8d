// A line of a given length and width to a server: `bun shaper.ts <port> <round trip, ms> <MB/s>`. It
// runs in a process of its own, so that its work is nobody's who is measured, and prints its port.
import { connect, createServer, type Socket } from "node:net";

/** Bytes on the line, beyond what it holds by its length and width, before the sender has to wait. */
const SLACK = 256 * 1024;

/** One direction of the line. All connections share its width, as they do a real one's. */
class Line {
  /** When the last byte that was put on it has left the sender, in milliseconds. */
  #free = 0;

  /** @param bytesPerMs 0 where it is as wide as one likes */
  constructor(
    readonly delay: number,
    readonly bytesPerMs: number,
  ) {}

  /** When a piece that is sent now has arrived. */
  arrival(bytes: number): number {
    const now = performance.now();
    const took = this.bytesPerMs > 0 ? bytes / this.bytesPerMs : 0;
    this.#free = Math.max(now, this.#free) + took;
    return this.#free + this.delay;
  }

  get capacity(): number {
    return this.bytesPerMs > 0 ? 2 * this.delay * this.bytesPerMs + SLACK : Infinity;
  }
}

/** Carries what one socket sends to the other, each piece when its time has come. */
function carry(from: Socket, to: Socket, line: Line, head: number): void {
  const pieces: { at: number; bytes: Buffer | undefined }[] = [];
  let onTheWay = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deliver = (): void => {
    timer = undefined;
    for (let next = pieces[0]; next && next.at <= performance.now(); next = pieces[0]) {
      pieces.shift();
      if (!next.bytes) {
        to.end();
        return;
      }
      onTheWay -= next.bytes.byteLength;
      if (!to.write(next.bytes)) {
        to.once("drain", deliver);
        return;
      }
    }
    if (onTheWay < line.capacity) from.resume();
    plan();
  };
  const plan = (): void => {
    const [next] = pieces;
    if (next) timer ??= setTimeout(deliver, Math.max(0, next.at - performance.now()));
  };
  const send = (bytes: Buffer | undefined): void => {
    const arrival = line.arrival(bytes?.byteLength ?? 0);
    pieces.push({ at: Math.max(arrival, head), bytes });
    onTheWay += bytes?.byteLength ?? 0;
    if (onTheWay >= line.capacity) from.pause();
    plan();
  };
  if (line.delay === 0 && line.bytesPerMs === 0) {
    from.pipe(to);
  } else {
    from.on("data", send);
    from.on("end", () => send(undefined));
  }
  from.on("error", () => to.destroy());
  from.on("close", () => clearTimeout(timer));
}

const [port, roundTrip, rate] = process.argv.slice(2).map(Number);
const there = new Line((roundTrip ?? 0) / 2, 0);
const back = new Line((roundTrip ?? 0) / 2, ((rate ?? 0) * 1e6) / 1000);
const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({
    port: port ?? 0,
    host: "127.0.0.1",
    allowHalfOpen: true,
    noDelay: true,
  });
  // Opening a connection takes a round trip, which a connection to this machine does not.
  const opened = performance.now() + 2 * there.delay;
  carry(client, upstream, there, opened);
  carry(upstream, client, back, opened);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(`port ${typeof address === "object" ? address?.port : ""}`);
});
