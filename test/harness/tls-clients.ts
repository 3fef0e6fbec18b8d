import { once } from "node:events";
import tls from "node:tls";

/** The name in the certificate that a port shows, to a client that checks it. */
export async function shown(address: string, ca: string): Promise<string> {
  const [host = "", port = ""] = address.split(":");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = tls.connect({ host, port: Number(port), ca }, () => {
    resolve(String(socket.getPeerCertificate().subject.CN));
    socket.end();
  });
  socket.once("error", reject);
  return promise;
}

/** A connection that stays open, and the head of each answer over it. */
export async function connect(address: string, ca: string) {
  const [host = "", port = ""] = address.split(":");
  const socket = tls.connect({ host, port: Number(port), ca });
  await once(socket, "secureConnect");
  return {
    async get(target: string, size: number): Promise<string> {
      socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      let answer = Buffer.alloc(0);
      while (
        answer.length < answer.indexOf("\r\n\r\n") + 4 + size ||
        !answer.includes("\r\n\r\n")
      ) {
        const [chunk] = await once(socket, "data");
        answer = Buffer.concat([answer, chunk]);
      }
      return answer.subarray(0, answer.indexOf("\r\n\r\n")).toString();
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** One request over a connection of its own, or some over one; the error's code where it fails. */
export async function visit(address: string, ca: string, requests: number): Promise<string> {
  const [host = "", port = ""] = address.split(":");
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = tls.connect({ host, port: Number(port), ca });
  let left = requests;
  let answer = "";
  const ask = () => socket.write("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
  socket.once("secureConnect", ask);
  socket.on("data", (chunk: Buffer) => {
    answer += chunk.toString();
    if (!answer.endsWith("{}\n")) return;
    left -= 1;
    // RFC 9112 section 9.6: after that answer nothing more is to be asked here.
    const isLast = /^connection: close/im.test(answer);
    answer = "";
    if (left > 0 && !isLast) return void ask();
    resolve("ok");
    socket.end();
  });
  socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  socket.once("close", () => resolve("closed"));
  return promise;
}
