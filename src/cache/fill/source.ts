import type { Fault } from "../../oci/fault.ts";

/**
 * Bytes on their way here. Cancelling `body` ends the transfer at its sender. A chunk that was read
 * belongs to its reader: its sender does not write to it again.
 */
export interface Transfer {
  /** The offset in the content of the body's first byte. */
  readonly start: number;
  /** The whole content's size in bytes, where the sender told it. */
  readonly size?: number;
  readonly body: ReadableStream<Uint8Array>;
  /**
   * Says that what came is not what was asked for.
   *
   * @returns whether the source would now take it from somebody else
   */
  readonly reportCorrupt: (fault: Fault) => boolean;
}

/** What is used of a body's reader. */
export interface ChunkReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** Where missing bytes of one content can come from. */
export interface Source {
  /** For messages: an upstream's name, an object store's address. */
  readonly name: string;
  /**
   * Opens the content at an offset, in bytes. A sender that cannot do ranges may answer from the
   * first byte: `start` says so.
   *
   * @throws Fault
   */
  open(offset: number, signal: AbortSignal): Promise<Transfer>;
}
