import { setImmediate } from "node:timers/promises";
import { Fault, isLocalFault } from "../../oci/fault.ts";
import type { ChunkReader, NearLimits, Source, Transfer, TransferUse } from "./source.ts";

/** A transfer, whose body is read by `reader` alone. */
export interface OpenTransfer extends Transfer {
  readonly reader: ChunkReader;
}

/**
 * Opens a source. Whatever fails with it, also while its body is read, is a fault of that source: only who
 * writes the bytes has faults of this machine. A source that is near is given up at its limits.
 *
 * @throws Fault; the signal's reason if it is aborted
 */
export async function openSource(
  source: Source,
  offset: number,
  signal: AbortSignal,
  end?: number,
  use?: TransferUse,
): Promise<OpenTransfer> {
  if (source.near) return openNear(source, source.near, offset, signal);
  const transfer = await source.open(offset, signal, end, use).catch(blame(source, signal));
  const reader = transfer.body.getReader();
  const read: ChunkReader["read"] = () => reader.read().catch(blame(source, signal));
  return { ...transfer, reader: { read, cancel: () => reader.cancel() } };
}

async function openNear(
  source: Source,
  near: NearLimits,
  offset: number,
  signal: AbortSignal,
): Promise<OpenTransfer> {
  const abort = new AbortController();
  const both = AbortSignal.any([signal, abort.signal]);
  const openedAt = performance.now();
  const patience = new Patience(source, near, both);
  const failed = (error: unknown): never => {
    abort.abort(error);
    return blame(source, signal)(error);
  };
  const opening = source.open(offset, both);
  // It may open after it was given up.
  abort.signal.addEventListener("abort", () => {
    opening.then(({ body }) => body.cancel()).catch(() => {});
  });
  const transfer = await patience.wait(opening, near.firstByteMs).catch(failed);
  const reader = transfer.body.getReader();
  let hasByte = false;
  const read: ChunkReader["read"] = async () => {
    const left = Math.max(0, openedAt + near.firstByteMs - performance.now());
    const chunk = await patience.wait(reader.read(), hasByte ? near.stallMs : left).catch(failed);
    hasByte = true;
    return chunk;
  };
  return { ...transfer, reader: { read, cancel: () => reader.cancel() } };
}

/** Waits for a source no longer than its limits allow. */
class Patience {
  readonly #source: Source;
  readonly #near: NearLimits;
  readonly #signal: AbortSignal;

  constructor(source: Source, near: NearLimits, signal: AbortSignal) {
    this.#source = source;
    this.#near = near;
    this.#signal = signal;
  }

  /** @throws Fault once it has been silent for too long, and what it is says nothing else */
  async wait<Value>(work: Promise<Value>, milliseconds: number): Promise<Value> {
    let isSettled = false;
    const settled = work.finally(() => (isSettled = true));
    // Nobody may look at it any more once its source was given up.
    settled.catch(() => {});
    for (let limit = milliseconds; ; limit = this.#near.stallMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, limit);
      await Promise.race([settled, promise]).finally(() => clearTimeout(timer));
      if (isSettled) return settled;
      // What has arrived while this machine was busy was in time.
      await setImmediate();
      const isAlive = !isSettled && this.#near.isAlive?.(this.#signal);
      await Promise.race([settled, isAlive]);
      if (isSettled) return settled;
      if (!(await isAlive)) throw this.#silent(limit);
    }
  }

  #silent(milliseconds: number): Fault {
    return new Fault({
      kind: "upstream-timeout",
      upstream: this.#source.name,
      waitedFor: "send a byte",
      seconds: milliseconds / 1000,
    });
  }
}

/** Whatever a source throws is a fault of that source, unless its download was ended meanwhile. */
function blame({ name }: Source, signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Fault && !isLocalFault(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Fault({ kind: "upstream-unreachable", upstream: name, reason }, { cause: error });
  };
}
