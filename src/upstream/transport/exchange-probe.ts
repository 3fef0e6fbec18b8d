import { setImmediate, setTimeout } from "node:timers/promises";

/** How long a byte may take on this machine, in milliseconds. */
const TIMEOUT_MS = 500;

/** The kernel takes nothing to send, and Bun does not say why. */
class UnsentError extends Error {
  readonly code = "ENOBUFS";
}

/**
 * The error with which this machine refuses to send or to receive on a connection now; `undefined` if it does
 * neither, or that cannot be found out. Bun reports each such error of a request as ECONNRESET, or waits for ever,
 * so a byte is sent over a connection to this process itself. Concurrent calls share one.
 */
export const exchangeError: () => Promise<unknown> = sharedWhileRunning(probe);

async function probe(): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const failed = (error: unknown): void => resolve(error instanceof Error ? error : undefined);
  try {
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data: (socket, bytes) => void socket.write(bytes),
        close: (_, error) => failed(error),
        error: (_, error) => failed(error),
      },
    });
    using _ = await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      socket: {
        open: (socket) => void socket.write("?"),
        data: () => resolve(undefined),
        close: (__, error) => failed(error),
        error: (__, error) => failed(error),
      },
    });
    return await Promise.race([promise, unsent()]);
  } catch {
    // What keeps connections from being made is found out elsewhere.
    return undefined;
  }
}

async function unsent(): Promise<Error> {
  await setTimeout(TIMEOUT_MS, undefined, { ref: false });
  // Where other work kept this process from looking, the byte is there by now.
  for (let turn = 0; turn < 3; turn += 1) await setImmediate();
  return new UnsentError("nothing can be sent");
}

function sharedWhileRunning<Value>(work: () => Promise<Value>): () => Promise<Value> {
  let running: Promise<Value> | undefined;
  return () => {
    running ??= work().finally(() => {
      running = undefined;
    });
    return running;
  };
}
