import { request } from "node:http";

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface RawRequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The address of this machine that it comes from: one of 127.0.0.0/8. */
  readonly from?: string;
}

/** One request with its path exactly as it is given, on a connection of its own. */
export function rawRequest(
  address: string,
  path: string,
  { method = "GET", headers = {}, from }: RawRequestOptions = {},
): Promise<RawResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<RawResponse>();
  const [host, port] = address.split(":");
  const sent = request(
    { host, port, path, method, headers, agent: false, ...(from ? { localAddress: from } : {}) },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(
            Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
          ),
          body: Buffer.concat(chunks),
        }),
      );
    },
  );
  sent.on("error", reject);
  sent.end();
  return promise;
}

/** An address of this machine for each client, so that the failures of one slow no other down. */
export function addressOf(random: () => number): string {
  const part = (): number => 1 + Math.floor(random() * 253);
  return `127.${part()}.${part()}.${part()}`;
}
