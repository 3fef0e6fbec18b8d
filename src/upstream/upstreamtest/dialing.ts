/** Requests of the kind that the tests of the dialer send. */
import { readSmall } from "../transport/response-body.ts";
import { Dialer, type DialRequest, type DialerOptions } from "../transport/dialer.ts";
import { onLoopback } from "./test-servers.ts";

export function request(url: string, overrides: Partial<DialRequest> = {}): DialRequest {
  return {
    upstream: "reg.test",
    allowPrivate: true,
    request: "manifest",
    method: "GET",
    url: new URL(url),
    headers: {},
    ...overrides,
  };
}

export function dialer(options: DialerOptions = {}) {
  return new Dialer({ resolver: onLoopback, ...options });
}

export function read(body: ReadableStream<Uint8Array> | undefined) {
  return readSmall(body, { upstream: "reg.test", what: "a body", limit: 1e6, deadline: 5000 });
}

export async function readText(body: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return new TextDecoder().decode(await read(body));
}
