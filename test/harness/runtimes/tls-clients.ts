import { once } from "node:events";
import tls from "node:tls";

/** The common name of the certificate that a server presents, to a client that verifies it. */
export async function servedCertificateName(address: string, ca: string): Promise<string> {
  const [host = "", port = ""] = address.split(":");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = tls.connect({ host, port: Number(port), ca }, () => {
    resolve(String(socket.getPeerCertificate().subject.CN));
    socket.end();
  });
  socket.once("error", reject);
  return promise;
}

/** Opens a persistent connection. Its `get` returns the head of each response, without the body. */
export async function connect(address: string, ca: string) {
  const [host = "", port = ""] = address.split(":");
  const socket = tls.connect({ host, port: Number(port), ca });
  await once(socket, "secureConnect");
  return {
    async get(target: string, size: number): Promise<string> {
      socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      let response = Buffer.alloc(0);
      while (
        response.length < response.indexOf("\r\n\r\n") + 4 + size ||
        !response.includes("\r\n\r\n")
      ) {
        const [chunk] = await once(socket, "data");
        response = Buffer.concat([response, chunk]);
      }
      return response.subarray(0, response.indexOf("\r\n\r\n")).toString();
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/**
 * Sends `requests` requests over one new connection. Returns "ok", "closed" or the error's code.
 */
export async function sendRequests(address: string, ca: string, requests: number): Promise<string> {
  const [host = "", port = ""] = address.split(":");
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = tls.connect({ host, port: Number(port), ca });
  let remaining = requests;
  let response = "";
  const sendRequest = () => socket.write("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
  socket.once("secureConnect", sendRequest);
  socket.on("data", (chunk: Buffer) => {
    response += chunk.toString();
    if (!response.endsWith("{}\n")) return;
    remaining -= 1;
    // RFC 9112 section 9.6: no more requests after a response with "Connection: close".
    const isLast = /^connection: close/im.test(response);
    response = "";
    if (remaining > 0 && !isLast) return void sendRequest();
    resolve("ok");
    socket.end();
  });
  socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  socket.once("close", () => resolve("closed"));
  return promise;
}
