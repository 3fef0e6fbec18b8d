import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { until } from "../../../test/harness/waiting.ts";
import { ConnectionLimit } from "./connection-limit.ts";
import { connectionsAt } from "./port-connections.ts";
import { RenewablePort } from "./renewable-port.ts";

/** Above what this process has open for itself, so that counting descriptors does not stand in the way. */
const MAX = 8;

test.skipIf(process.platform !== "linux")(
  "of idle connections, no more than the limit stay open, and those that wait get their answer",
  async () => {
    const port = new RenewablePort(({ host: hostname, port: at }) =>
      Bun.serve({ hostname, port: at, idleTimeout: 120, fetch: () => new Response("here") }),
    );
    const number = port.open({ host: "127.0.0.1", port: 0 }).port ?? expect.unreachable();
    let reached = 0;
    using limit = new ConnectionLimit({
      port,
      number,
      max: MAX,
      silentMs: 1500,
      onReached: () => (reached += 1),
    });
    const sockets: Socket[] = [];
    const idle = (): Socket => connect(number, "127.0.0.1").on("error", () => {});
    for (let count = 0; count < MAX; count += 1) sockets.push(idle());
    await until(() => reached > 0, { what: "the limit is reached" });
    for (let count = 0; count < 2 * MAX; count += 1) sockets.push(idle());
    const answer = await fetch(`http://127.0.0.1:${number}/`);
    expect(await answer.text()).toBe("here");
    await until(() => connectionsAt(number).length <= MAX, { what: "the silent ones are ended" });
    for (const socket of sockets) socket.destroy();
    limit[Symbol.dispose]();
    await port.stop(true);
  },
  60_000,
);
