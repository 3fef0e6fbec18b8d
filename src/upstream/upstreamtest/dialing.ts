/** Helpers for the tests of the dialer. */
import { readBody } from "../transport/response-body.ts";
import { Dialer, type DialRequest, type DialerOptions } from "../transport/dialer.ts";
import { loopbackResolver } from "./test-servers.ts";

export function request(url: string, overrides: Partial<DialRequest> = {}): DialRequest {
  return {
    upstream: "reg.test",
    allowPrivate: true,
    kind: "manifest",
    method: "GET",
    url: new URL(url),
    headers: {},
    ...overrides,
  };
}

export function dialer(options: DialerOptions = {}) {
  return new Dialer({ resolver: loopbackResolver, ...options });
}

export function readBytes(body: ReadableStream<Uint8Array> | undefined) {
  return readBody(body, { upstream: "reg.test", what: "a body", limit: 1e6, timeout: 5000 });
}

export async function readText(body: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return new TextDecoder().decode(await readBytes(body));
}
