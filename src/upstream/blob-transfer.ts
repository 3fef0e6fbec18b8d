import type { Fault } from "../oci/fault.ts";
import type { KnownRedirect } from "./known-redirect.ts";
import type { HeldPermit } from "./transport/held-permit.ts";

/** A blob that is being received: a `Transfer` of cache/fetch/source.ts. */
export interface BlobTransfer {
  /** The offset of the body's first byte: the requested one, or 0 from a registry without ranges. */
  readonly start: number;
  /** The complete blob's size in bytes, if the registry stated it. */
  readonly size?: number;
  /** The offset after the body's last byte, if the registry sent a range. */
  readonly end?: number;
  /** See `Transfer` of cache/fetch/source.ts. */
  readonly version?: { readonly host: string; readonly tag: string };
  /** Must be read to its end or cancelled, because it holds a connection. Fails with a `Fault`. */
  readonly body: ReadableStream<Uint8Array>;
  /** See `Transfer` of cache/fetch/source.ts. */
  readonly reportCorrupt: (fault: Fault) => boolean;
  /** See `Transfer` of cache/fetch/source.ts. */
  readonly nextHost?: () => void;
  /** See `Transfer` of cache/fetch/source.ts. */
  readonly heldBack?: () => number;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface BlobOptions extends RequestOptions {
  /** Exclusive; without it, to the blob's end. */
  readonly end?: number;
  /** The URLs of mirrors that are not asked. `BlobTransfer.nextHost` adds to them. */
  readonly avoided?: Set<string>;
  /** Where an earlier request for this blob has led. */
  readonly redirect?: KnownRedirect;
  /** The place of a download among all, which it keeps between its requests. */
  readonly place?: HeldPermit;
  /** See `HostRequest`. */
  readonly isExtra?: boolean;
  /** Whether each chunk of the body is only used until the next one is read. By default, it is the reader's. */
  readonly lends?: boolean;
  /** See `DownloadOptions`. */
  readonly isBackground?: (() => boolean) | undefined;
}
