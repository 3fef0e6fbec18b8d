import type { HousekeepingEvents } from "../../cache/retention/housekeeping.ts";
import type { Storage, StoreEvents } from "../../cache/retention/storage.ts";
import type { RemovalReason } from "../../cache/retention/evictor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Restored, Rebuilt } from "../../store/repair/rebuild-metadata.ts";
import type { Reconciled } from "../../store/repair/reconcile.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Emitter } from "./emitter.ts";

export interface StoreReporterOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Emits the digest of each blob that leaves the store. */
  readonly blobRemoved: Emitter<Digest>;
}

/** Tells what the store does by itself: a line where an operator should know, a number for the rest. */
export class StoreReporter implements StoreEvents, HousekeepingEvents {
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #blobRemoved: Emitter<Digest>;
  #scrubs = 0;
  #corrupt = 0;
  #isFull = false;

  constructor({ log, metrics, blobRemoved }: StoreReporterOptions) {
    this.#log = log;
    this.#metrics = metrics;
    this.#blobRemoved = blobRemoved;
  }

  /** Figures that are asked for when somebody reads the metrics. */
  measure(budget: Storage["budget"]): void {
    const gauge = (name: string, help: string, read: () => number): void =>
      this.#metrics.gauge(`entrepot_storage_${name}`, help, read);
    gauge("held_bytes", "Bytes of complete contents.", () => budget.blobBytes);
    gauge(
      "draft_bytes",
      "Bytes of contents on their way in, or begun and kept.",
      () => budget.partialBytes,
    );
    gauge("facts_bytes", "Bytes of the index, and of facts beside it.", () => budget.metadataBytes);
    gauge("max_bytes", "Bytes that may be stored.", () => budget.limits.maxSize);
    gauge("full", "1 while nothing can be stored and pulls are passed through.", () =>
      budget.fullState.isFull ? 1 : 0,
    );
    this.#metrics.gauge(
      "entrepot_scrub_passes",
      "How often everything was verified again since the start.",
      () => this.#scrubs,
    );
    this.#metrics.gauge(
      "entrepot_corrupt_contents",
      "Contents that were found corrupt since the start, and set aside.",
      () => this.#corrupt,
    );
  }

  fullStateChanged({
    isFull,
    reason,
  }: {
    readonly isFull: boolean;
    readonly reason: string;
  }): void {
    this.#isFull = isFull;
    if (isFull) {
      const message = "nothing can be stored: pulls are passed through until there is room again";
      this.#log.warn({ error: reason }, message);
    } else this.#log.info("there is room again: what is pulled is stored");
  }

  removed(digest: Digest, why: RemovalReason, bytes: number): void {
    this.#metrics.removed(why, bytes);
    this.#blobRemoved.emit(digest);
  }

  accessTimesNotWritten(error: unknown): void {
    if (this.#isFull) this.#log.debug({ err: error }, "use times could not be written");
    else this.#log.warn({ err: error }, "use times could not be written");
  }

  metadataDamaged(path: string, reason: string): void {
    const message = "the index was damaged: it is made again from the files of the store";
    this.#log.error({ error: reason, movedTo: path }, message);
  }

  rebuilt(rebuilt: Rebuilt): void {
    this.#log.warn({ ...rebuilt }, "the index was made again");
  }

  reconciled(reconciled: Reconciled): void {
    const isEven = reconciled.found === 0 && reconciled.lost === 0;
    this.#log[isEven ? "debug" : "info"]({ ...reconciled }, "index and files agree");
  }

  restored(learnt: Restored): void {
    const message = "the index knows facts about stored manifests again that it did not know";
    this.#log.info({ ...learnt }, message);
  }

  scrubbed(bytes: number): void {
    this.#metrics.scrubbed(bytes);
  }

  scrubEnded(files: number, corrupt: number): void {
    this.#scrubs += 1;
    this.#log.debug({ files, corrupt }, "everything that is stored was verified");
  }

  corrupt(digest: Digest): void {
    this.#corrupt += 1;
    const message =
      "a stored content was corrupt: it was set aside and is fetched anew when asked for";
    this.#log.error({ digest }, message);
  }

  failed(what: string, error: unknown): void {
    if (this.#isFull) this.#log.debug({ err: error }, `${what} failed`);
    else this.#log.warn({ err: error }, `${what} failed; it is tried again`);
  }
}
