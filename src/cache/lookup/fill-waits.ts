import type { Digest } from "../../oci/digest.ts";
import { isLocalFault } from "../../oci/fault.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import type { Extent } from "../../store/extents.ts";
import type { Source } from "../fetch/source.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import { withTimeout } from "../with-timeout.ts";

/** How long a request waits for one of the connections over which bytes ahead are received, in milliseconds. */
const LATER_MS = 2000;

/** A blob of at most this many bytes is verified before its first byte is sent. */
const SMALL_BLOB_BYTES = 4 * 1024 * 1024;
/** How long after the beginning of a fill bytes of a shared store are held back, in milliseconds. */
const HELD_BACK_MS = 3000;

export interface MissingBlob {
  readonly digest: Digest;
  /** In bytes, if a manifest names it. */
  readonly size: number | undefined;
  /** What the client wants, if it is a part. */
  readonly part?: Extent | undefined;
  /** What is asked before the source; by default, all that is near. */
  readonly near?: readonly Source[];
}

/**
 * Starts or joins the fill of a blob. Resolves once a source's response was accepted, or storing
 * failed and the fill has a resume point.
 *
 * @throws Fault
 */
export async function startFill(
  fills: Fills,
  source: Source,
  { digest, size, part, near }: MissingBlob,
): Promise<Fill> {
  for (;;) {
    if (!fills.isStopping) await fills.suspended(digest, source.upstream);
    const isOwn = fills.running(digest, source.upstream) === undefined;
    const fill = fills.startOrJoin(digest, source, size, part, near);
    try {
      await fill.started;
      return fill;
    } catch (error) {
      if (fill.resumePoint) return fill;
      // A joined fill may have failed before it asked this source, or by the size that another
      // repository's manifest names: then start a new one.
      const isJudged = fill.sources.hasTried(source) && fill.expectedSize === size;
      if (isOwn || isJudged || (fill.fault && isLocalFault(fill.fault))) throw error;
      await fill.stored.catch(() => {});
    }
  }
}

/**
 * Waits for the fill to verify the blob, if it is small. A range request also waits if the size is
 * unknown, since a range can be resolved only against the size. A blob that is verified by now is about
 * to be stored, whatever its size. `undefined` if it is large and not verified yet, or cannot be stored,
 * or the disk is slow: then it is streamed.
 */
export async function smallBlob(
  fill: Fill,
  isRangeRequest: boolean,
): Promise<StoredBlob | undefined> {
  for (;;) {
    const minSize = fill.size ?? fill.available;
    if (fill.resumePoint) return undefined;
    if (
      fill.isSettled ||
      fill.isVerified ||
      (fill.size === undefined ? isRangeRequest : minSize <= SMALL_BLOB_BYTES)
    ) {
      return verifiedBlob(fill).catch((error: unknown) => {
        if (!fill.resumePoint) throw error;
        return undefined;
      });
    }
    if (minSize > SMALL_BLOB_BYTES) return undefined;
    await fill.progress();
  }
}

/** Nobody waits for the disk to sync what is in memory. A larger blob is sent from its file. */
async function verifiedBlob(fill: Fill): Promise<StoredBlob | undefined> {
  await fill.verified;
  return (
    (fill.isStored ? undefined : fromMemory(fill)) ?? (await fill.storedSoon) ?? fromMemory(fill)
  );
}

function fromMemory({ digest, inMemory: bytes }: Fill): StoredBlob | undefined {
  return bytes && { digest, size: bytes.size, bytes, isInMemory: true };
}

/**
 * Whether nobody is to get the bytes of a fill yet, since they come from a store that all share and are not
 * verified. Such a store is near, so that this is short; and a client that has got wrong bytes cannot be helped by
 * the right ones of the upstream.
 */
export function areHeldBack(fill: Fill): boolean {
  if (fill.isVerified || fill.isSettled || !fill.sources.areBytesUnvouched) return false;
  return Date.now() - fill.since < HELD_BACK_MS;
}

/** Waits while the bytes are held back. */
export async function vouchedBytes(fill: Fill): Promise<void> {
  while (areHeldBack(fill)) {
    await withTimeout(fill.since + HELD_BACK_MS - Date.now(), fill.progress());
  }
}

/**
 * Waits until the byte at `offset` is available. The response's header is sent together with its
 * first byte: until then, a failure or a timeout can still become an error response. Returns false
 * if storing failed, and the client has to be served without the store.
 *
 * @throws Fault if the fill failed
 */
export async function waitForByte(fill: Fill, offset: number): Promise<boolean> {
  while (fill.available <= offset && !fill.isVerified && !fill.fault) await fill.progress();
  if (fill.resumePoint) return false;
  if (fill.fault) throw fill.fault;
  return true;
}

/**
 * As `waitForByte`, for a byte far ahead of the fill, which has it received next. It also returns, with true, once
 * the fill cannot have it received soon: then its client gets a transfer of its own.
 */
export async function waitForByteAhead(fill: Fill, offset: number, end: number): Promise<boolean> {
  const { attempt, ahead } = fill;
  for (let isLate = false; !fill.isVerified && fill.attempt === attempt;) {
    if (fill.resumePoint) return false;
    if (fill.fault) throw fill.fault;
    const demand = ahead.demand(offset, end);
    if (demand === "refused" || (demand === "later" && isLate)) break;
    if (ahead.endFrom(offset) > offset) break;
    const grew = fill.progress().then(() => true);
    isLate = (await withTimeout(LATER_MS, grew)) === undefined;
  }
  return true;
}
