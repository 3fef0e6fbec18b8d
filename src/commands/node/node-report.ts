import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Command } from "commander";
import { z } from "zod";
import type { WiringReport } from "../../api/nodes.ts";
import { problemSchema } from "../../api/problem.ts";
import { CacheClient, CacheFault } from "../../node/cache-client.ts";
import { hostsFilesWithoutCache } from "../../node/journal.ts";
import type { NodeContext } from "../../node/node-context.ts";
import { wiredNow } from "../../node/wiring/drift.ts";
import { printableLines } from "../../printable.ts";
import { version } from "../../version.ts";
import { isExpected, UsageError } from "./node-options.ts";

const TIMEOUT_MS = 5000;
const MAX_TOKEN_BYTES = 4096;
/** Longer texts are refused. */
const MAX_TEXT = 500;

export interface ReportOptions {
  readonly report?: string;
  readonly reportTokenFile?: string;
}

export function withReport(command: Command): Command {
  return command
    .option(
      "--report <url>",
      "tell the cache's admin port at this URL how this node is wired, for its list of nodes",
    )
    .option(
      "--report-token-file <file>",
      "a file with a token of the admin port; it may only read",
    );
}

/** What a command found out of a runtime by pulls; undefined if it tried none. */
export type Proof = "proven" | "unproven" | "failed" | undefined;

/** A runtime of this node, as it is after a command. */
export interface Told {
  readonly context: NodeContext;
  readonly proof?: Proof;
}

interface Wiring extends Pick<WiringReport, "state" | "how"> {
  readonly runtime: string;
  /** The cache's port for nodes. */
  readonly cache?: CacheClient;
}

/** Tells the cache how this node is wired, if that was asked for. What goes wrong is said, and fails nothing. */
export class NodeReporter {
  readonly #url: string;
  readonly #tokenFile: string | undefined;
  /** The cache's port for nodes, also after a rollback. */
  #cache: CacheClient | undefined;

  private constructor(url: string, tokenFile: string | undefined) {
    this.#url = url;
    this.#tokenFile = tokenFile;
  }

  /** @throws UsageError */
  static of({ report, reportTokenFile }: ReportOptions): NodeReporter | undefined {
    if (report === undefined) {
      if (reportTokenFile === undefined) return undefined;
      throw new UsageError(
        "--report-token-file is for --report: name the admin port's URL with it",
      );
    }
    const url = URL.parse(report);
    const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
    if (!url || !isHttp || url.username || url.password || url.search || url.pathname !== "/") {
      const what = `--report ${report} is not the URL of an admin port`;
      throw new UsageError(`${what}: write http://cache:5001, or https://cache:5001`);
    }
    return new NodeReporter(url.origin, reportTokenFile);
  }

  /** Remembers the cache that the node is wired to: a rollback forgets it. */
  begin(contexts: readonly NodeContext[]): void {
    for (const context of contexts) this.#cache ??= cacheOf(context);
  }

  async tell(runtimes: readonly Told[]): Promise<void> {
    try {
      await this.#tell(runtimes);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      process.stderr.write(
        `entrepot: ${printableLines(`not reported to ${this.#url}: ${reason}`)}\n`,
      );
    }
  }

  async #tell(runtimes: readonly Told[]): Promise<void> {
    const wirings: Wiring[] = [];
    for (const told of runtimes) {
      // What has no files of its own is passed over, as by the command itself.
      const wiring = await wiringOf(told).catch((error: unknown) => {
        if (isExpected(error)) return undefined;
        throw error;
      });
      if (wiring) wirings.push(wiring);
    }
    const cache = wirings.find((wiring) => wiring.cache)?.cache ?? this.#cache;
    if (!cache) return;
    const address = await cache.ownAddress();
    if (address === undefined) throw new CacheFault("unhealthy", `${cache.url} is too old for it`);
    const { ca } = cache;
    const response = await fetch(`${this.#url}/api/v1/nodes`, {
      method: "POST",
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { "content-type": "application/json", ...this.#authorization() },
      body: JSON.stringify(reportOf(wirings, address)),
      ...(ca === undefined ? {} : { tls: { ca } }),
    });
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok) return;
    const problem = z.union([problemSchema, z.object({ error: z.string() })]).safeParse(body).data;
    if (!problem) throw new CacheFault("unhealthy", `it responds with ${response.status}`);
    const reason = "error" in problem ? problem.error : `${problem.detail}: ${problem.next}`;
    throw new CacheFault("unhealthy", reason);
  }

  /** The file is read each time, since tokens are replaced. */
  #authorization(): Record<string, string> {
    if (this.#tokenFile === undefined) return {};
    const token = readFileSync(this.#tokenFile, "utf8").slice(0, MAX_TOKEN_BYTES).trim();
    return { authorization: `Bearer ${token}` };
  }
}

async function wiringOf({ context, proof }: Told): Promise<Wiring> {
  const runtime = context.runtime.name;
  const journal = context.ownJournal();
  if (!journal) return { runtime, state: "unwired" };
  const { desired } = journal;
  const cache = new CacheClient(desired.cache, desired.cacheCa);
  if (hostsFilesWithoutCache(journal, context.files).length > 0) {
    const how = "entrepot node watch removed the cache, which did not answer";
    return { runtime, state: "unwired", how, cache };
  }
  const { lost } = await wiredNow(context, journal);
  if (lost.length > 0 || proof === "failed") {
    const how =
      lost.length > 0 ? `not pulled through the cache: ${lost.join(", ")}` : "a proof failed";
    return { runtime, state: "drifted", how, cache };
  }
  const { length } = desired.namespaces;
  const how = length === 1 ? desired.namespaces[0] : `${length} registries`;
  return { runtime, state: proof === "proven" ? "proved" : "wired", how, cache };
}

function cacheOf(context: NodeContext): CacheClient | undefined {
  try {
    const desired = context.ownJournal()?.desired;
    return desired && new CacheClient(desired.cache, desired.cacheCa);
  } catch (error) {
    // A damaged journal is told of in the turn of its runtime.
    if (isExpected(error)) return undefined;
    throw error;
  }
}

function reportOf(wirings: readonly Wiring[], address: string): object {
  const wired = wirings.filter(({ state }) => state !== "unwired");
  const drifted = wired.filter(({ state }) => state === "drifted");
  const shown = drifted.length > 0 ? drifted : wired.length > 0 ? wired : wirings;
  const how = shown.flatMap((one) => (one.how === undefined ? [] : `${one.runtime}: ${one.how}`));
  return {
    address,
    name: hostname(),
    state: stateOf(wired),
    ...(how.length === 0 ? {} : { how: how.join("; ").slice(0, MAX_TEXT) }),
    runtimes: wired.map(({ runtime }) => runtime),
    version,
  };
}

/** Of those that are wired. */
function stateOf(wired: readonly Wiring[]): WiringReport["state"] {
  if (wired.length === 0) return "unwired";
  if (wired.some(({ state }) => state === "drifted")) return "drifted";
  return wired.every(({ state }) => state === "proved") ? "proved" : "wired";
}
