import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { type Node, type WiringReport, wiringReportSchema } from "../../api/nodes.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { History, NodeRecord } from "../../store/history-store.ts";
import type { ServedRequest } from "../served-request.ts";
import { parseUserAgent } from "./user-agent.ts";

/** The least recently seen ones are forgotten. */
const MAX_NODES = 5000;
const MAX_USER_AGENT = 400;
/** How much later than others a request may be told of, in milliseconds. */
const LATE_MS = 60_000;

interface Entry {
  readonly address: string;
  userAgent: string;
  pulledAt: number;
  requests: number;
  name: string | undefined;
  report: WiringReport | undefined;
  isChanged: boolean;
}

/** Who pulls, by address: with what, and since when it is wired, as it told itself. */
export class KnownNodes {
  readonly #nodes = new LRUCache<string, Entry>(growingTo(MAX_NODES));
  readonly #listeners: ((node: Node) => void)[] = [];
  readonly #now: () => number;

  /** @param now the current time, in milliseconds of the epoch */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Remembers those of earlier processes, as far as none of them has been seen since. */
  async load(history: Pick<History, "nodes">): Promise<void> {
    const records = await history.nodes(MAX_NODES);
    const yielder = new EventLoopYielder();
    for (const { address, userAgent, pulledAt, report } of records.toReversed()) {
      await yielder.pause();
      const known = this.#nodes.get(address);
      const told = report === undefined ? undefined : parseReport(report);
      if (known) {
        known.name ??= told?.name;
        known.report ??= told?.wired;
        continue;
      }
      this.#nodes.set(address, {
        address,
        userAgent,
        pulledAt,
        requests: 0,
        name: told?.name,
        report: told?.wired,
        isChanged: false,
      });
    }
  }

  add(requests: readonly ServedRequest[]): void {
    for (const { client, userAgent, at } of requests) {
      const node = this.#of(client);
      node.requests += 1;
      // Of requests at the same time, some are told late. What is later by more is of a clock that was set back.
      const isOfThisClock = node.pulledAt < at + LATE_MS;
      node.pulledAt = isOfThisClock ? Math.max(node.pulledAt, at) : at;
      node.userAgent = userAgent.length > MAX_USER_AGENT ? "" : userAgent;
      node.isChanged = true;
    }
  }

  /** Calls a listener whenever a node that was wired tells that it is so no longer. */
  onUnwired(listener: (node: Node) => void): void {
    this.#listeners.push(listener);
  }

  /** A node told of its wiring. */
  reported(address: string, name: string | undefined, wired: WiringReport): Node {
    const node = this.#of(address);
    const wasWired = isWired(node.report);
    node.name = name ?? node.name;
    const provedAt =
      wired.provedAt ?? (wired.state === "unwired" ? undefined : node.report?.provedAt);
    node.report = { ...wired, ...(provedAt === undefined ? {} : { provedAt }) };
    node.isChanged = true;
    const told = nodeOf(node, this.#now());
    if (wasWired && !isWired(wired)) for (const listener of this.#listeners) listener(told);
    return told;
  }

  /** Those that pulled last first. */
  get all(): readonly Node[] {
    const now = this.#now();
    return [...this.#nodes.values()]
      .toSorted((one, other) => lastSeen(other, now) - lastSeen(one, now))
      .map((node) => nodeOf(node, now));
  }

  get count(): number {
    return this.#nodes.size;
  }

  /** What is to be written, and what is to be called once it is. */
  changed(): { readonly records: readonly NodeRecord[]; readonly written: () => void } {
    const changed = [...this.#nodes.values()].filter(({ isChanged }) => isChanged);
    const records = changed.map(recordOf);
    return {
      records,
      written: () => {
        for (const [index, node] of changed.entries()) {
          const record = records[index];
          if (record?.pulledAt === node.pulledAt && record.report === reportText(node)) {
            node.isChanged = false;
          }
        }
      },
    };
  }

  #of(address: string): Entry {
    const known = this.#nodes.get(address);
    if (known) return known;
    const node: Entry = {
      address,
      userAgent: "",
      pulledAt: 0,
      requests: 0,
      name: undefined,
      report: undefined,
      isChanged: true,
    };
    this.#nodes.set(address, node);
    return node;
  }
}

function isWired(report: WiringReport | undefined): boolean {
  return report?.state === "proved" || report?.state === "wired";
}

function lastSeen({ pulledAt, report }: Entry, now: number): number {
  return Math.min(now, Math.max(pulledAt, report?.reportedAt ?? 0));
}

/** Nothing was seen later than now: a clock that was set back leaves such times. */
function nodeOf(
  { address, name, pulledAt, requests, userAgent, report }: Entry,
  now: number,
): Node {
  const runtime = parseUserAgent(userAgent);
  return {
    address,
    ...(name === undefined ? {} : { name }),
    ...(pulledAt === 0 ? {} : { lastPullAt: Math.min(pulledAt, now) }),
    requests,
    ...(runtime ? { runtime: runtime.name } : {}),
    ...(runtime?.version === undefined ? {} : { version: runtime.version }),
    ...(report ? { wired: report } : {}),
  };
}

function recordOf(node: Entry): NodeRecord {
  const { address, userAgent, pulledAt } = node;
  const report = reportText(node);
  return { address, userAgent, pulledAt, ...(report === undefined ? {} : { report }) };
}

function reportText({ name, report }: Entry): string | undefined {
  if (!report && name === undefined) return undefined;
  return JSON.stringify({ name, wired: report });
}

/** What this program or an earlier version wrote. */
function parseReport(
  text: string,
): { readonly name?: string | undefined; readonly wired?: WiringReport | undefined } | undefined {
  try {
    const { name, wired }: { readonly name?: unknown; readonly wired?: unknown } = JSON.parse(text);
    const parsed = wiringReportSchema.safeParse(wired);
    return {
      ...(typeof name === "string" ? { name } : {}),
      ...(parsed.success ? { wired: parsed.data } : {}),
    };
  } catch {
    return undefined;
  }
}
