import type { Digest } from "../../oci/digest.ts";
import { Fault, isLocalFault } from "../../oci/fault.ts";
import type { BlobWriter } from "../../store/blob-store.ts";
import { type BackOff, waitBeforeRetry } from "./back-off.ts";
import type { Source, Transfer } from "./source.ts";
import type { SourceList } from "./source-list.ts";
import { endedEarly, isTransient, toFault } from "./transient.ts";

export interface FetchLoopOptions {
  readonly digest: Digest;
  readonly sources: SourceList;
  /** Of the content in bytes, where a manifest has told it. */
  readonly size: number | undefined;
  readonly backOff: BackOff;
  readonly signal: AbortSignal;
  /** A source's answer was found usable. */
  readonly begun: () => void;
  /** What comes next, before it is in the draft: it belongs at this byte, and is nobody else's. */
  readonly coming: (start: number, chunk: Uint8Array) => void;
  /** More is in the draft. */
  readonly progressed: () => void;
}

/** Brings a content into a draft: from its sources in turn, at the draft's end when one of them breaks. */
export class FetchLoop {
  readonly #options: FetchLoopOptions;
  #size: number | undefined;
  #hasBegun = false;
  #hasOthers = false;

  constructor(options: FetchLoopOptions) {
    this.#options = options;
    this.#size = options.size;
  }

  /** In bytes; unknown until a manifest or a source has told it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Whether others can be asked than those who sent what was wrong. */
  get hasOthers(): boolean {
    return this.#hasOthers;
  }

  /** Nothing of what came is used. */
  restart(): void {
    const { sources, size } = this.#options;
    this.#hasOthers = false;
    this.#size = size;
    sources.restart();
  }

  /** @throws Fault where no source has it, or what came cannot be made right */
  async run(writer: BlobWriter): Promise<void> {
    const { sources, signal, backOff } = this.#options;
    let first: Fault | undefined;
    for (let turn = 0; ; turn += 1) {
      const source = sources.choose(turn, this.#hasBegun);
      if (!source) throw first ?? this.#untrue("no source is left");
      const before = writer.length;
      try {
        await this.#transfer(source, writer);
        return;
      } catch (error) {
        const fault = toFault(error);
        if (signal.aborted || isLocalFault(fault)) throw fault;
        // An earlier process kept all of it, and nobody knows the size: the digest will tell.
        if (fault.detail.kind === "invalid-range" && writer.length > 0) return;
        if (fault.detail.kind === "upstream-invalid-response") {
          this.#blame(fault);
          // With wrong bytes in the draft, no other source can make it right.
          if (this.#hasOthers || writer.length > before) throw fault;
        }
        if (!isTransient(fault)) sources.remove(source);
        first ??= fault;
        if (!this.#hasBegun) continue;
        if (sources.sources.length === 0) throw fault;
        await waitBeforeRetry(backOff, fault, signal);
      }
    }
  }

  /** All of it came, and it is something else. */
  wrongDigest(): Fault {
    return this.#blame(this.#untrue(`what it sent as ${this.#options.digest} has another digest`));
  }

  async #transfer(source: Source, writer: BlobWriter): Promise<void> {
    const { sources, signal, backOff, begun, coming, progressed, digest } = this.#options;
    const transfer = await source.open(writer.length, signal);
    const reader = transfer.body.getReader();
    sources.opened(transfer);
    try {
      let surplus = this.#accept(transfer, source, writer);
      if (this.#size !== undefined) await writer.reserve(this.#size);
      sources.accepted(source);
      this.#hasBegun = true;
      begun();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const chunk = value.subarray(Math.min(surplus, value.byteLength));
        surplus -= value.byteLength - chunk.byteLength;
        if (chunk.byteLength === 0) continue;
        if (this.#size !== undefined && writer.length + chunk.byteLength > this.#size) {
          throw this.#untrue(`it sent more than the ${this.#size} bytes of ${digest}`, source);
        }
        coming(writer.length, chunk);
        await writer.append(chunk);
        backOff.progressed();
        progressed();
      }
    } finally {
      // What is left of a transfer that failed here would hold its connection.
      await reader.cancel().catch(() => {});
    }
    if (this.#size !== undefined && writer.length < this.#size) {
      throw endedEarly(source.name, writer.length, this.#size);
    }
  }

  /** Checks an answer against what is known and returns how many of its bytes are here already. */
  #accept(transfer: Transfer, source: Source, writer: BlobWriter): number {
    const { digest } = this.#options;
    if (transfer.size !== undefined && this.#size !== undefined && transfer.size !== this.#size) {
      const reason = `it has ${transfer.size} bytes as ${digest}, which has ${this.#size}`;
      throw this.#untrue(reason, source);
    }
    if (transfer.start > writer.length) {
      throw this.#untrue(`it sent bytes from ${transfer.start} on, not ${writer.length}`, source);
    }
    this.#size ??= transfer.size;
    return writer.length - transfer.start;
  }

  #blame(fault: Fault): Fault {
    this.#hasOthers = this.#options.sources.reportCorrupt(fault);
    return fault;
  }

  #untrue(reason: string, source: Source | undefined = this.#options.sources.sources[0]): Fault {
    return new Fault({
      kind: "upstream-invalid-response",
      upstream: source?.name ?? "the upstream",
      reason,
    });
  }
}
