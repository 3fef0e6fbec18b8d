// Concurrent clients that request the same URL: `bun herd-clients.ts <url> <clients>`. They share
// one process, so that none starts later because of its own startup time. Prints a JSON array with
// the times of each client's first and last body byte, in milliseconds since the common start, and
// its byte count.
import type { Download } from "./load.ts";

async function download(url: URL, startedAt: number): Promise<Download> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let [head, first, last, bytes] = ["", 0, 0, 0];
  const isHeadComplete = (): boolean => head.includes("\r\n\r\n");
  await Bun.connect({
    hostname: url.hostname,
    port: Number(url.port),
    socket: {
      open(socket) {
        const lines = [`GET ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`];
        socket.write(`${[...lines, "Accept: */*", "Connection: close"].join("\r\n")}\r\n\r\n`);
      },
      data(_, chunk) {
        last = performance.now() - startedAt;
        if (isHeadComplete()) {
          first ||= last;
          bytes += chunk.byteLength;
          return;
        }
        head += chunk.toString("latin1");
        if (!isHeadComplete()) return;
        const rest = head.length - head.indexOf("\r\n\r\n") - 4;
        if (rest > 0) first = last;
        bytes = rest;
      },
      close: () => resolve(),
      error: (_, error) => reject(error),
    },
  });
  await promise;
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`${url.href} returned ${head}`);
  return { first, last, bytes };
}

const [address = "", clients = "1"] = process.argv.slice(2);
const startedAt = performance.now();
const downloads = await Promise.all(
  Array.from({ length: Number(clients) }, () => download(new URL(address), startedAt)),
);
console.log(JSON.stringify(downloads));
