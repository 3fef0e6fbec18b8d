import type { Fault } from "../oci/fault.ts";
import type { KnownRedirect } from "./known-redirect.ts";
import type { HeldPermit } from "./transport/held-permit.ts";

/** A transfer of a blob's bytes. Cancelling `body` ends it at the sender. */
export interface BlobTransfer {
  /** The offset in the blob of the body's first byte. */
  readonly start: number;
  /** The size of the whole blob in bytes, if the sender announced it. */
  readonly size?: number;
  /** The offset after the body's last byte, if the sender supports ranges and this is one. */
  readonly end?: number;
  /** What its host says of the blob's version: those of one host are equal, or the blob has changed. */
  readonly version?: { readonly host: string; readonly tag: string };
  /** Must be read to its end or cancelled, because it holds a connection. Fails with a `Fault`. */
  readonly body: ReadableStream<Uint8Array>;
  /**
   * Reports that the bytes do not match the requested digest.
   *
   * @returns whether the source would now take the blob from elsewhere, such as from another mirror
   */
  readonly reportCorrupt: (fault: Fault) => boolean;
  /** Has the source ask its next host from now on. Absent if it has no other one. */
  readonly nextHost?: () => void;
  /** Milliseconds for which this machine has kept the sender from sending, by a limit of bytes per second. */
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
