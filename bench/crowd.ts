// Clients that ask for the same at the same moment: `bun crowd.ts <url> <clients>`. All in one process,
// so that none begins later than the others because its program was loaded later. Prints for each,
// in milliseconds since the moment they began, its first byte of the body and its last.
import type { Download } from "./load.ts";

async function ask(url: URL, began: number): Promise<Download> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let [head, first, last, bytes] = ["", 0, 0, 0];
  const isHeadOver = (): boolean => head.includes("\r\n\r\n");
  await Bun.connect({
    hostname: url.hostname,
    port: Number(url.port),
    socket: {
      open(socket) {
        const lines = [`GET ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`];
        socket.write(`${[...lines, "Accept: */*", "Connection: close"].join("\r\n")}\r\n\r\n`);
      },
      data(_, chunk) {
        last = performance.now() - began;
        if (isHeadOver()) {
          first ||= last;
          bytes += chunk.byteLength;
          return;
        }
        head += chunk.toString("latin1");
        if (!isHeadOver()) return;
        const rest = head.length - head.indexOf("\r\n\r\n") - 4;
        if (rest > 0) first = last;
        bytes = rest;
      },
      close: () => resolve(),
      error: (_, error) => reject(error),
    },
  });
  await promise;
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`${url.href} was answered ${head}`);
  return { first, last, bytes };
}

const [address = "", clients = "1"] = process.argv.slice(2);
const began = performance.now();
const each = await Promise.all(
  Array.from({ length: Number(clients) }, () => ask(new URL(address), began)),
);
console.log(JSON.stringify(each));
