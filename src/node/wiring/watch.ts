import { setTimeout } from "node:timers/promises";
import { secondsText } from "../../oci/seconds-text.ts";
import { CacheClient, CacheFault } from "../cache-client.ts";
import { DriftWatch } from "./drift.ts";
import { switchGenerated } from "./generated-files.ts";
import type { JournalDocument, JournalEntry } from "../journal.ts";
import {
  JournalError,
  fromStored,
  hostsFilesWithoutCache,
  isUnmodified,
  isWithoutCache,
} from "../journal.ts";
import { NamespaceFollower } from "./follow-namespaces.ts";
import { LockedError } from "../files/lock.ts";
import { FilesFault } from "../files/node-files.ts";
import { sameState } from "../plan.ts";
import { reloadMirrors } from "./reload.ts";
import { RuntimeFault } from "../runtime.ts";
import type { NodeContext } from "../node-context.ts";

export interface WatchOptions {
  readonly context: NodeContext;
  /** The cache to check instead of the one that the journal names. */
  readonly cache?: CacheClient;
  /** How long the cache may fail before it is removed from hosts.toml, in milliseconds. */
  readonly graceMs: number;
  /** Between two health checks, in milliseconds. */
  readonly intervalMs: number;
  /** Whether files of the wiring that went missing or were put back are written again. */
  readonly repair?: boolean;
  readonly signal: AbortSignal;
  readonly report: (line: string) => void;
}

const HEALTH_MS = 2_000;
/** Successful health checks in a row before the cache is added again. */
const HEALTHY_IN_A_ROW = 2;

/**
 * A circuit breaker for the cache: removes it from the mirror files of a wired node while it fails,
 * and adds it again when it is healthy. The watcher never restarts the runtime and never changes a file
 * that was modified after this tool wrote it. It leaves everything as it is when it ends, because an
 * update of the watcher must not unwire a node.
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { intervalMs, signal, report } = options;
  const watcher = new Watcher(options);
  let lastReported: string | undefined;
  while (!signal.aborted) {
    try {
      await watcher.check();
      lastReported = undefined;
    } catch (error) {
      const isExpected =
        error instanceof LockedError ||
        error instanceof JournalError ||
        error instanceof FilesFault ||
        error instanceof RuntimeFault;
      if (!isExpected) throw error;
      // An error that lasts is reported once, and not at every check.
      if (error.message !== lastReported) report(error.message);
      lastReported = error.message;
    }
    // An aborted sleep ends the loop.
    await setTimeout(intervalMs, undefined, { signal }).catch(() => {});
  }
  report(watcher.lastWords());
}

class Watcher {
  readonly #options: WatchOptions;
  #cache: CacheClient | undefined;
  #failingSince: number | undefined;
  #healthyInARow = 0;
  readonly #follower: NamespaceFollower;
  /** The form of the files that the runtime has loaded, as far as this watcher knows. */
  #loaded: "wired" | "withoutCache" | undefined;
  readonly #reported = new Set<string>();
  readonly #drift: DriftWatch;
  #isTidy = false;
  /** Whether the cache was removed, although the journal could not be written. */
  #isBypassed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#drift = new DriftWatch(options);
    const { context, report } = options;
    const reportOnce = (line: string): void => this.#reportOnce(line);
    this.#follower = new NamespaceFollower({ context, report, reportOnce });
  }

  async check(): Promise<void> {
    const { context, graceMs, report } = this.#options;
    await this.#removeLeftovers();
    const journal = this.#readJournal();
    if (journal === undefined) {
      this.#reportOnce("this node is not wired: run entrepot node apply");
      return;
    }
    if (journal.unfinished) {
      // A run in progress holds the lock and takes care of the node, so that LockedError ends the check.
      const interrupted = await context.withLock(() => context.journal.read()?.unfinished);
      if (interrupted) {
        const run = interrupted === "apply" ? "an apply" : "a rollback";
        this.#reportOnce(
          `${run} was interrupted: run it again; until then a failing cache is removed and not added again`,
        );
      }
    }
    if (!journal.unfinished) this.#drift.report(journal);
    const cache = this.#cacheOf(journal);
    const startedAt = Date.now();
    const failure = await this.#probeHealth(cache);
    if (failure === undefined) {
      this.#failingSince = undefined;
      this.#healthyInARow += 1;
      if (this.#healthyInARow < HEALTHY_IN_A_ROW) return;
      if (this.#options.repair) await this.#drift.repair();
      const changed = await this.#switchTo("wired");
      if (changed > 0) {
        report(`${cache.url} is healthy again: added it to ${files(changed)}`);
      }
      if (!journal.unfinished) await this.#follower.follow(journal, cache);
      return;
    }
    this.#healthyInARow = 0;
    if (this.#failingSince === undefined) {
      this.#failingSince = startedAt;
      report(`${failure}; the cache is removed if this lasts for ${secondsText(graceMs / 1000)}`);
    }
    if (Date.now() - this.#failingSince < graceMs) return;
    const isSwitchable = Object.values(journal.files).some(({ kind }) => kind === "hosts");
    if (!isSwitchable && Object.keys(journal.generated ?? {}).length === 0) {
      this.#reportOnce(
        `${context.runtime.title} reads its mirrors when it starts: the cache stays among them, and pulls go on to the registry after it`,
      );
      return;
    }
    const changed = await this.#switchTo("withoutCache");
    if (changed > 0) {
      report(`removed ${cache.url} from ${files(changed)} until it is healthy again`);
    }
  }

  /** A watcher that was killed may have left half of a file, or a directory that it was about to remove. */
  async #removeLeftovers(): Promise<void> {
    if (this.#isTidy) return;
    const { context } = this.#options;
    await context.withLock(() => {
      for (const path of Object.keys(context.journal.read()?.files ?? {}))
        context.durable.removeTemporaryFiles(path);
    });
    this.#isTidy = true;
  }

  /** What a stopped watcher leaves. It changes nothing, because its update must not unwire a node. */
  lastWords(): string {
    const { context } = this.#options;
    let bypassed: string[] = [];
    try {
      const journal = this.#readJournal();
      bypassed = journal ? hostsFilesWithoutCache(journal, context.files) : [];
    } catch (error) {
      if (!(error instanceof JournalError || error instanceof FilesFault)) throw error;
    }
    if (bypassed.length === 0) return "stopping: the wiring stays as it is";
    return `stopping: the cache stays removed from ${files(bypassed.length)}, and pulls bypass it until a watcher or entrepot node apply adds it again`;
  }

  /** The cache that the node is currently wired to: an apply may change it at any time. */
  #cacheOf({ desired }: JournalDocument): CacheClient {
    const { cache: named } = this.#options;
    if (named) return named;
    const former = this.#cache;
    if (former?.url === desired.cache && former.ca === desired.cacheCa) return former;
    if (former) this.#options.report(`the node is now wired to ${desired.cache}: watching it`);
    const cache = new CacheClient(desired.cache, desired.cacheCa);
    this.#cache = cache;
    this.#failingSince = undefined;
    this.#healthyInARow = 0;
    return cache;
  }

  /** Undefined if the cache is healthy, and otherwise what is wrong with it. */
  async #probeHealth(cache: CacheClient): Promise<string | undefined> {
    try {
      // A single check of a cache that hangs must not use up the grace period.
      await cache.health(Math.min(HEALTH_MS, Math.max(500, this.#options.graceMs / 4)));
      return undefined;
    } catch (error) {
      if (!(error instanceof CacheFault)) throw error;
      return error.message;
    }
  }

  /**
   * Writes every mirror file of this tool with or without the cache. Both forms are in the journal.
   * Returns the number of files that changed.
   */
  #switchTo(to: "wired" | "withoutCache"): Promise<number> {
    const { context } = this.#options;
    return context.withLock(async () => {
      const changed = this.#switchLocked(to);
      // Once even if nothing changed: an earlier watcher may have been killed before the runtime knew.
      if (changed > 0 || this.#loaded !== to) {
        await reloadMirrors(context);
        this.#loaded = to;
      }
      return changed;
    });
  }

  #switchLocked(to: "wired" | "withoutCache"): number {
    const { context } = this.#options;
    const journal = this.#readJournal();
    if (journal === undefined || (journal.unfinished && to === "wired")) return 0;
    const due: (readonly [path: string, entry: JournalEntry])[] = [];
    for (const [path, entry] of Object.entries(journal.files)) {
      const wired = fromStored(entry.wired);
      if (entry.kind !== "hosts" || sameState(wired, fromStored(entry.withoutCache))) continue;
      const current = context.files.read(path);
      if (sameState(current, fromStored(entry[to]))) continue;
      // Only what this watcher, or an earlier one, removed is added again.
      if (to === "wired" && !isWithoutCache(journal, entry, current)) continue;
      // A file that an interrupted run had not written yet is still as it was before that run.
      if (journal.unfinished && !sameState(current, wired)) continue;
      if (isUnmodified(entry, current)) due.push([path, entry]);
      else this.#reportOnce(`${path} was modified after entrepot wrote it: it is left as it is`);
    }
    if (due.length > 0 && to === "withoutCache") this.#recordBypass({ ...journal, bypassed: true });
    for (const [path, entry] of due) {
      const next = fromStored(entry[to]);
      // A leftover of a killed watcher would prevent the removal of the file's directory.
      context.durable.removeTemporaryFiles(path);
      if (next) context.durable.write(path, next);
      else context.durable.remove(path, entry.madeDirectory);
    }
    if (journal.bypassed && to === "wired") this.#recordBypass({ ...journal, bypassed: false });
    const generated = switchGenerated(context, journal, to);
    for (const path of generated.others) {
      const title = context.runtime.title;
      this.#reportOnce(`${path} was made anew by ${title}, or edited: it is left as it is`);
    }
    return due.length + generated.changed;
  }

  #readJournal(): JournalDocument | undefined {
    const journal = this.#options.context.journal.read();
    return journal && this.#isBypassed ? { ...journal, bypassed: true } : journal;
  }

  /** A journal that cannot be written must not keep the node on a failing cache. */
  #recordBypass({ bypassed, ...journal }: JournalDocument): void {
    this.#isBypassed = false;
    try {
      this.#options.context.journal.write(bypassed ? { ...journal, bypassed } : journal);
    } catch (error) {
      if (!(error instanceof FilesFault)) throw error;
      this.#isBypassed = bypassed === true;
      this.#reportOnce(`the journal cannot be written: ${error.message}`);
    }
  }

  #reportOnce(line: string): void {
    if (this.#reported.has(line)) return;
    this.#reported.add(line);
    this.#options.report(line);
  }
}

function files(count: number): string {
  return count === 1 ? "1 file" : `${count} files`;
}
