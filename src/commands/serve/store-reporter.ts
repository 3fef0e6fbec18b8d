import type { SecondLookEvents } from "../../cache/repair/second-looks.ts";
import { REMOVAL_REASONS, type RemovalReason } from "../../cache/removal-reason.ts";
import type { HousekeepingEvents } from "../../cache/retention/housekeeping-events.ts";
import type { Storage, StoreEvents } from "../../cache/retention/storage.ts";
import type { Digest } from "../../oci/digest.ts";
import { blobFile } from "../../store/disk/blob-file.ts";
import type { Watched } from "../../store/directory/directory-watch.ts";
import type { FewInodes } from "../../store/space/inode-budget.ts";
import type { FailedRead } from "../../store/memory/unreadable-blobs.ts";
import type { Rebuilt, Restored } from "../../store/repair/rebuild-metadata.ts";
import type { ScrubProgress } from "../../store/repair/scrub.ts";
import type { Reconciled } from "../../store/repair/reconcile.ts";
import { describeSystemError, isMediumError } from "../../store/storage-fault.ts";
import type { LocalProblems } from "../../telemetry/local-problems.ts";
import type { TellEvent } from "../../events/event.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Emitter } from "./emitter.ts";
import { noticeExhaustedLimit, noticeFailingWrite } from "./machine-limits.ts";

export interface StoreReporterOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly localProblems: LocalProblems;
  /** Tells operators of what they should know at once. */
  readonly tell: TellEvent;
  /** Emits the digest of each blob that leaves the store. */
  readonly blobRemoved: Emitter<Digest>;
  /** Emits what somebody has removed from the data directory. */
  readonly filesVanished: Emitter<readonly Watched[]>;
  /** Emits when records of removed blobs stay. */
  readonly recordsLeft: Emitter<void>;
}

/** Logs and counts what the store does in the background. */
export class StoreReporter implements StoreEvents, HousekeepingEvents, SecondLookEvents {
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #localProblems: LocalProblems;
  readonly #tell: TellEvent;
  readonly #blobRemoved: Emitter<Digest>;
  readonly #filesVanished: Emitter<readonly Watched[]>;
  readonly #recordsLeft: Emitter<void>;
  #scrubs = 0;
  #corrupt = 0;
  #unreadable = 0;
  #isDiskFailing = false;
  #isFull = false;

  constructor(options: StoreReporterOptions) {
    this.#log = options.log;
    this.#metrics = options.metrics;
    this.#localProblems = options.localProblems;
    this.#tell = options.tell;
    this.#blobRemoved = options.blobRemoved;
    this.#filesVanished = options.filesVanished;
    this.#recordsLeft = options.recordsLeft;
  }

  /** Registers the gauges of the store. */
  measure({
    budget,
    disk,
    sidecars,
    store,
  }: Pick<Storage, "budget" | "disk" | "sidecars" | "store">): void {
    const gauge = (name: string, help: string, read: () => number): void =>
      this.#metrics.gauge(`entrepot_${name}`, help, read);
    const counter = (name: string, help: string, read: () => number): void =>
      this.#metrics.counters(`entrepot_${name}`, help, [], () => [{ labels: [], value: read() }]);
    this.#metrics.expectRemovals(REMOVAL_REASONS);
    gauge(
      "storage_blob_bytes",
      "Bytes that complete blobs take on the disk, in whole blocks.",
      () => budget.blobBytes,
    );
    gauge(
      "storage_partial_bytes",
      "Bytes that partial downloads take on the disk, in progress or suspended.",
      () => budget.partialBytes,
    );
    gauge(
      "storage_metadata_bytes",
      "Bytes that the metadata database, with its write-ahead log, and the sidecar files take on the disk.",
      () => budget.metadataBytes,
    );
    gauge(
      "storage_sidecar_bytes",
      "Bytes of them that the sidecar files take.",
      () => sidecars.bytes,
    );
    gauge(
      "storage_max_bytes",
      "Limit of the store's size in bytes (storage.maxSize).",
      () => budget.limits.maxSize,
    );
    gauge(
      "storage_min_free_bytes",
      "Bytes that stay free on the disk, whatever else uses it (storage.minFree).",
      () => budget.limits.minFree,
    );
    gauge(
      "storage_free_bytes",
      "Free bytes of the data directory's file system, as they were last measured.",
      () => disk().free,
    );
    gauge(
      "storage_disk_bytes",
      "Bytes of the data directory's file system, used and free.",
      () => disk().size,
    );
    this.#metrics.gauges(
      "entrepot_storage_free_inodes",
      "Free inodes of the data directory's file system, unless it has no limit.",
      [],
      () => (budget.inodes.current ? [{ labels: [], value: budget.inodes.current.free }] : []),
    );
    gauge(
      "storage_full",
      "1 while nothing can be stored and pulls are streamed without being stored, else 0.",
      () => (budget.fullState.isFull ? 1 : 0),
    );
    counter(
      "scrub_passes_total",
      "Complete verifications of the store in the background.",
      () => this.#scrubs,
    );
    counter(
      "corrupt_blobs_total",
      "Corrupt blobs that were found and quarantined.",
      () => this.#corrupt,
    );
    gauge(
      "unreadable_blobs",
      "Stored blobs that cannot be read now, and are served from their upstreams.",
      () => store.unreadable.size,
    );
    counter(
      "unreadable_blobs_found_total",
      "Stored blobs that were found unreadable.",
      () => this.#unreadable,
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
      const message = "nothing can be stored: pulls are streamed without being stored meanwhile";
      this.#log.warn({ error: reason }, message);
      this.#tell({ type: "disk.full", data: { message: `${message} (${reason})`, reason } });
    } else {
      const message = "pulled blobs are stored again";
      this.#log.info(message);
      this.#tell({ type: "disk.recovered", data: { message } });
    }
  }

  fewInodes({ free, total, isEvictionInVain }: FewInodes): void {
    const done = isEvictionInVain
      ? "evicting blobs does not free any: other files on it take them"
      : "least recently used blobs are evicted to free some: each takes two";
    this.#localProblems.notice(
      "inodes",
      `the data directory's file system has ${free} of ${total} inodes left, and ${done}. Move storage.dir to a file system with more inodes (mkfs.ext4 -N, or XFS), or delete small files of others from it`,
    );
  }

  removed(digest: Digest, reason: RemovalReason, bytes: number): void {
    this.#metrics.removed(reason, bytes);
    this.#blobRemoved.emit(digest);
  }

  accessTimesNotWritten(error: unknown): void {
    noticeFailingWrite(this.#localProblems, error);
    this.#log.debug({ err: error }, "access times not written");
  }

  metadataDamaged(path: string, reason: string): void {
    const message = "metadata database damaged: it is rebuilt from the files of the store";
    this.#log.error({ error: reason, movedTo: path }, message);
  }

  vanished(names: readonly Watched[]): void {
    const message = names.includes("")
      ? "the data directory is another one now: the cache goes on with what is there"
      : "files of the data directory vanished while they were in use: they were made again, and what they held is fetched again when it is requested";
    this.#log.warn({ vanished: names.filter((name) => name !== "") }, message);
    this.#filesVanished.emit(names);
  }

  rebuilt(rebuilt: Rebuilt): void {
    this.#log.warn({ ...rebuilt }, "metadata rebuilt");
  }

  reconciled(reconciled: Reconciled): void {
    const isUnchanged = reconciled.found === 0 && reconciled.lost === 0;
    this.#log[isUnchanged ? "debug" : "info"]({ ...reconciled }, "reconciled metadata with files");
  }

  restored(restored: Restored): void {
    this.#log.info({ ...restored }, "lost metadata of stored blobs restored");
  }

  scrubbed(bytes: number): void {
    this.#metrics.scrubbed(bytes);
  }

  scrubEnded({ files, corrupt, unreadable }: ScrubProgress): void {
    this.#scrubs += 1;
    const counts = { files, corrupt: corrupt.length, unreadable: unreadable.length };
    this.#log.debug(counts, "all stored blobs verified");
  }

  unreadable(digest: Digest, { cause, since, last }: FailedRead): void {
    const reason = describeSystemError(cause);
    const advice = isMediumError(cause)
      ? "The disk may be about to die: look for its errors in the kernel log (dmesg) and in its SMART data (smartctl -a)"
      : "Mend that, or remove the file";
    this.#localProblems.notice(
      "failing-reads",
      `stored blobs cannot be read, the last of them ${blobFile(digest)}: ${reason}. They are served from the registries meanwhile. ${advice}`,
    );
    if (since !== last) return;
    this.#unreadable += 1;
    const message = "a stored blob cannot be read: it is served from its registry meanwhile";
    this.#log.warn({ digest, error: reason }, message);
  }

  diskFailing(): void {
    if (this.#isDiskFailing) return;
    this.#isDiskFailing = true;
    const message =
      "all of the disk may be failing: blobs that it cannot read are kept, and read again later";
    this.#log.error(message);
  }

  readableAgain(digest: Digest): void {
    this.#isDiskFailing = false;
    this.#log.info({ digest }, "a stored blob can be read again");
  }

  movedOut(digest: Digest): void {
    const message =
      "the disk cannot read a stored blob: its file was moved to quarantine/, and it is fetched again when it is requested";
    this.#log.error({ digest }, message);
  }

  corrupt(digest: Digest): void {
    this.#corrupt += 1;
    const message = "corrupt blob quarantined: it is fetched again when it is requested";
    this.#log.error({ digest }, message);
    this.#tell({ type: "blob.corrupt", subject: digest, data: { message, digest } });
  }

  limitMet(cause: unknown): void {
    noticeExhaustedLimit(this.#localProblems, cause);
  }

  recordsLeft(error: unknown): void {
    noticeFailingWrite(this.#localProblems, error);
    this.#recordsLeft.emit();
  }

  failed(task: string, error: unknown): void {
    noticeExhaustedLimit(this.#localProblems, error);
    if (this.#isFull) this.#log.debug({ err: error }, `${task} failed`);
    else this.#log.warn({ err: error }, `${task} failed; it will be retried`);
  }
}
