// Clients that each request something else that no registry has, all at once: `bun miss-clients.ts
// <url> <clients>`, where the URL has `DIGEST` in place of a digest. They
// share one process, and each has a connection of its own.
import { randomBytes } from "node:crypto";

async function miss(url: URL): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const path = `${url.pathname}${url.search}`.replace(
    "DIGEST",
    `sha256:${randomBytes(32).toString("hex")}`,
  );
  let head = "";
  await Bun.connect({
    hostname: url.hostname,
    port: Number(url.port),
    socket: {
      open(socket) {
        const lines = [`GET ${path} HTTP/1.1`, `Host: ${url.host}`, "Connection: close"];
        socket.write(`${lines.join("\r\n")}\r\n\r\n`);
      },
      data(_, chunk) {
        head += chunk.toString("latin1");
      },
      close: () => resolve(),
      error: (_, error) => reject(error),
    },
  });
  await promise;
  if (!head.startsWith("HTTP/1.1 404 ")) throw new Error(`${path} returned ${head}`);
}

const [address = "", clients = "1"] = process.argv.slice(2);
await Promise.all(Array.from({ length: Number(clients) }, () => miss(new URL(address))));
