import { BufferPool } from "../../../process/buffer-pool.ts";
import type { BlobWriter } from "../../../store/blob-store.ts";
import type { Extent } from "../../../store/extents.ts";
import { Fault } from "../../../oci/fault.ts";
import { openSource } from "../open-source.ts";
import { isShort } from "./short-parts.ts";
import type { ChunkReader, Source, Transfer, TransferUse } from "../source.ts";

/** What is written at once: smaller writes cost more than they wait. */
const WRITE_BYTES = 128 * 1024;
/** How long bytes wait for others to be written with, in milliseconds: a client may want them. */
const WRITE_DELAY_MS = 20;

/** What is received is only lent until the next read. */
const BUFFERS = new BufferPool(WRITE_BYTES);

export interface SegmentOptions {
  readonly writer: BlobWriter;
  readonly source: Source;
  readonly extent: Extent;
  readonly use: TransferUse;
  /** Of the blob in bytes, if it is known. */
  readonly size: number | undefined;
  readonly signal: AbortSignal;
  /** Throws if the transfer is of another version of the blob than the others. */
  readonly checkVersion: (transfer: Transfer) => void;
  /** Called for a transfer that brings bytes of the blob. */
  readonly onOpened: (transfer: Transfer) => void;
  /** Called when it begins to wait for the source. */
  readonly onReading: () => void;
  readonly onReceived: (bytes: number) => void;
  /** Called when bytes were written ahead. */
  readonly onWritten: (bytes: number) => void;
}

/**
 * Receives a part of a blob, and writes it ahead. The source may send less. What was received before an error
 * is written.
 *
 * @throws Fault, also if the source sends something else
 */
export async function receiveSegment(options: SegmentOptions): Promise<void> {
  const { source, extent, use, size, signal, checkVersion, onOpened } = options;
  const transfer = await openSource(source, extent.first, signal, extent.end, use);
  const { reader } = transfer;
  try {
    if (transfer.start !== extent.first || transfer.end === undefined) {
      throw invalidResponse(source, "it does not send parts of a blob");
    }
    if (size !== undefined && transfer.size !== undefined && transfer.size !== size) {
      throw invalidResponse(source, `it announced ${transfer.size} bytes instead of ${size}`);
    }
    if (isShort(transfer, extent.end)) {
      throw invalidResponse(source, `it sends no more than ${transfer.end - transfer.start} bytes`);
    }
    checkVersion(transfer);
    onOpened(transfer);
    await receive(options, reader, Math.min(extent.end, transfer.end));
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function receive(
  { writer, source, extent, onReading, onReceived, onWritten }: SegmentOptions,
  reader: ChunkReader,
  end: number,
): Promise<void> {
  let position = extent.first;
  let buffer: Buffer | undefined;
  let gathered = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let writing = Promise.resolve();
  /** One after the other: a slow disk has the sender wait. After a failure, nothing more is written. */
  const write = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    if (!buffer) return writing;
    const [first, full, bytes] = [position, buffer, gathered];
    position += bytes;
    [buffer, gathered] = [undefined, 0];
    writing = writeAfter(writing, first, full, bytes);
    writing.catch(() => {});
    return writing;
  };
  async function writeAfter(
    before: Promise<void>,
    first: number,
    from: Buffer,
    bytes: number,
  ): Promise<void> {
    try {
      await before;
      await writer.writeAhead(first, [from.subarray(0, bytes)]);
      onWritten(bytes);
    } finally {
      BUFFERS.give(from);
    }
  }
  try {
    for (;;) {
      onReading();
      const { done, value } = await reader.read();
      if (done || !value) break;
      onReceived(value.byteLength);
      if (position + gathered + value.byteLength > end) {
        throw invalidResponse(source, "it sent more than it announced, or than was requested");
      }
      for (let copied = 0; copied < value.byteLength;) {
        buffer ??= BUFFERS.take();
        const part = value.subarray(copied, copied + WRITE_BYTES - gathered);
        buffer.set(part, gathered);
        gathered += part.byteLength;
        copied += part.byteLength;
        if (gathered === WRITE_BYTES) await write();
      }
      if (gathered > 0) {
        timer ??= setTimeout(() => void writing.then(write).catch(() => {}), WRITE_DELAY_MS);
      }
    }
  } finally {
    await write();
  }
}

function invalidResponse({ name }: Source, reason: string): Fault {
  return new Fault({ kind: "upstream-invalid-response", upstream: name, reason });
}
