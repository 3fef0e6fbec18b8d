import { setTimeout } from "node:timers/promises";
import type { Digest } from "../../oci/digest.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { EventLoopYielder } from "../../store/event-loop-yielder.ts";
import { scrub } from "../../store/repair/scrub.ts";
import { pruneMetadata } from "../../store/repair/metadata-pruning.ts";
import {
  rebuildMetadata,
  type Rebuilt,
  type Restored,
  restoreFromSidecars,
  restorePins,
} from "../../store/repair/rebuild-metadata.ts";
import { reconcile, type Reconciled } from "../../store/repair/reconcile.ts";
import type { Storage } from "./storage.ts";

/** The first answers after a start come before files and index are compared, in milliseconds. */
const QUIET_START = 1000;
/** Part of the time that work takes for which nobody waits. */
const SHARE = 0.15;
/** How often free space and the bound are looked at, in milliseconds. */
const LOOK_EVERY = 1000;
/** How long after the last fact that could not be written it is tried to make up for it, in milliseconds. */
const LACKING_FOR = 5000;
/** How often ages and quotas are looked at, in milliseconds. */
const AGE_EVERY = 30_000;
/** How often the sizes of upstreams are counted anew for that, in milliseconds. */
const THOROUGH_EVERY = 3_600_000;
/** How often bytes are counted anew, and room in the index is given back, in milliseconds. */
const COUNT_EVERY = 600_000;
/** How often facts that nobody would miss are looked for, in milliseconds. */
const PRUNE_EVERY = 6 * 3_600_000;
/** How long it is remembered what an image was called that is no longer stored, in milliseconds. */
const FACTS_KEPT_FOR = 30 * 24 * 3_600_000;
/** Between two scrubs of a store that is empty or was just read, in milliseconds. */
const SCRUB_PAUSE = 60_000;

export interface HousekeepingEvents {
  rebuilt(rebuilt: Rebuilt): void;
  reconciled(reconciled: Reconciled): void;
  /** The index had lost what stored manifests are called, and where they are. */
  learnt(learnt: Restored): void;
  scrubbed(bytes: number): void;
  /** A scrub has read everything once. */
  scrubEnded(files: number, corrupt: number): void;
  corrupt(digest: Digest): void;
  /** Work in the background that failed; it is tried again. */
  failed(what: string, error: unknown): void;
}

/** What a store does by itself, beside traffic, until it is stopped. */
export class Housekeeping implements AsyncDisposable {
  readonly #store: Storage;
  readonly #events: HousekeepingEvents;
  readonly #inUse: (digest: Digest) => boolean;
  readonly #abort = new AbortController();
  /** When the index last failed to take a fact, until it has been made up for. */
  #lackingSince: number | undefined;
  readonly #work: Promise<unknown>;

  /** @param scrubRate bytes per second that are verified again, 0 for none */
  constructor(
    store: Storage,
    inUse: (digest: Digest) => boolean,
    scrubRate: number,
    events: HousekeepingEvents,
  ) {
    this.#store = store;
    this.#events = events;
    this.#inUse = inUse;
    this.#work = Promise.all([this.#mend(), this.#tend(), this.#scrub(scrubRate)]);
  }

  /** A fact could not be written: what is stored may be unknown to the index, and never be evicted. */
  lacksFact(): void {
    this.#lackingSince = performance.now();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#work;
  }

  /** Index and files, after whatever ended the last process, and whenever the index was begun anew. */
  async #mend(): Promise<void> {
    const { rebuildState: rebuild } = this.#store;
    if (rebuild.started > 0 || (await this.#pause(QUIET_START))) await this.#agree();
    while (await this.#pause(LOOK_EVERY)) {
      if (rebuild.finished < rebuild.started || this.#mayMakeUp()) await this.#agree();
    }
  }

  #mayMakeUp(): boolean {
    const since = this.#lackingSince;
    return since !== undefined && performance.now() - since > LACKING_FOR;
  }

  async #agree(): Promise<void> {
    const {
      metadata,
      sidecars,
      blobs: plain,
      budget,
      evictor,
      admin,
      rebuildState: rebuild,
      wasShutDownCleanly: endedWell,
    } = this.#store;
    const { signal } = this.#abort;
    const lackingSince = this.#lackingSince;
    const isLacking = lackingSince !== undefined;
    const isDone = await this.#guarded("mending the index", async () => {
      const { started: begun } = rebuild;
      if (rebuild.finished < begun) {
        // Without an index, nothing was known to be held.
        if (budget.blobBytes === 0) budget.recount(await bytesOf(plain));
        const rebuilt = await rebuildMetadata({ store: plain, metadata, sidecars }, signal);
        // What is pinned is known before the rest of what is held may be evicted.
        admin.metadataRebuilt();
        this.#events.rebuilt(rebuilt);
      } else if ((await restorePins({ metadata, sidecars })) > 0) admin.metadataRebuilt();
      // What images are called is asked for first.
      if (!endedWell || isLacking) {
        const gentle = new EventLoopYielder(isLacking ? SHARE : 1);
        const learnt = await restoreFromSidecars(
          { store: plain, metadata, sidecars },
          signal,
          gentle,
        );
        if (learnt.manifests > 0) this.#events.learnt(learnt);
      }
      const inUse = (digest: Digest): boolean => this.#inUse(digest) || evictor.isGoing(digest);
      const onCorrupt = (digest: Digest): Promise<void> => this.#setAside(digest);
      // An index that was made again is in a hurry: what it does not know is never evicted.
      const yielder = new EventLoopYielder(rebuild.finished < begun ? 1 : SHARE);
      const found = await reconcile({
        store: plain,
        metadata,
        sidecars,
        inUse,
        onCorrupt,
        yielder,
        signal,
      });
      if (signal.aborted) return;
      rebuild.end(begun);
      if (this.#lackingSince === lackingSince) this.#lackingSince = undefined;
      await metadata.blobs.clampTimes(Date.now());
      await admin.recount();
      this.#events.reconciled(found);
      await this.#prune();
    });
    // Again, and not at once.
    if (!isDone) this.lacksFact();
  }

  /** Only once the index is whole: facts are what it is made from. */
  async #prune(): Promise<void> {
    const {
      blobs: plain,
      sidecars,
      budget,
      metadata,
      evictor,
      rebuildState: rebuild,
    } = this.#store;
    const isStored = async (digest: Digest): Promise<boolean> =>
      (await plain.open(digest)) !== undefined;
    const { signal } = this.#abort;
    const before = Date.now() - FACTS_KEPT_FOR;
    const { started: begun } = rebuild;
    await pruneMetadata({
      metadata,
      yielder: new EventLoopYielder(SHARE),
      inUse: (digest) => this.#inUse(digest) || evictor.isGoing(digest),
      before,
      isComplete: () => rebuild.started === begun && rebuild.finished === begun,
      signal,
    });
    await sidecars.prune(isStored, { before, signal });
    await metadata.shrink();
    await budget.measure();
  }

  async #tend(): Promise<void> {
    const { metadata, budget, evictor, quotas, admin } = this.#store;
    const began = performance.now();
    let [aged, thorough, counted, pruned] = [0, began, began, began];
    while (await this.#pause(LOOK_EVERY)) {
      const now = performance.now();
      await this.#guarded("evicting", async () => {
        await budget.measure();
        if (budget.isTight()) await evictor.sweep();
        if (now - aged > AGE_EVERY) {
          aged = now;
          await quotas.enforce({ isThorough: now - thorough > THOROUGH_EVERY });
          if (now - thorough > THOROUGH_EVERY) thorough = now;
        }
        if (now - counted > COUNT_EVERY) {
          counted = now;
          await metadata.blobs.clampTimes(Date.now());
          await admin.recount();
          await metadata.shrink();
        }
        if (now - pruned > PRUNE_EVERY) {
          pruned = now;
          await this.#prune();
        }
      });
    }
  }

  async #scrub(rate: number): Promise<void> {
    if (rate <= 0) return;
    const { blobs: plain } = this.#store;
    const { signal } = this.#abort;
    do {
      await this.#guarded("verifying", async () => {
        let read = 0;
        const { files, corrupt } = await scrub({
          store: plain,
          rate,
          signal,
          onProgress: ({ bytes }) => {
            this.#events.scrubbed(bytes - read);
            read = bytes;
          },
          onCorrupt: (digest) => this.#setAside(digest),
        });
        if (!signal.aborted) this.#events.scrubEnded(files, corrupt.length);
      });
    } while (await this.#pause(SCRUB_PAUSE));
  }

  async #setAside(digest: Digest): Promise<void> {
    await this.#store.admin.quarantine(digest);
    this.#events.corrupt(digest);
  }

  async #guarded(what: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#events.failed(what, error);
      return false;
    }
  }

  /** Returns false where it is time to end. */
  #pause(milliseconds: number): Promise<boolean> {
    const { signal } = this.#abort;
    return setTimeout(milliseconds, true, { signal, ref: false }).catch(() => false);
  }
}

async function bytesOf(store: BlobStore): Promise<number> {
  let bytes = 0;
  for await (const { size } of store.entries()) bytes += size;
  return bytes;
}
