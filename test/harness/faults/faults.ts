import type { CutBy, Delivery } from "../registries/raw-http-server.ts";

/**
 * What is wrong with a response. Everything else stays correct, so faults are combined by spreading
 * one into another: `{ ...slow(1000), ...cutAfter(500) }`.
 */
export interface Fault extends Delivery {
  readonly status?: number;
  /** Override the correct headers; `undefined` removes a header. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Replaces the correct body. */
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Flips one bit of the byte at this offset in the content. */
  readonly flipBitAt?: number;
  /** The body is this many bytes too short, and Content-Length agrees with it. */
  readonly shortenBy?: number;
  /** The Content-Length to send, whatever the body's length is. */
  readonly contentLength?: number;
  /** A request with Range gets 200 and the full body. */
  readonly ignoreRange?: boolean;
}

export const neverResponds: Fault = { hold: new Promise(() => {}) };

export const htmlPage: Fault = {
  status: 200,
  headers: { "Content-Type": "text/html; charset=utf-8", "Docker-Content-Digest": undefined },
  body: "<!doctype html><title>Sign in to the guest network</title>",
};

export const noRanges: Fault = { ignoreRange: true, headers: { "Accept-Ranges": undefined } };

export const noDigestHeader: Fault = { headers: { "Docker-Content-Digest": undefined } };

/** An error in the format of the distribution-spec ("Error Codes"). */
export function errorResponse(
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
  return errorResponse(401, "UNAUTHORIZED", { "WWW-Authenticate": challenge });
}

export function tooManyRequests(retryAfter?: string): Fault {
  return errorResponse(429, "TOOMANYREQUESTS", { "Retry-After": retryAfter });
}

export function redirect(location: string, status = 307): Fault {
  return { ...errorResponse(status, "UNKNOWN", { Location: location }), body: "" };
}

/** Sends this many bytes of the body, then nothing until `upstream.release()`. */
export function stallAfter(bytes: number): Fault {
  return { stallAfter: bytes };
}

export function slow(bytesPerSecond: number): Fault {
  return { bytesPerSecond };
}

/**
 * Ends the connection after this many bytes of the body, although Content-Length announced more.
 */
export function cutAfter(bytes: number, cutBy: CutBy = "close"): Fault {
  return { cutAfter: bytes, cutBy };
}

/** Claims another digest or media type in the headers than the body has. */
export function claims(headers: { digest?: string; type?: string }): Fault {
  const { digest, type } = headers;
  return {
    headers: {
      ...(digest === undefined ? {} : { "Docker-Content-Digest": digest }),
      ...(type === undefined ? {} : { "Content-Type": type }),
    },
  };
}
