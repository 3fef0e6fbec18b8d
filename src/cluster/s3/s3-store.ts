import { createHash } from "node:crypto";
import type { ProxyRule } from "../../config/parsing/proxy.ts";
import { type Digest, digestHex } from "../../oci/digest.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import type { AccessKeys } from "../../upstream/cloud/aws/access-keys.ts";
import { errorCodeOf, textOf } from "../../upstream/cloud/aws/xml-text.ts";
import { checkFullContent, checkPartialContent } from "../../upstream/transport/content-range.ts";
import { Dialer, type DialerOptions } from "../../upstream/transport/dialer.ts";
import { readBody } from "../../upstream/transport/response-body.ts";
import type {
  SharedBody,
  SharedLimits,
  SharedObject,
  SharedStore,
} from "../shared-store/shared-store.ts";
import { isShareable } from "../shared-store/shared-store.ts";
import { SharedStoreError } from "../shared-store/shared-store-error.ts";
import type { AccessKeySource } from "./access-keys.ts";
import type { Bucket } from "./bucket.ts";
import { readPage } from "./listing.ts";
import { failedRequest, S3Requests, type S3Response } from "./s3-requests.ts";
import { elementsOf, encodeXml } from "./xml.ts";

const SMALL_MS = 2000;
const LIST_MS = 30_000;
/** A PUT may take so long, and a second more for each of these bytes. */
const WRITE_MS = 30_000;
const WRITE_BYTES_PER_SECOND = 1024 * 1024;
/** The most objects of one request for deletion (Amazon S3, DeleteObjects). */
const MAX_REMOVED = 1000;
/** The largest error response that is looked at, in bytes. */
const MAX_ERROR_BYTES = 16 * 1024;

export interface S3StoreOptions {
  readonly bucket: Bucket;
  readonly region: string;
  readonly keys: AccessKeySource;
  /** For reads. */
  readonly limits: SharedLimits;
  /** CA certificates that are trusted in addition to the public ones, in PEM. */
  readonly ca?: string | undefined;
  readonly proxy?: ProxyRule | undefined;
  /** What blobs are received with; by default, this thread receives them. */
  readonly transport?: Pick<DialerOptions, "budget" | "downloads" | "descriptors">;
}

/** A bucket of an object store that speaks the S3 protocol. Each blob is one object, written by one PUT. */
export class S3Store implements SharedStore {
  readonly #bucket: Bucket;
  readonly #requests: S3Requests;
  readonly #dialer: Dialer;
  readonly #options: S3StoreOptions;

  constructor(options: S3StoreOptions) {
    this.#options = options;
    this.#bucket = options.bucket;
    this.#requests = new S3Requests(options);
    const { firstByteMs, stallMs } = options.limits;
    this.#dialer = new Dialer({
      ...options.transport,
      timeouts: { connect: firstByteMs, headers: firstByteMs, stall: stallMs },
    });
  }

  get name(): string {
    return this.#bucket.name;
  }

  async size(digest: Digest, signal?: AbortSignal): Promise<number | undefined> {
    const url = this.#bucket.blobUrl(digest);
    const request = { method: "HEAD", action: "GetObject", timeoutMs: SMALL_MS } as const;
    const response = await this.#requests.send({ ...request, url, signal });
    if (response.status === 404) return undefined;
    if (response.status === 200) return Number(response.headers.get("content-length") ?? 0);
    throw this.#requests.errorOf(await this.#explained(response, url, signal), "GetObject");
  }

  /** The same refusal with its reason, which the response to HEAD does not say. */
  async #explained(
    refused: S3Response,
    url: URL,
    signal: AbortSignal | undefined,
  ): Promise<S3Response> {
    if (![400, 401, 403].includes(refused.status)) return refused;
    const headers = { range: "bytes=0-0" };
    const request = { method: "GET", action: "GetObject", timeoutMs: SMALL_MS } as const;
    const response = await this.#requests.send({ ...request, url, headers, signal });
    return response.status === refused.status ? response : refused;
  }

  async read(
    digest: Digest,
    offset: number,
    signal: AbortSignal,
    end?: number,
  ): Promise<SharedBody | undefined> {
    const { response, found } = await this.#requests.withKeys("GetObject", (keys) =>
      this.#open({ digest, offset, end, signal }, keys),
    );
    if (found) return found;
    // 404 may also mean that the bucket is missing.
    if (response.status === 404 && errorCodeOf(response.body) !== "NoSuchBucket") return undefined;
    throw this.#requests.errorOf(response, "GetObject");
  }

  async write(
    { digest, size, bytes, isInMemory }: StoredBlob,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!isShareable(digest, size)) {
      throw new RangeError(`${digest} of ${size} bytes cannot be shared`);
    }
    const url = this.#bucket.blobUrl(digest);
    // Of a file, Bun's fetch sends nothing through its memory over HTTP, and all of it at once over TLS.
    const isStreamed = url.protocol === "https:" && isInMemory !== true;
    const response = await this.#requests.send({
      method: "PUT",
      url,
      headers: {
        "content-type": "application/octet-stream",
        // The store compares it with what it receives, before the object exists.
        "x-amz-content-sha256": digestHex(digest),
        ...(isStreamed ? { "content-length": String(size) } : {}),
      },
      body: () => (isStreamed ? bytes.stream() : bytes),
      action: "PutObject",
      timeoutMs: WRITE_MS + (size / WRITE_BYTES_PER_SECOND) * 1000,
      signal,
    });
    if (response.status !== 200) throw this.#requests.errorOf(response, "PutObject");
  }

  async remove(digests: readonly Digest[], signal?: AbortSignal): Promise<void> {
    for (let at = 0; at < digests.length; at += MAX_REMOVED) {
      await this.#removeSome(digests.slice(at, at + MAX_REMOVED), signal);
    }
  }

  async *list(after?: Digest, signal?: AbortSignal): AsyncGenerator<SharedObject> {
    let last = after === undefined ? "" : this.#bucket.keyOf(after);
    for (;;) {
      const url = this.#bucket.bucketUrl({
        "list-type": "2",
        prefix: this.#bucket.blobs,
        ...(last === "" ? {} : { "start-after": last }),
      });
      const request = { method: "GET", action: "ListBucket", timeoutMs: LIST_MS } as const;
      const response = await this.#requests.send({ ...request, url, signal });
      if (response.status !== 200) throw this.#requests.errorOf(response, "ListBucket");
      const page = readPage(response.body);
      if (!page) throw this.#invalid("a listing that is none");
      for (const { key, size, storedAt } of page.entries) {
        const digest = this.#bucket.digestOf(key);
        if (digest && key > last) yield { digest, size, storedAt };
      }
      const end = page.entries.at(-1)?.key ?? "";
      if (!page.isTruncated || end <= last) return;
      last = end;
    }
  }

  addressOf(digest: Digest, seconds: number): Promise<URL> {
    return this.#requests.presigned(this.#bucket.blobUrl(digest), seconds);
  }

  close(): void {
    this.#requests.close();
    this.#dialer.close();
  }

  /** The body of a blob is `found` if the response is a success. */
  async #open(
    wanted: {
      readonly digest: Digest;
      readonly offset: number;
      readonly end: number | undefined;
      readonly signal: AbortSignal;
    },
    keys: AccessKeys,
  ): Promise<{ readonly response: S3Response; readonly found?: SharedBody }> {
    const { digest, offset, end, signal } = wanted;
    const { ca, proxy } = this.#options;
    const url = this.#bucket.blobUrl(digest);
    // An empty blob has no range, and a whole one needs none.
    const isWhole = offset === 0 && end === undefined;
    const range = isWhole ? {} : { range: `bytes=${offset}-${end === undefined ? "" : end - 1}` };
    const headers = await this.#requests.headersOf({ method: "GET", url, headers: range }, keys);
    const dialled = await this.#dialer
      .dial({
        upstream: this.name,
        kind: "blob",
        method: "GET",
        url,
        headers,
        allowPrivate: true,
        lends: true,
        signal,
        ca,
        proxy,
      })
      .catch((cause: unknown) => {
        signal.throwIfAborted();
        throw failedRequest(this.name, url.host, cause);
      });
    const { status, headers: received, body } = dialled;
    if (status !== 200 && status !== 206) {
      const text = await this.#errorText(body);
      return { response: { status, headers: received, body: text } };
    }
    const extent =
      status === 206
        ? checkPartialContent(received, offset, end)
        : checkFullContent(status, received);
    if (typeof extent === "string" || !body) {
      await body?.cancel();
      throw this.#invalid(typeof extent === "string" ? extent : "no body");
    }
    const { start, size } = extent;
    const { ended } = dialled;
    const found = { start, body, ended, ...(size === undefined ? {} : { size }) };
    return { response: { status, headers: received, body: "" }, found };
  }

  async #errorText(body: ReadableStream<Uint8Array> | undefined): Promise<string> {
    const limits = { limit: MAX_ERROR_BYTES, timeout: this.#options.limits.stallMs };
    const bytes = await readBody(body, { upstream: this.name, what: "an error", ...limits }).catch(
      () => new Uint8Array(),
    );
    return new TextDecoder().decode(bytes);
  }

  async #removeSome(digests: readonly Digest[], signal: AbortSignal | undefined): Promise<void> {
    const keys = digests.map((digest) => encodeXml(this.#bucket.keyOf(digest)));
    const objects = keys.map((key) => `<Object><Key>${key}</Key></Object>`).join("");
    const xml = `<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${objects}</Delete>`;
    const response = await this.#requests.send({
      method: "POST",
      url: this.#bucket.bucketUrl({ delete: "" }),
      headers: {
        "content-type": "application/xml",
        "content-md5": createHash("md5").update(xml).digest("base64"),
        "x-amz-content-sha256": createHash("sha256").update(xml).digest("hex"),
      },
      body: () => xml,
      action: "DeleteObject",
      timeoutMs: LIST_MS,
      signal,
    });
    if (response.status !== 200) throw this.#requests.errorOf(response, "DeleteObject");
    // Each object has a result of its own.
    const failed = elementsOf(response.body, "Error").find(
      (error) => textOf(error, "Code") !== "NoSuchKey",
    );
    if (failed === undefined) return;
    const refused = { status: 403, headers: response.headers, body: failed };
    throw this.#requests.errorOf(refused, "DeleteObject");
  }

  #invalid(reason: string): SharedStoreError {
    return new SharedStoreError(this.name, { kind: "invalid-response", reason });
  }
}
