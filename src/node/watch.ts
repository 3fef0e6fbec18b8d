import { isDeepStrictEqual } from "node:util";
import { apply } from "./apply.ts";
import { CacheClient, CacheFault } from "./cache-client.ts";
import type { JournalDocument } from "./journal.ts";
import { JournalError, isOurs, restore } from "./journal.ts";
import { LockedError } from "./files/lock.ts";
import { FilesFault } from "./files/node-files.ts";
import type { DesiredState } from "./plan.ts";
import { sameState } from "./plan.ts";
import { RuntimeFault } from "./runtime.ts";
import type { NodeContext } from "./node-context.ts";

export interface WatchOptions {
  readonly context: NodeContext;
  /** What is asked in place of the cache that the journal names. */
  readonly cache?: CacheClient;
  /** How long the cache may fail before its mirrors are taken out, in milliseconds. */
  readonly graceMs: number;
  /** Between two looks, in milliseconds. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

const HEALTH_MS = 2_000;
/** Between two attempts to follow the cache's list of namespaces after one that failed. */
const RETRY_MS = 60_000;
/** Good answers in a row before the mirrors come back. */
const WELL = 2;

/**
 * Keeps a wired node wired while its cache is well, and takes the cache out of the mirrors while it
 * is not. It never restarts containerd and never touches a file that is not as this tool left it. At
 * its end it leaves all as it is: an update of the watcher must not unwire a node.
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { intervalMs, signal, say } = options;
  const watcher = new Watcher(options);
  let told: string | undefined;
  while (!signal.aborted) {
    try {
      await watcher.look();
      told = undefined;
    } catch (error) {
      const isExpected =
        error instanceof LockedError ||
        error instanceof JournalError ||
        error instanceof FilesFault ||
        error instanceof RuntimeFault;
      if (!isExpected) throw error;
      // Once, and not at every look for as long as it lasts.
      if (error.message !== told) say(error.message);
      told = error.message;
    }
    await sleep(intervalMs, signal);
  }
}

class Watcher {
  readonly #options: WatchOptions;
  #cache: CacheClient | undefined;
  #failingSince: number | undefined;
  #wellInARow = 0;
  #retryAt = 0;
  readonly #told = new Set<string>();

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  async look(): Promise<void> {
    const { context, graceMs, say } = this.#options;
    const journal = context.journal.read();
    if (journal === undefined) {
      this.#once("nothing is wired here: entrepot node apply does that");
      return;
    }
    if (journal.unfinished) {
      // A run that is at work holds the lock, and looks after the node itself.
      const left = await context.exclusively(() => context.journal.read()?.unfinished);
      if (left) {
        const what = `${left === "apply" ? "an apply" : "a rollback"} was cut short: run it again`;
        this.#once(`${what}; until then a cache that fails is taken out, and does not come back`);
      }
    }
    const cache = this.#cacheOf(journal);
    const begun = Date.now();
    const failure = await this.#failure(cache);
    if (failure === undefined) {
      this.#failingSince = undefined;
      this.#wellInARow += 1;
      if (this.#wellInARow < WELL) return;
      const changed = await this.#turn("wired");
      if (changed > 0) say(`${cache.url} is well again: ${changed} mirrors are back`);
      if (!journal.unfinished) await this.#follow(journal, cache);
      return;
    }
    this.#wellInARow = 0;
    if (this.#failingSince === undefined) {
      this.#failingSince = begun;
      say(`${failure}; its mirrors are taken out if this lasts for ${graceMs / 1000} s`);
    }
    if (Date.now() - this.#failingSince < graceMs) return;
    const changed = await this.#turn("out");
    if (changed > 0) say(`${changed} mirrors of ${cache.url} are taken out until it is well`);
  }

  /** The cache that the node is wired to by now: an apply to another one may come at any time. */
  #cacheOf({ wish }: JournalDocument): CacheClient {
    const { cache: named } = this.#options;
    if (named) return named;
    const former = this.#cache;
    if (former?.url === wish.cache && former.ca === wish.cacheCa) return former;
    if (former) this.#options.say(`the node is wired to ${wish.cache} now: watching that`);
    const cache = new CacheClient(wish.cache, wish.cacheCa);
    this.#cache = cache;
    this.#failingSince = undefined;
    this.#wellInARow = 0;
    return cache;
  }

  async #failure(cache: CacheClient): Promise<string | undefined> {
    try {
      // A cache that hangs must not use the grace up in a single look.
      await cache.health(Math.min(HEALTH_MS, Math.max(500, this.#options.graceMs / 4)));
      return undefined;
    } catch (error) {
      if (!(error instanceof CacheFault)) throw error;
      return error.message;
    }
  }

  /** Writes every hosts.toml of ours in one of its two forms; both are in the journal already. */
  #turn(to: "wired" | "out"): Promise<number> {
    return this.#options.context.exclusively(() => this.#turnAlone(to));
  }

  #turnAlone(to: "wired" | "out"): number {
    const { context } = this.#options;
    const journal = context.journal.read();
    if (journal === undefined || (journal.unfinished && to === "wired")) return 0;
    let changed = 0;
    for (const [path, entry] of Object.entries(journal.files)) {
      const wanted = restore(entry[to]);
      if (entry.kind !== "hosts" || sameState(restore(entry.wired), restore(entry.out))) continue;
      const current = context.files.read(path);
      if (sameState(current, wanted)) continue;
      // Of a run that was cut short, what it had not written yet is as it was before.
      if (journal.unfinished && !sameState(current, restore(entry.wired))) continue;
      if (!isOurs(entry, current)) {
        this.#once(`${path} was changed by somebody else: it is left as it is`);
        continue;
      }
      // What a watcher that was killed left would keep the directory from going with its file.
      context.durable.tidy(path);
      if (wanted) context.durable.write(path, wanted);
      else context.durable.remove(path, entry.madeDirectory);
      changed += 1;
    }
    return changed;
  }

  /** Wires what the cache serves by now, where all of it was asked for. */
  async #follow(journal: JournalDocument, cache: CacheClient): Promise<void> {
    const { context, say } = this.#options;
    if (!journal.wish.all || Date.now() < this.#retryAt) return;
    const served = await cache.namespaces().catch(() => undefined);
    if (served === undefined) return;
    // A cache that lost its configuration says so too, and would unwire every node that watches it.
    if (served.length === 0 && journal.wish.namespaces.length > 0) {
      this.#once(`${cache.url} says that it serves no registry: the wiring stays as it is`);
      return;
    }
    const { all: _all, ...former } = journal.wish;
    const { cacheCa, ...rest } = former;
    const base: DesiredState = { ...rest, ...(cacheCa === undefined ? {} : { cacheCa }) };
    const kept = base.namespaces.filter((name) => served.includes(name));
    const namespaces = [...kept];
    for (const name of served.filter((it) => !kept.includes(it))) {
      const plan = await context.plan({ ...base, namespaces: [...namespaces, name] });
      const [obstacle] = plan.obstacles;
      if (obstacle) this.#once(`${name} is not wired: ${obstacle.what}`);
      else if (plan.restart !== undefined) this.#once(`${name} is not wired: it needs a restart`);
      else namespaces.push(name);
    }
    if (namespaces.join() === base.namespaces.join()) return;
    say(`${cache.url} serves ${served.join(", ")}: following`);
    const wish = { ...base, namespaces };
    // Asked under the lock: a rollback or an apply since is an operator's word, and newer than the list.
    const isMeant = (): boolean => isDeepStrictEqual(context.journal.read()?.wish, journal.wish);
    const result = await apply({
      context,
      desired: wish,
      all: true,
      cache,
      proves: false,
      probes: [],
      waitMs: 0,
      confirm: () => Promise.resolve(isMeant()),
      say,
    }).catch((error: unknown) => {
      if (!(error instanceof CacheFault)) throw error;
      return { outcome: "undone" as const, reason: error.message };
    });
    if (["applied", "nothing-to-do", "declined"].includes(result.outcome)) return;
    this.#retryAt = Date.now() + RETRY_MS;
    say(`the list could not be followed: ${"reason" in result ? result.reason : result.outcome}`);
  }

  #once(line: string): void {
    if (this.#told.has(line)) return;
    this.#told.add(line);
    this.#options.say(line);
  }
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
