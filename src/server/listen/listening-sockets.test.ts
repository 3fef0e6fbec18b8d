import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { until } from "../../../test/harness/waiting.ts";
import { libc, listeningPort, openWithDescriptor } from "./listening-sockets.ts";

/**
 * More than the 512 that Bun lets wait, and as many again: until a client has sent something, Linux keeps
 * its connection in a queue of its own (TCP_DEFER_ACCEPT).
 */
const CONNECTIONS = 1500;

const SERVER = `
  import { lengthenQueue, openWithDescriptor } from "${import.meta.dir}/listening-sockets.ts";
  const open = () => Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const [server, descriptor] = openWithDescriptor(open);
  lengthenQueue(descriptor);
  console.log(server.port);`;

function longestQueue(): number {
  if (process.platform !== "linux") return 0;
  return Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8"));
}

test.skipIf(longestQueue() < CONNECTIONS)("more connections wait than Bun allows", async () => {
  const server = Bun.spawn([process.execPath, "-e", SERVER], { stdout: "pipe" });
  const clients: Socket[] = [];
  try {
    const { value } = await server.stdout.getReader().read();
    const port = Number(new TextDecoder().decode(value));
    // A stopped process accepts nothing.
    server.kill("SIGSTOP");
    for (let each = 0; each < CONNECTIONS; each += 1) {
      clients.push(connect({ host: "127.0.0.1", port }).on("error", () => undefined));
    }
    await until(() => clients.every(({ connecting }) => !connecting), { what: "all connections" });
  } finally {
    for (const client of clients) client.destroy();
    server.kill("SIGKILL");
    await server.exited;
  }
});

test.skipIf(process.platform !== "linux")(
  "the descriptor of a new server is found, also if it was that of another one a moment ago",
  async () => {
    const options = { port: 0, hostname: "127.0.0.1", fetch: () => new Response() };
    const former = Bun.serve(options);
    const [server, descriptor = -1] = openWithDescriptor(() => {
      void former.stop(true);
      return Bun.serve(options);
    });
    expect(listeningPort(libc(), descriptor)).toBe(server.port);
    await server.stop(true);
  },
);
