import { setTimeout } from "node:timers/promises";
import type { Digest } from "../../oci/digest.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { Courtesy } from "../../store/event-loop-yielder.ts";
import { inspect } from "../../store/repair/scrub.ts";
import { pruneIndex } from "../../store/repair/metadata-pruning.ts";
import {
  learnLost,
  learnPins,
  type Learnt,
  rebuild,
  type Rebuilt,
  reconcile,
  type Reconciled,
} from "../../store/repair/reconcile.ts";
import type { KeptStore } from "./storage.ts";

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
  learnt(learnt: Learnt): void;
  scrubbed(bytes: number): void;
  /** A scrub has read everything once. */
  scrubEnded(files: number, corrupt: number): void;
  corrupt(digest: Digest): void;
  /** Work in the background that failed; it is tried again. */
  failed(what: string, error: unknown): void;
}

/** What a store does by itself, beside traffic, until it is stopped. */
export class Housekeeping implements AsyncDisposable {
  readonly #store: KeptStore;
  readonly #events: HousekeepingEvents;
  readonly #inUse: (digest: Digest) => boolean;
  readonly #abort = new AbortController();
  /** When the index last failed to take a fact, until it has been made up for. */
  #lackingSince: number | undefined;
  readonly #work: Promise<unknown>;

  /** @param scrub bytes per second that are verified again, 0 for none */
  constructor(
    store: KeptStore,
    inUse: (digest: Digest) => boolean,
    scrub: number,
    events: HousekeepingEvents,
  ) {
    this.#store = store;
    this.#events = events;
    this.#inUse = inUse;
    this.#work = Promise.all([this.#mend(), this.#tend(), this.#scrub(scrub)]);
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
    const { remade } = this.#store;
    if (remade.begun > 0 || (await this.#pause(QUIET_START))) await this.#agree();
    while (await this.#pause(LOOK_EVERY)) {
      if (remade.whole < remade.begun || this.#mayMakeUp()) await this.#agree();
    }
  }

  #mayMakeUp(): boolean {
    const since = this.#lackingSince;
    return since !== undefined && performance.now() - since > LACKING_FOR;
  }

  async #agree(): Promise<void> {
    const { index, facts, plain, space, evictor, steward, remade, endedWell } = this.#store;
    const { signal } = this.#abort;
    const lackingSince = this.#lackingSince;
    const isLacking = lackingSince !== undefined;
    const isDone = await this.#guarded("mending the index", async () => {
      const { begun } = remade;
      if (remade.whole < begun) {
        // Without an index, nothing was known to be held.
        if (space.held === 0) space.recount(await bytesOf(plain));
        const rebuilt = await rebuild({ store: plain, index, facts }, signal);
        // What is pinned is known before the rest of what is held may be evicted.
        steward.indexRemade();
        this.#events.rebuilt(rebuilt);
      } else if ((await learnPins({ index, facts })) > 0) steward.indexRemade();
      // What images are called is asked for first.
      if (!endedWell || isLacking) {
        const gentle = new Courtesy(isLacking ? SHARE : 1);
        const learnt = await learnLost({ store: plain, index, facts }, signal, gentle);
        if (learnt.manifests > 0) this.#events.learnt(learnt);
      }
      const inUse = (digest: Digest): boolean => this.#inUse(digest) || evictor.isGoing(digest);
      const onCorrupt = (digest: Digest): Promise<void> => this.#setAside(digest);
      // An index that was made again is in a hurry: what it does not know is never evicted.
      const courtesy = new Courtesy(remade.whole < begun ? 1 : SHARE);
      const found = await reconcile({
        store: plain,
        index,
        facts,
        inUse,
        onCorrupt,
        courtesy,
        signal,
      });
      if (signal.aborted) return;
      remade.end(begun);
      if (this.#lackingSince === lackingSince) this.#lackingSince = undefined;
      await index.contents.notAfter(Date.now());
      await steward.recount();
      this.#events.reconciled(found);
      await this.#prune();
    });
    // Again, and not at once.
    if (!isDone) this.lacksFact();
  }

  /** Only once the index is whole: facts are what it is made from. */
  async #prune(): Promise<void> {
    const { plain, facts, space, index, evictor, remade } = this.#store;
    const isStored = async (digest: Digest): Promise<boolean> =>
      (await plain.open(digest)) !== undefined;
    const { signal } = this.#abort;
    const before = Date.now() - FACTS_KEPT_FOR;
    const { begun } = remade;
    await pruneIndex({
      index,
      courtesy: new Courtesy(SHARE),
      inUse: (digest) => this.#inUse(digest) || evictor.isGoing(digest),
      before,
      isWhole: () => remade.begun === begun && remade.whole === begun,
      signal,
    });
    await facts.prune(isStored, { before, signal });
    await index.shrink();
    await space.measure();
  }

  async #tend(): Promise<void> {
    const { index, space, evictor, bounds, steward } = this.#store;
    const began = performance.now();
    let [aged, thorough, counted, pruned] = [0, began, began, began];
    while (await this.#pause(LOOK_EVERY)) {
      const now = performance.now();
      await this.#guarded("evicting", async () => {
        await space.measure();
        if (space.isTight()) await evictor.sweep();
        if (now - aged > AGE_EVERY) {
          aged = now;
          await bounds.enforce({ isThorough: now - thorough > THOROUGH_EVERY });
          if (now - thorough > THOROUGH_EVERY) thorough = now;
        }
        if (now - counted > COUNT_EVERY) {
          counted = now;
          await index.contents.notAfter(Date.now());
          await steward.recount();
          await index.shrink();
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
    const { plain } = this.#store;
    const { signal } = this.#abort;
    do {
      await this.#guarded("verifying", async () => {
        let read = 0;
        const { files, corrupt } = await inspect({
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
    await this.#store.steward.setAside(digest);
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
