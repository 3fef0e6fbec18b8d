import { type Digest, newHasher } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import type { BlobStore, Draft, StoredBlob } from "../store/blobs.ts";
import { BackOff, type BackOffOptions, retried } from "./back-off.ts";
import { Followers } from "./followers.ts";
import { type Handover, HELD_BACK } from "./handover.ts";
import { Pieces } from "./pieces.ts";
import type { Source, Transfer } from "./source.ts";
import { endedEarly, isTransient, toFault } from "./transient.ts";

/**
 * The one download of a content that is missing here. It belongs to no client: whoever needs the
 * content follows the growing draft, and none of them going away ends it.
 *
 * It takes from its sources in turn, goes on at its offset when one breaks, and stores the content
 * only when size and digest are right.
 */
export class Fill {
  /** Resolves once a source's answer was found usable; rejects with the Fault that prevented it. */
  readonly started: Promise<void>;
  /** Resolves once the content is stored; rejects with the Fault that ended the fill. */
  readonly stored: Promise<StoredBlob>;
  /** Resolves once nothing of it is open any more. */
  readonly ended: Promise<void>;

  /** Where it can be had; who goes on without the fill takes from there too. */
  readonly sources: Source[];
  readonly followers = new Followers();
  readonly #backOff: BackOff;
  readonly #abort = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  readonly #stored = Promise.withResolvers<StoredBlob>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #takenFrom = new Set<string>();
  readonly #tried = new Set<Source>();
  readonly #pieces = new Pieces((first, end) => this.#bytes(first, end));
  #progress = Promise.withResolvers<void>();
  #hasStarted = false;
  #size: number | undefined;
  #draft: Draft | undefined;
  #result: StoredBlob | undefined;
  #fault: Fault | undefined;
  #handover: Handover | undefined;

  /**
   * @param size of the content in bytes, where a manifest has told it
   * @param after what may be storing the content already, in another way
   */
  constructor(
    readonly digest: Digest,
    store: BlobStore,
    source: Source,
    size?: number,
    after?: Promise<unknown>,
    backOff: BackOffOptions = {},
  ) {
    this.sources = [source];
    this.#backOff = new BackOff(backOff);
    this.#size = size;
    this.started = this.#started.promise;
    this.stored = this.#stored.promise;
    this.ended = this.#ended.promise;
    // A fill outlives its clients, so nobody may be listening when it fails.
    this.started.catch(() => {});
    this.stored.catch(() => {});
    void this.#run(store, after);
  }

  /** In bytes; unknown until a manifest or a source has told it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Bytes, from the first one on, that a follower may have now. */
  get available(): number {
    if (this.#result) return this.#result.size;
    if (this.#handover) return this.#handover.length;
    const length = this.#draft?.length ?? 0;
    return Math.max(0, Math.min(length, (this.#size ?? length) - HELD_BACK));
  }

  get isStored(): boolean {
    return this.#result !== undefined;
  }

  get isOver(): boolean {
    return this.#result !== undefined || this.#fault !== undefined;
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Set once storing has failed: what is needed to go on without it. */
  get handover(): Handover | undefined {
    return this.#handover;
  }

  /** Where the content's end begins that is only had from a verified content. */
  get verifiedFrom(): number {
    return Math.max(0, (this.#size ?? 0) - HELD_BACK);
  }

  /** Another place where the content may be had, should the present one fail. */
  offer(source: Source): void {
    if (this.sources.length < 8 && this.sources.every(({ name }) => name !== source.name)) {
      this.sources.push(source);
    }
  }

  /** Whether this source, by its name, has shown that it has the content. */
  hasTakenFrom({ name }: Source): boolean {
    return this.#takenFrom.has(name);
  }

  /** Whether this source, by its name, was asked: the fill's failure is then its failure too. */
  hasTried({ name }: Source): boolean {
    return [...this.#tried].some((source) => source.name === name);
  }

  /** Resolves when more is available, or the fill has ended. */
  progress(): Promise<void> {
    return this.#progress.promise;
  }

  /** The available bytes from `position` on: at least one, and at most a piece of 256 KiB. */
  read(position: number): Promise<Uint8Array> {
    return this.#pieces.from(position, this.available);
  }

  /** Ends the download but keeps its bytes, for a fill that goes on from there. */
  async stop(): Promise<void> {
    this.#abort.abort(new Fault({ kind: "storage", reason: "the cache is stopping" }));
    await this.stored.catch(() => {});
  }

  async #bytes(first: number, end: number): Promise<Uint8Array> {
    if (this.#result) return this.#result.bytes.slice(first, end).bytes();
    if (!this.#draft) throw new RangeError("nothing is available yet");
    return this.#draft.read(first, end);
  }

  async #run(store: BlobStore, after: Promise<unknown> | undefined): Promise<void> {
    try {
      await after?.catch(() => {});
      this.#result = await this.#fill(store);
      this.#size = this.#result.size;
      this.#begin();
      this.#stored.resolve(this.#result);
    } catch (error) {
      this.#fault = toFault(error);
      this.#started.reject(this.#fault);
      this.#stored.reject(this.#fault);
    }
    this.#announce();
    this.#ended.resolve();
  }

  async #fill(store: BlobStore): Promise<StoredBlob> {
    // Whoever asked for it may have looked just before an earlier fill ended.
    const stored = await store.open(this.digest);
    if (stored) return stored;
    let draft = await this.#begun(store);
    if (this.#size !== undefined && draft.length >= this.#size && !draft.verify()) {
      await draft.discard();
      draft = await store.draft(this.digest);
    }
    this.#draft = draft;
    try {
      if (this.#size !== undefined) await draft.reserve(this.#size);
      if (this.#size === undefined || draft.length < this.#size) await this.#download(draft);
      if (!draft.verify()) {
        throw this.#untrue(`what it sent as ${this.digest} has another digest`);
      }
      return await draft.commit();
    } catch (error) {
      // Told before the draft is closed, so that no follower takes its closing for the failure.
      this.#fault = toFault(error);
      if (this.#fault.detail.kind === "storage" && !this.#abort.signal.aborted) {
        await this.#handOver(draft);
      }
      const isUseless =
        this.#handover !== undefined ||
        draft.length === 0 ||
        this.#fault.detail.kind === "upstream-untrue";
      // Whatever becomes of the file, why the fill failed is what has to be known.
      await (isUseless ? draft.discard() : draft.keep()).catch(() => {});
      throw this.#fault;
    }
  }

  async #begun(store: BlobStore): Promise<Draft> {
    try {
      return await store.draft(this.digest);
    } catch (error) {
      this.#handover = { length: 0, hasher: newHasher(this.digest) };
      throw error;
    }
  }

  /** Lets those who read finish what can be read; then the disk may have its space back. */
  async #handOver(draft: Draft): Promise<void> {
    this.#handover = draft.prefix();
    this.#started.reject(this.#fault);
    this.#stored.reject(this.#fault);
    this.#announce();
    await this.followers.left();
  }

  async #download(draft: Draft): Promise<void> {
    let first: Fault | undefined;
    for (let turn = 0; ; turn += 1) {
      const source = this.#choose(turn);
      if (!source) throw first ?? this.#untrue("no source is left");
      this.#tried.add(source);
      const before = draft.length;
      try {
        await this.#transfer(source, draft);
        return;
      } catch (error) {
        const fault = toFault(error);
        if (this.#abort.signal.aborted || fault.detail.kind === "storage") throw fault;
        // An earlier process kept all of it, and nobody knows the size: the digest will tell.
        if (fault.detail.kind === "invalid-range" && draft.length > 0) return;
        // With wrong bytes in the draft, no other source can make it right.
        if (fault.detail.kind === "upstream-untrue" && draft.length > before) throw fault;
        if (!isTransient(fault)) this.sources.splice(this.sources.indexOf(source), 1);
        first ??= fault;
        if (!this.#hasStarted) continue;
        if (this.sources.length === 0) throw fault;
        await retried(this.#backOff, fault, this.#abort.signal);
      }
    }
  }

  /** Each source once; those that answered before, in turn. A client waits for the first answer. */
  #choose(turn: number): Source | undefined {
    const untried = this.sources.find((source) => !this.#tried.has(source));
    if (untried || !this.#hasStarted) return untried;
    return this.sources[turn % this.sources.length];
  }

  async #transfer(source: Source, draft: Draft): Promise<void> {
    const transfer = await source.open(draft.length, this.#abort.signal);
    const reader = transfer.body.getReader();
    try {
      let surplus = this.#accept(transfer, source, draft);
      if (this.#size !== undefined) await draft.reserve(this.#size);
      this.#takenFrom.add(source.name);
      this.#begin();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const chunk = value.subarray(Math.min(surplus, value.byteLength));
        surplus -= value.byteLength - chunk.byteLength;
        if (chunk.byteLength === 0) continue;
        if (this.#size !== undefined && draft.length + chunk.byteLength > this.#size) {
          throw this.#untrue(`it sent more than the ${this.#size} bytes of ${this.digest}`, source);
        }
        await draft.append(chunk);
        this.#backOff.progressed();
        this.#announce();
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
    if (transfer.size !== undefined && this.#size !== undefined && transfer.size !== this.#size) {
      const reason = `it has ${transfer.size} bytes as ${this.digest}, which has ${this.#size}`;
      throw this.#untrue(reason, source);
    }
    if (transfer.start > draft.length) {
      throw this.#untrue(`it sent bytes from ${transfer.start} on, not ${draft.length}`, source);
    }
    this.#size ??= transfer.size;
    return draft.length - transfer.start;
  }

  #begin(): void {
    this.#hasStarted = true;
    this.#started.resolve();
  }

  #announce(): void {
    const { resolve } = this.#progress;
    this.#progress = Promise.withResolvers<void>();
    resolve();
  }

  #untrue(reason: string, source: Source | undefined = this.sources[0]): Fault {
    return new Fault({ kind: "upstream-untrue", upstream: source?.name ?? "the upstream", reason });
  }
}
