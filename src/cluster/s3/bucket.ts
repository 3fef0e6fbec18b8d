import { type Digest, digestHex, parseDigest } from "../../oci/digest.ts";

/** As in an OCI image layout, so that the prefix has room for something else. */
const BLOBS = "blobs/sha256/";

export interface BucketOptions {
  /** The bucket, and below it the prefix of all keys if there is one. Without user, query and fragment. */
  readonly url: URL;
  /** Whether the bucket is the first part of the URL's path, and not of its host name. */
  readonly isPathStyle: boolean;
}

/** The addresses of a bucket and of the blobs in it. */
export class Bucket {
  /** For messages. */
  readonly name: string;
  /** For messages: what an operator calls it. */
  readonly bucket: string;
  readonly #root: URL;
  /** Ends in a slash, unless it is empty. */
  readonly #prefix: string;

  constructor({ url, isPathStyle }: BucketOptions) {
    const [first = "", ...rest] = url.pathname.split("/").filter((part) => part !== "");
    this.name = `the shared store ${url.host}${url.pathname.replace(/\/+$/, "")}`;
    this.bucket = isPathStyle ? first : (url.hostname.split(".")[0] ?? url.hostname);
    this.#root = new URL(isPathStyle ? `/${first}` : "/", url);
    const prefix = isPathStyle ? rest : first === "" ? [] : [first, ...rest];
    this.#prefix = prefix.map((part) => `${part}/`).join("");
  }

  /** What the keys of all blobs begin with. */
  get blobs(): string {
    return `${this.#prefix}${BLOBS}`;
  }

  keyOf(digest: Digest): string {
    return `${this.blobs}${digestHex(digest)}`;
  }

  /** The blob of a key; `undefined` if it is something else's. */
  digestOf(key: string): Digest | undefined {
    return key.startsWith(this.blobs)
      ? parseDigest(`sha256:${key.slice(this.blobs.length)}`)
      : undefined;
  }

  blobUrl(digest: Digest): URL {
    const url = new URL(this.#root);
    url.pathname = `${url.pathname.replace(/\/$/, "")}/${this.keyOf(digest)}`;
    return url;
  }

  /** The URL of a request to the bucket itself. */
  bucketUrl(query: Readonly<Record<string, string>>): URL {
    const url = new URL(this.#root);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }
}
