import { AwsV4Signer } from "aws4fetch";
import { type ProxyRule, proxyFor } from "../../config/parsing/proxy.ts";
import { systemCode } from "../../store/storage-fault.ts";
import type { AccessKeys } from "../../upstream/cloud/aws/access-keys.ts";
import { networkFault } from "../../upstream/transport/network-fault.ts";
import { tlsOptions } from "../../upstream/transport/tls-options.ts";
import { SharedStoreError, type SharedStoreProblem } from "../shared-store/shared-store-error.ts";
import type { AccessKeySource } from "./access-keys.ts";
import type { Bucket } from "./bucket.ts";
import { readText } from "../../upstream/transport/read-text.ts";
import { responseProblem } from "./response-problem.ts";
import { MAX_XML_BYTES } from "./xml.ts";

/** Derived signing keys, of which there is a new one each day and with all new access keys. */
const MAX_SIGNING_KEYS = 16;
/** Codes of errors of the file that is sent, and not of the network. */
const FILE_CODES = new Set([
  "ENOENT",
  "ENODEV",
  "EIO",
  "ESTALE",
  "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
]);
/** Seconds after which an idle connection is closed. */
const IDLE_TIMEOUT = 60;

export type S3Method = "GET" | "HEAD" | "PUT" | "POST" | "DELETE";

export interface S3RequestsOptions {
  readonly bucket: Bucket;
  readonly region: string;
  readonly keys: AccessKeySource;
  /** CA certificates that are trusted in addition to the public ones, in PEM. */
  readonly ca?: string | undefined;
  readonly proxy?: ProxyRule | undefined;
}

export interface S3Request {
  readonly method: S3Method;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called for each attempt. */
  readonly body?: () => Blob | ReadableStream<Uint8Array> | string;
  /** As IAM names it without its `s3:`. */
  readonly action: string;
  /** For everything, to the last byte of the response. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface S3Response {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** Signs requests to a bucket (AWS Signature Version 4), and sends those whose responses are small. */
export class S3Requests {
  readonly #options: S3RequestsOptions;
  readonly #signingKeys = new Map<string, ArrayBuffer>();
  readonly #session: Bun.FetchSession;

  constructor(options: S3RequestsOptions) {
    this.#options = options;
    this.#session = new Bun.FetchSession({
      tls: tlsOptions(options.ca, undefined).tls,
      keepAlive: { idleTimeout: IDLE_TIMEOUT },
    });
  }

  /** For messages. */
  get name(): string {
    return this.#options.bucket.name;
  }

  close(): void {
    this.#session.close();
  }

  /**
   * Sends a request and reads its response, whatever its status.
   *
   * @throws SharedStoreError; the signal's reason if the caller aborted; the error of the file that is its body
   */
  async send(request: S3Request): Promise<S3Response> {
    const { response } = await this.withKeys(request.action, async (keys) => ({
      response: await this.#sendOnce(request, keys),
    }));
    return response;
  }

  /**
   * Does something with the current keys; once more with others if they are refused and there are any.
   *
   * @throws SharedStoreError
   */
  async withKeys<Attempt extends { readonly response: S3Response }>(
    action: string,
    attempt: (keys: AccessKeys) => Promise<Attempt>,
  ): Promise<Attempt> {
    const keys = await this.#options.keys.current();
    const first = await attempt(keys);
    const { response } = first;
    // The response to HEAD does not say why.
    if (![400, 401, 403].includes(response.status)) return first;
    const { kind } = this.#problemOf(response, action);
    if (kind !== "credentials" && (kind !== "denied" || response.body !== "")) return first;
    const others = await this.#options.keys.renewed(keys);
    return others ? attempt(others) : first;
  }

  #problemOf(response: S3Response, action: string): SharedStoreProblem {
    return responseProblem(response, { action, bucket: this.#options.bucket.bucket });
  }

  /** The error of a response that is no success. */
  errorOf(response: S3Response, action: string): SharedStoreError {
    return new SharedStoreError(this.name, this.#problemOf(response, action));
  }

  /** The headers with which a request is authentic. */
  async headersOf(
    { method, url, headers = {} }: Pick<S3Request, "method" | "url" | "headers">,
    keys: AccessKeys,
  ): Promise<Record<string, string>> {
    const signed = await this.#signer({ method, url, headers }, keys).sign();
    return Object.fromEntries(signed.headers);
  }

  /** A URL that is authentic by itself, for so many seconds. */
  async presigned(url: URL, seconds: number): Promise<URL> {
    const lasting = new URL(url);
    lasting.searchParams.set("X-Amz-Expires", String(seconds));
    const keys = await this.#options.keys.current();
    const request = { method: "GET", url: lasting, headers: {}, signQuery: true } as const;
    return (await this.#signer(request, keys).sign()).url;
  }

  #signer(
    request: {
      readonly method: S3Method;
      readonly url: URL;
      readonly headers: Readonly<Record<string, string>>;
      readonly signQuery?: boolean;
    },
    keys: AccessKeys,
  ): AwsV4Signer {
    if (this.#signingKeys.size > MAX_SIGNING_KEYS) this.#signingKeys.clear();
    return new AwsV4Signer({
      ...request,
      ...keys,
      url: request.url.href,
      service: "s3",
      region: this.#options.region,
      cache: this.#signingKeys,
    });
  }

  async #sendOnce(request: S3Request, keys: AccessKeys): Promise<S3Response> {
    const { method, url, body, timeoutMs, signal } = request;
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(timeoutMs);
    const proxy = proxyFor(this.#options.proxy, url);
    try {
      const headers = await this.headersOf(request, keys);
      const content = body ? { body: body() } : {};
      const response = await this.#session.fetch(url.href, {
        method,
        headers: { ...headers, "accept-encoding": "identity", "user-agent": "entrepot" },
        ...content,
        redirect: "manual",
        decompress: false,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        proxy: proxy ? proxy.href : false,
      });
      const { status, headers: received } = response;
      return { status, headers: received, body: await readText(response.body, MAX_XML_BYTES) };
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof SharedStoreError || FILE_CODES.has(systemCode(cause) ?? "")) throw cause;
      if (timeout.aborted) {
        const seconds = timeoutMs / 1000;
        const waitedFor = `answer ${method}`;
        throw new SharedStoreError(this.name, { kind: "timeout", waitedFor, seconds });
      }
      throw failedRequest(this.name, url.host, cause);
    }
  }
}

/** The error of a request that got no response. */
export function failedRequest(store: string, host: string, cause: unknown): SharedStoreError {
  if (!(cause instanceof RangeError)) {
    return SharedStoreError.of(store, networkFault(store, host, cause));
  }
  const problem = { kind: "invalid-response", reason: cause.message } as const;
  return new SharedStoreError(store, problem, { cause });
}
