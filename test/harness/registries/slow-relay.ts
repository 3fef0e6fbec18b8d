import { createConnection, createServer, type Socket } from "node:net";

/** A TCP relay to a port of this machine, with a limit of bytes per second for each connection and direction. */
export interface SlowRelay extends AsyncDisposable {
  readonly port: number;
  /** Bytes that clients were sent. */
  readonly down: number;
  /** Bytes that clients have sent. */
  readonly up: number;
}

export async function startSlowRelay(port: number, bytesPerSecond: number): Promise<SlowRelay> {
  const counts = { down: 0, up: 0 };
  const sockets = new Set<Socket>();
  const forward = (from: Socket, to: Socket, direction: "down" | "up"): void => {
    sockets.add(from);
    from.on("data", (chunk: Buffer) => {
      counts[direction] += chunk.byteLength;
      to.write(chunk);
      from.pause();
      setTimeout(() => from.resume(), (chunk.byteLength / bytesPerSecond) * 1000);
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server = createServer((client) => {
    const target = createConnection(port, "127.0.0.1");
    forward(target, client, "down");
    forward(client, target, "up");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it has no port");
  return {
    port: address.port,
    get down() {
      return counts.down;
    },
    get up() {
      return counts.up;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
