import { isDeepStrictEqual } from "node:util";
import { apply } from "./apply.ts";
import type { CacheClient } from "../cache-client.ts";
import { CacheFault } from "../cache-client.ts";
import type { JournalDocument } from "../journal.ts";
import type { NodeContext } from "../node-context.ts";
import type { DesiredState } from "../plan.ts";

/** Delay after a failed attempt. */
const RETRY_MS = 60_000;

export interface FollowerOptions {
  readonly context: NodeContext;
  readonly report: (line: string) => void;
  /** Reports what is likely to be so again at the next check. */
  readonly reportOnce: (line: string) => void;
}

/** The part of a watcher that follows the cache's list of namespaces. */
export class NamespaceFollower {
  readonly #options: FollowerOptions;
  #retryAt = 0;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Wires the namespaces that the cache serves now, if the node was wired to all of them. */
  async follow(journal: JournalDocument, cache: CacheClient): Promise<void> {
    const { context, report, reportOnce } = this.#options;
    if (!journal.desired.all || Date.now() < this.#retryAt) return;
    const names = await cache.namespaces().catch(() => undefined);
    if (names === undefined) return;
    const { supported: served } = await context.runtime.support(names);
    // A cache that lost its configuration sends an empty list too, which would unwire all its nodes.
    if (served.length === 0 && journal.desired.namespaces.length > 0) {
      reportOnce(`${cache.url} serves no registry: the wiring stays as it is`);
      return;
    }
    const { all: _all, cacheCa, ...rest } = journal.desired;
    const former: DesiredState = { ...rest, ...(cacheCa === undefined ? {} : { cacheCa }) };
    const stillServed = former.namespaces.filter((name) => served.includes(name));
    const namespaces = [...stillServed];
    for (const name of served.filter((it) => !stillServed.includes(it))) {
      const plan = await context.plan({ ...former, namespaces: [...namespaces, name] });
      const [obstacle] = plan.obstacles;
      if (obstacle) reportOnce(`${name} is not wired: ${obstacle.what}`);
      else if (plan.restartReason !== undefined)
        reportOnce(`${name} is not wired, because it needs a restart: run entrepot node apply`);
      else namespaces.push(name);
    }
    if (namespaces.join() === former.namespaces.join()) return;
    report(`${cache.url} now serves ${served.join(", ")}: updating the wiring`);
    // Checked under the lock: an operator's rollback or apply in the meantime overrides the list.
    const isStillDesired = (): boolean =>
      isDeepStrictEqual(context.journal.read()?.desired, journal.desired);
    const result = await apply({
      context,
      desired: { ...former, namespaces },
      all: true,
      cache,
      shouldProbe: false,
      probeImages: [],
      waitMs: 0,
      confirm: () => Promise.resolve(isStillDesired()),
      report,
    }).catch((error: unknown) => {
      if (!(error instanceof CacheFault)) throw error;
      return { outcome: "reverted" as const, reason: error.message };
    });
    if (["applied", "nothing-to-do", "declined"].includes(result.outcome)) return;
    this.#retryAt = Date.now() + RETRY_MS;
    const reason = "reason" in result ? result.reason : result.outcome;
    report(`the wiring could not be updated: ${reason}`);
  }
}
