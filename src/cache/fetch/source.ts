import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { BlobTransfer } from "../../upstream/blob-transfer.ts";

/** A transfer of a blob's bytes, whoever sends them. */
export interface Transfer extends BlobTransfer {
  /** How long ago the upstream last answered for the place for which the source vouches, in milliseconds; by default, now. */
  readonly answeredAgo?: number;
}

/** The part of `ReadableStreamDefaultReader` that is needed to read a body. */
export interface ChunkReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/**
 * What a transfer is for:
 * - `own`: the download that goes on with further transfers, and keeps its place among all others until `pause`
 * - `extra`: a part beside that, without which it goes on. If it is refused, that says nothing of the sender
 * - `single`: anything else, which may be read as slowly as a client reads
 */
export type TransferUse = "own" | "extra" | "single";

/**
 * What a source beside the upstream may take until its first byte, and between bytes, in milliseconds. Then
 * another one is asked.
 */
export interface NearLimits {
  readonly firstByteMs: number;
  readonly stallMs: number;
  /** Asked when a limit is over: whether to wait as long once more. Never rejects. By default, it is not. */
  readonly isAlive?: (signal: AbortSignal) => Promise<boolean>;
}

/** Where a missing blob can be downloaded. */
export interface Source {
  /** Whose bytes it sends: those of one upstream are never mixed with those of another. */
  readonly upstream: UpstreamName;
  /** For messages: an upstream's name and repository, or an object store's address. */
  readonly name: string;
  /**
   * The repository which shows the blob if the source sends it: an upstream's is the one that was asked. What
   * is shared by digest alone vouches for none: the upstream is asked about the place.
   */
  readonly vouchesFor?: RepositoryName;
  /** See `Registry.askedAs`: one of two clients may be refused. */
  readonly askedAs?: string | undefined;
  /**
   * Set for a source beside the upstream, which is asked before it and only once: whatever goes wrong with it,
   * the next source goes on at the same offset. It is asked for all that is missing at once.
   */
  readonly near?: NearLimits;
  /** Whether a limit of bytes per second, and not the line or the sender, is what its transfers wait for. */
  readonly isHeldBack?: boolean;
  /** The most concurrent transfers of its upstream, if that is limited. */
  readonly maxConnections?: number;
  /** Whether a further transfer would begin at once, without keeping others waiting. By default, it would. */
  readonly hasRoom?: boolean;
  /**
   * Opens the blob at an offset in bytes. A sender without support for ranges may send from the
   * first byte, which `start` then says. A chunk may be used until the next one is read, or the body is
   * cancelled.
   *
   * @param end exclusive; without it, to the blob's end. A sender may send less
   * @throws Fault
   */
  open(offset: number, signal: AbortSignal, end?: number, use?: TransferUse): Promise<Transfer>;
  /** The download pauses, or has ended: until the next transfer, others have its place. */
  pause?(): void;
}
