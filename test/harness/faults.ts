import type { CutBy, Playback } from "./raw-http-server.ts";

/**
 * What is wrong with an answer. Everything that is not said stays true, so faults are combined by
 * spreading one into another: `{ ...slow(1000), ...resetAfter(500) }`.
 */
export interface Fault extends Playback {
  readonly status?: number;
  /** Put over the true ones; `undefined` takes a header away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** In place of the true body. */
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** One bit of the byte at this position of the content is the other way round. */
  readonly flipBitAt?: number;
  /** The body ends this many bytes early, and Content-Length says so. */
  readonly shortenBy?: number;
  /** What Content-Length says, whatever is sent. */
  readonly contentLength?: number;
  /** A Range is answered with 200 and everything. */
  readonly ignoreRange?: boolean;
}

export const neverAnswers: Fault = { hold: new Promise(() => {}) };

export const htmlPage: Fault = {
  status: 200,
  headers: { "Content-Type": "text/html; charset=utf-8", "Docker-Content-Digest": undefined },
  body: "<!doctype html><title>Sign in to the guest network</title>",
};

export const noRanges: Fault = { ignoreRange: true, headers: { "Accept-Ranges": undefined } };

export const noDigestHeader: Fault = { headers: { "Docker-Content-Digest": undefined } };

/** An answer in the registry's own form. */
export function refuses(
  status: number,
  code = "UNKNOWN",
  headers: Readonly<Record<string, string | undefined>> = {},
): Fault {
  return {
    status,
    body: JSON.stringify({ errors: [{ code, message: `scripted ${status}` }] }),
    headers: { "Content-Type": "application/json", "Docker-Content-Digest": undefined, ...headers },
  };
}

export function unauthorized(challenge: string): Fault {
  return refuses(401, "UNAUTHORIZED", { "WWW-Authenticate": challenge });
}

export function tooManyRequests(retryAfter?: string): Fault {
  return refuses(429, "TOOMANYREQUESTS", { "Retry-After": retryAfter });
}

export function redirect(location: string, status = 307): Fault {
  return { ...refuses(status, "UNKNOWN", { Location: location }), body: "" };
}

/** Stands still after so many bytes of the body until `upstream.release()`. */
export function stallAfter(bytes: number): Fault {
  return { stallAfter: bytes };
}

export function slow(bytesPerSecond: number): Fault {
  return { bytesPerSecond };
}

/** Ends the connection after so many bytes of the body, though Content-Length promised more. */
export function cutAfter(bytes: number, cutBy: CutBy = "close"): Fault {
  return { cutAfter: bytes, cutBy };
}

export function claims(headers: { digest?: string; type?: string }): Fault {
  const { digest, type } = headers;
  return {
    headers: {
      ...(digest === undefined ? {} : { "Docker-Content-Digest": digest }),
      ...(type === undefined ? {} : { "Content-Type": type }),
    },
  };
}
