import { type ProxyRule, proxyFor } from "../../config/parsing/proxy.ts";
import { parseObject } from "../../oci/json-object.ts";
import { secondsText } from "../../oci/seconds-text.ts";
import { networkFault } from "../transport/network-fault.ts";
import { readText } from "../transport/read-text.ts";
import { tlsOptions } from "../transport/tls-options.ts";
import { CloudError } from "./cloud-error.ts";

/** The largest response, in bytes. Tokens have a few KiB. */
const MAX_RESPONSE_BYTES = 64 * 1024;
/** Of metadata servers, which are on this machine or next to it; in milliseconds. */
const METADATA_TIMEOUT = 2000;
const TIMEOUT = 5000;

export interface CloudRequest {
  readonly method: "GET" | "PUT" | "POST";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** `metadata`: a server on this machine or next to it, which no proxy reaches. */
  readonly through: "metadata" | CloudConnection;
  readonly signal?: AbortSignal | undefined;
  /** What to do if it cannot be reached. */
  readonly hint?: string;
}

export interface CloudConnection {
  readonly ca?: string | undefined;
  readonly proxy?: ProxyRule | undefined;
}

export interface CloudResponse {
  /** Whom it is from, for messages. */
  readonly host: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Asks an interface of a cloud, at exactly this address: redirects are not followed.
 *
 * @throws CloudError
 */
export async function askCloud(request: CloudRequest): Promise<CloudResponse> {
  const { method, url, headers, body, through, signal, hint } = request;
  const { host } = url;
  const advice = hint === undefined ? "" : `: ${hint}`;
  const isMetadata = through === "metadata";
  const limit = isMetadata ? METADATA_TIMEOUT : TIMEOUT;
  const timeout = AbortSignal.timeout(limit);
  const proxy = isMetadata ? undefined : proxyFor(through.proxy, url);
  try {
    const response = await fetch(url.href, {
      method,
      headers: { "accept-encoding": "identity", "user-agent": "entrepot", ...headers },
      ...(body === undefined ? {} : { body }),
      redirect: "manual",
      decompress: false,
      keepalive: false,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      proxy: proxy ? proxy.href : false,
      ...(isMetadata ? {} : { tls: tlsOptions(through.ca, undefined).tls }),
    });
    const text = await readText(response.body, MAX_RESPONSE_BYTES);
    const { status } = response;
    if (status === 429 || status >= 500) throw busy(host, status);
    if (status >= 300 && status < 400) {
      throw new CloudError(`${host} redirects (${status}), which is not followed`);
    }
    return { host, status, headers: response.headers, text };
  } catch (cause) {
    if (cause instanceof CloudError) throw cause;
    if (cause instanceof RangeError) {
      throw new CloudError(`${host} sent ${cause.message}`, { cause });
    }
    if (timeout.aborted || signal?.aborted) {
      const within = timeout.aborted ? ` within ${secondsText(limit / 1000)}` : " in time";
      throw new CloudError(`${host} did not answer${within}${advice}`, { isPassing: true });
    }
    const { detail } = networkFault("", host, cause);
    const reason = "reason" in detail ? detail.reason : `${host} cannot be reached`;
    throw new CloudError(`${reason}${advice}`, { cause, isPassing: true });
  }
}

function busy(host: string, status: number): CloudError {
  const what = status === 429 ? "asks for fewer requests" : "fails";
  return new CloudError(`${host} ${what} (${status})`, { isPassing: true });
}

/**
 * The JSON object of a response.
 *
 * @throws CloudError
 */
export function jsonOf({ host, status, text }: CloudResponse): Record<string, unknown> {
  const object = parseObject(new TextEncoder().encode(text));
  if (object) return object;
  throw new CloudError(`${host} sent something other than a JSON object (${status})`);
}

/** A secret that is sent in a header; `undefined` if it cannot be. */
export function headerValue(value: unknown): string | undefined {
  return typeof value === "string" && /^[\x21-\x7e]+$/.test(value) ? value : undefined;
}
