import type { Digest } from "../../oci/digest.ts";
import {
  DELETION_MS,
  type Fence,
  GRACE_MS,
  KEPT_MS,
  type ListedObject,
  type Mark,
  MAX_OBJECTS,
  type ObjectCount,
  type ObjectLedger,
  type ObjectTotals,
  type Progress,
  type StoredObject,
  type Task,
  USE_STEP_MS,
} from "./object-ledger.ts";

interface Row {
  readonly digest: Digest;
  size: number;
  stored: number;
  used: number;
  goingSince?: number | undefined;
  deletion?: { readonly since: number; readonly fence: Fence } | undefined;
  keptUntil?: number | undefined;
}

const LISTED_AFTER_MS = 3_600_000;

/** An `ObjectLedger` in memory, for tests. */
export class MemoryObjectLedger implements ObjectLedger {
  readonly #now: () => number;
  readonly #rows = new Map<Digest, Row>();
  readonly #progress = new Map<string, { done?: number; position?: string }>();
  #horizon = -Infinity;
  #fence = 0;
  /** Of whoever leads. */
  #leader: Fence | undefined;

  /** @param now in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Makes somebody the leader. */
  lead(): Fence {
    this.#leader = this.#nextFence();
    return this.#leader;
  }

  clear(): void {
    this.#rows.clear();
    this.#progress.clear();
    this.#horizon = -Infinity;
  }

  #nextFence(): Fence {
    this.#fence += 1;
    // Only this method makes fences.
    return this.#fence as Fence;
  }

  async claim(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const rows = this.#find(digests);
    for (const row of rows) {
      if (row.deletion || row.goingSince === undefined) continue;
      row.goingSince = undefined;
      row.used = this.#now();
    }
    return new Set(rows.filter((row) => row.deletion).map(({ digest }) => digest));
  }

  async stored(objects: readonly StoredObject[]): Promise<void> {
    for (const { digest, size, storedAgo, usedAgo = storedAgo } of objects) {
      const row = this.#rows.get(digest);
      const stored = this.#now() - Math.max(0, storedAgo);
      const used = this.#now() - Math.max(0, Math.min(storedAgo, usedAgo));
      if (!row) this.#rows.set(digest, { digest, size, stored, used });
      else if (!row.deletion) {
        row.size = size;
        row.stored = Math.max(row.stored, stored);
        row.used = Math.max(row.used, used);
        row.goingSince = undefined;
      }
    }
  }

  async lost(seenAgo: ReadonlyMap<Digest, number>): Promise<void> {
    for (const { digest, deletion, stored } of this.#find([...seenAgo.keys()])) {
      const seen = this.#now() - (seenAgo.get(digest) ?? 0);
      if (!deletion && stored < seen) this.#rows.delete(digest);
    }
  }

  async used(ages: ReadonlyMap<Digest, number>): Promise<void> {
    for (const row of this.#find([...ages.keys()])) {
      const used = this.#now() - Math.max(0, ages.get(row.digest) ?? 0);
      const step = row.goingSince === undefined ? USE_STEP_MS : 0;
      if (row.deletion || row.used >= used - step) continue;
      row.used = used;
      row.goingSince = undefined;
    }
  }

  async wanted(ages: ReadonlyMap<Digest, number>): Promise<ReadonlySet<Digest>> {
    const isWanted = ([digest, age]: readonly [Digest, number]): boolean =>
      !this.#rows.has(digest) && this.#now() - age > this.#horizon;
    return new Set([...ages].filter(isWanted).map(([digest]) => digest));
  }

  async staying(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const staying = this.#find(digests).filter(({ goingSince }) => goingSince === undefined);
    return new Set(staying.map(({ digest }) => digest));
  }

  async keep(digests: readonly Digest[]): Promise<void> {
    for (const row of this.#find(digests)) {
      if (row.deletion) continue;
      row.keptUntil = this.#now() + KEPT_MS;
      row.goingSince = undefined;
    }
  }

  async release(digests: readonly Digest[]): Promise<void> {
    for (const row of this.#find(digests)) row.keptUntil = undefined;
  }

  async totals(): Promise<ObjectTotals> {
    const rows = [...this.#rows.values()];
    return {
      here: counted(rows.filter(({ goingSince }) => goingSince === undefined)),
      going: counted(rows.filter(({ goingSince }) => goingSince !== undefined)),
    };
  }

  async known(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    return new Set(this.#find(digests).map(({ digest }) => digest));
  }

  async page(limit: number, last: string = ""): Promise<ListedObject[]> {
    const rows = this.#sorted().filter(({ digest }) => digest > last);
    return rows.slice(0, limit).map((row) => ({
      digest: row.digest,
      size: row.size,
      storedAgo: this.#now() - row.stored,
      usedAgo: this.#now() - row.used,
      state: row.deletion ? "deleting" : row.goingSince === undefined ? "here" : "going",
      isKept: row.keptUntil !== undefined,
    }));
  }

  async markLeastRecentlyUsed({ above, limit }: Mark): Promise<ObjectCount> {
    const marked = (await this.#excess(above)).slice(0, limit);
    for (const row of marked) {
      row.goingSince = this.#now();
      this.#horizon = Math.max(this.#horizon, Math.min(row.used, this.#now()));
    }
    return counted(marked);
  }

  async countLeastRecentlyUsed(above: number): Promise<ObjectCount> {
    return counted(await this.#excess(above));
  }

  async #excess(above: number): Promise<Row[]> {
    let { bytes } = (await this.totals()).here;
    const byUse = (one: Row, other: Row): number =>
      one.used - other.used || (one.digest < other.digest ? -1 : 1);
    const evictable = this.#sorted()
      .filter((row) => row.goingSince === undefined && row.keptUntil === undefined)
      .toSorted(byUse);
    return evictable.filter(({ size }) => {
      const isMarked = bytes > above;
      if (isMarked) bytes -= size;
      return isMarked;
    });
  }

  async takeGoing(fence: Fence, limit: number, graceMs = GRACE_MS): Promise<Digest[]> {
    if (fence !== this.#leader) return [];
    const now = this.#now();
    const due = [...this.#rows.values()].filter(
      ({ goingSince = Infinity, deletion }) =>
        goingSince <= now - graceMs && (!deletion || deletion.since < now - DELETION_MS),
    );
    return this.#take(due.slice(0, limit), fence);
  }

  async takeCorrupt(
    digests: readonly Digest[],
  ): Promise<{ readonly fence: Fence; readonly taken: Digest[] }> {
    const fence = this.#nextFence();
    const free = this.#find(digests).filter(
      ({ deletion }) => !deletion || deletion.since < this.#now() - DELETION_MS,
    );
    return { fence, taken: this.#take(free, fence) };
  }

  #take(rows: readonly Row[], fence: Fence): Digest[] {
    for (const row of rows) {
      row.goingSince ??= this.#now();
      row.deletion = { since: this.#now(), fence };
    }
    return rows.map(({ digest }) => digest);
  }

  async deleted(fence: Fence, digests: readonly Digest[]): Promise<ObjectCount> {
    const gone = this.#find(digests).filter(({ deletion }) => deletion?.fence === fence);
    for (const { digest } of gone) this.#rows.delete(digest);
    return counted(gone);
  }

  async refused(fence: Fence, digests: readonly Digest[]): Promise<void> {
    for (const row of this.#find(digests)) {
      if (row.deletion?.fence !== fence) continue;
      row.deletion = undefined;
      row.goingSince = undefined;
      row.keptUntil = this.#now() + KEPT_MS;
    }
  }

  async overdue(): Promise<number> {
    const oldest = Math.min(...this.#rows.values().map((row) => row.goingSince ?? Infinity));
    return Math.max(0, this.#now() - oldest - GRACE_MS);
  }

  async adopt(objects: readonly StoredObject[]): Promise<number> {
    const unknown = new Map(
      objects
        .filter(({ digest }) => !this.#rows.has(digest))
        .map((object) => [object.digest, object]),
    );
    await this.stored([...unknown.values()]);
    return unknown.size;
  }

  async unlisted(
    after: Digest | undefined,
    until: Digest | undefined,
    listed: readonly Digest[],
  ): Promise<Digest[]> {
    return this.#sorted()
      .filter(
        ({ digest, stored, deletion }) =>
          digest > (after ?? "") &&
          (until === undefined || digest <= until) &&
          !listed.includes(digest) &&
          !deletion &&
          stored < this.#now() - LISTED_AFTER_MS,
      )
      .slice(0, MAX_OBJECTS)
      .map(({ digest }) => digest);
  }

  async tidy(): Promise<void> {
    const now = this.#now();
    for (const row of this.#rows.values()) {
      if ((row.keptUntil ?? Infinity) < now) row.keptUntil = undefined;
      row.used = Math.min(row.used, now);
      row.stored = Math.min(row.stored, now);
    }
  }

  async recount(): Promise<void> {}

  async forgetHorizon(): Promise<void> {
    this.#horizon = -Infinity;
  }

  async progress(task: Task): Promise<Progress> {
    const { done, position } = this.#progress.get(task) ?? {};
    return { doneAgo: done === undefined ? undefined : this.#now() - done, position };
  }

  async advance(task: Task, position?: string): Promise<void> {
    const before = this.#progress.get(task) ?? {};
    const { done } = before;
    const now = position === undefined ? { done: this.#now() } : { position };
    this.#progress.set(task, { ...(done === undefined ? {} : { done }), ...now });
  }

  #find(digests: readonly Digest[]): Row[] {
    return [...new Set(digests)].flatMap((digest) => this.#rows.get(digest) ?? []);
  }

  #sorted(): Row[] {
    return [...this.#rows.values()].toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
  }
}

function counted(rows: readonly Row[]): ObjectCount {
  return { objects: rows.length, bytes: rows.reduce((sum, { size }) => sum + size, 0) };
}
