import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Draft } from "../../store/blob-store.ts";
import { type BackOff, retried } from "./back-off.ts";
import type { Source, Transfer } from "./source.ts";
import type { Supply } from "./source-list.ts";
import { endedEarly, isTransient, toFault } from "./transient.ts";

export interface DownloadOptions {
  readonly digest: Digest;
  readonly supply: Supply;
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
export class Download {
  readonly #options: DownloadOptions;
  #size: number | undefined;
  #hasBegun = false;
  #hasOthers = false;

  constructor(options: DownloadOptions) {
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
  beginAnew(): void {
    const { supply, size } = this.#options;
    this.#hasOthers = false;
    this.#size = size;
    supply.beginAnew();
  }

  /** @throws Fault where no source has it, or what came cannot be made right */
  async into(draft: Draft): Promise<void> {
    const { supply, signal, backOff } = this.#options;
    let first: Fault | undefined;
    for (let turn = 0; ; turn += 1) {
      const source = supply.choose(turn, this.#hasBegun);
      if (!source) throw first ?? this.#untrue("no source is left");
      const before = draft.length;
      try {
        await this.#transfer(source, draft);
        return;
      } catch (error) {
        const fault = toFault(error);
        if (signal.aborted || fault.detail.kind === "storage") throw fault;
        // An earlier process kept all of it, and nobody knows the size: the digest will tell.
        if (fault.detail.kind === "invalid-range" && draft.length > 0) return;
        if (fault.detail.kind === "upstream-untrue") {
          this.#blame(fault);
          // With wrong bytes in the draft, no other source can make it right.
          if (this.#hasOthers || draft.length > before) throw fault;
        }
        if (!isTransient(fault)) supply.drop(source);
        first ??= fault;
        if (!this.#hasBegun) continue;
        if (supply.sources.length === 0) throw fault;
        await retried(backOff, fault, signal);
      }
    }
  }

  /** All of it came, and it is something else. */
  wrongDigest(): Fault {
    return this.#blame(this.#untrue(`what it sent as ${this.#options.digest} has another digest`));
  }

  async #transfer(source: Source, draft: Draft): Promise<void> {
    const { supply, signal, backOff, begun, coming, progressed, digest } = this.#options;
    const transfer = await source.open(draft.length, signal);
    const reader = transfer.body.getReader();
    supply.opened(transfer);
    try {
      let surplus = this.#accept(transfer, source, draft);
      if (this.#size !== undefined) await draft.reserve(this.#size);
      supply.takes(source);
      this.#hasBegun = true;
      begun();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const chunk = value.subarray(Math.min(surplus, value.byteLength));
        surplus -= value.byteLength - chunk.byteLength;
        if (chunk.byteLength === 0) continue;
        if (this.#size !== undefined && draft.length + chunk.byteLength > this.#size) {
          throw this.#untrue(`it sent more than the ${this.#size} bytes of ${digest}`, source);
        }
        coming(draft.length, chunk);
        await draft.append(chunk);
        backOff.progressed();
        progressed();
      }
    } finally {
      // What is left of a transfer that failed here would hold its connection.
      await reader.cancel().catch(() => {});
    }
    if (this.#size !== undefined && draft.length < this.#size) {
      throw endedEarly(source.name, draft.length, this.#size);
    }
  }

  /** Checks an answer against what is known and returns how many of its bytes are here already. */
  #accept(transfer: Transfer, source: Source, draft: Draft): number {
    const { digest } = this.#options;
    if (transfer.size !== undefined && this.#size !== undefined && transfer.size !== this.#size) {
      const reason = `it has ${transfer.size} bytes as ${digest}, which has ${this.#size}`;
      throw this.#untrue(reason, source);
    }
    if (transfer.start > draft.length) {
      throw this.#untrue(`it sent bytes from ${transfer.start} on, not ${draft.length}`, source);
    }
    this.#size ??= transfer.size;
    return draft.length - transfer.start;
  }

  #blame(fault: Fault): Fault {
    this.#hasOthers = this.#options.supply.blame(fault);
    return fault;
  }

  #untrue(reason: string, source: Source | undefined = this.#options.supply.sources[0]): Fault {
    return new Fault({ kind: "upstream-untrue", upstream: source?.name ?? "the upstream", reason });
  }
}
