import { LRUCache } from "lru-cache";
import type { UpstreamSettings } from "../config/settings.ts";
import type { Fault } from "../oci/fault.ts";
import { ANONYMOUS } from "./auth/keyring.ts";
import { type CircuitState, type Failure, CircuitBreaker } from "./health/circuit-breaker.ts";
import { RecoveryProbe } from "./health/recovery-probe.ts";
import { SkippedQuestions } from "./health/skipped-questions.ts";
import type { Budget, RateLimitKind } from "./health/budget.ts";
import { RateLimits } from "./health/rate-limits.ts";
import type { Rest } from "./health/rest.ts";
import type { PooledLimits } from "./health/pooled-limits.ts";
import type { RequestKind, UpstreamObserver } from "./observer.ts";

/** Hosts that an upstream redirects to whose health is remembered. */
const MAX_TARGETS = 32;

/** How long a request waits for the first probe of a host that has just failed, in milliseconds. */
const MAX_VERDICT_WAIT = 500;

/** Sends one cheap request, and returns the status of whatever answers. */
export type Probe = (settings: UpstreamSettings, url: URL) => Promise<number>;

/** One address of an upstream: a mirror's or the registry's own. */
export interface Host {
  /** The upstream's settings with this host's URL, and for a mirror without credentials. */
  readonly settings: UpstreamSettings;
  readonly isMirror: boolean;
  /** Whether the URL's path replaces `/v2`, as containerd's `override_path`. */
  readonly overridePath: boolean;
  /** Whether it may resolve tags, as containerd's `resolve` capability. */
  readonly canResolve: boolean;
  /** For manifests and lists. */
  readonly metadataCircuit: CircuitBreaker;
  /** For blobs: another host often serves them, and its failures say nothing about manifests. */
  readonly blobCircuit: CircuitBreaker;
  /** By origin, of the hosts that it redirects to: one that is down says nothing of the others. */
  readonly targetCircuits: LRUCache<string, CircuitBreaker>;
  /** For a mirror: what the next host is asked instead. */
  readonly skipped: SkippedQuestions;
  readonly limits: RateLimits;
}

/** A host's state, for `entrepot status` and metrics. */
export interface HostStatus {
  readonly url: string;
  readonly isMirror: boolean;
  readonly circuit: CircuitState;
  /** Why it gets no requests, or what failed since its last response. */
  readonly reason?: string;
  /** When it began to fail, in milliseconds of the epoch. */
  readonly since?: number;
  /** Of the last request, even if it says nothing of the others; absent if that was answered. */
  readonly unanswered?: Failure;
  /** The last failure ever, even if there were responses after it. */
  readonly lastFailure?: Failure;
  readonly budget?: Budget;
  /** Milliseconds until all of the budget is there again. */
  readonly budgetResetsIn?: number;
  /** Seconds until it gets requests again after a 429. */
  readonly retryAfter?: number;
}

export interface HostsOptions {
  readonly probe: Probe;
  readonly circuit?: CircuitBreaker | undefined;
  readonly pooled?: PooledLimits | undefined;
}

/** An upstream's hosts in the order in which they are tried: its mirrors, then the registry itself. */
export class Hosts {
  #health = new Map<string, HostHealth>();
  readonly #probe: Probe;
  readonly #pooled: PooledLimits | undefined;
  #hosts: readonly Host[] = [];

  constructor(settings: UpstreamSettings, { probe, circuit, pooled }: HostsOptions) {
    this.#probe = probe;
    this.#pooled = pooled;
    if (circuit) {
      const health = this.#newHealth(settings);
      this.#health.set(settings.url.href, { ...health, metadataCircuit: circuit });
    }
    this.configure(settings);
  }

  /** Applies changed settings. A host keeps its health if it is reached by the same route as before. */
  configure(settings: UpstreamSettings): void {
    const { mirrors = [], client: _, credentials: __, ...rest } = settings;
    const before = this.#health;
    this.#health = new Map();
    const host = (
      view: UpstreamSettings,
      capabilities: Pick<Host, "overridePath" | "canResolve">,
    ): Host => {
      const known = this.#health.get(view.url.href) ?? before.get(view.url.href);
      const { route: _route, ...health } = this.#healthOf(view, known);
      return { settings: view, isMirror: view !== settings, ...capabilities, ...health };
    };
    // Credentials and client certificates are for the registry: a mirror has another operator.
    const hosts = mirrors.map(({ url, allowPrivate, overridePath, resolve, ca = rest.ca }) => {
      const view = { ...rest, url, allowPrivate, ...(ca === undefined ? {} : { ca }) };
      return host(view, { overridePath, canResolve: resolve });
    });
    this.#hosts = [...hosts, host(settings, { overridePath: false, canResolve: true })];
  }

  get all(): readonly Host[] {
    return this.#hosts;
  }

  /** Whether cached content is better served without a request: see `Registry.isUnhealthy`. */
  isUnhealthy(account: string): boolean {
    return this.#hosts.every(
      ({ metadataCircuit, limits, isMirror }) =>
        metadataCircuit.isUnhealthy() || limits.shouldBackOff(isMirror ? ANONYMOUS : account),
    );
  }

  /** Whether the registry itself fails and limits nothing, and neither does where it redirects to. */
  isAtEase(account: string): boolean {
    const registry = this.#hosts.at(-1);
    if (!registry) return false;
    const areClosed = circuitsOf(registry).every(({ state }) => state === "closed");
    return areClosed && registry.limits.isQuiet(account);
  }

  /** Why the registry itself should be left alone by what no client waits for; `undefined` if it need not be. */
  rest(account: string): Rest | undefined {
    const registry = this.#hosts.at(-1);
    if (!registry) return undefined;
    const { metadataCircuit, blobCircuit, limits } = registry;
    const failing = [metadataCircuit, blobCircuit].find(({ coolDownLeft }) => coolDownLeft > 0);
    if (!failing) return limits.rest(account);
    return { reason: "failing", left: failing.coolDownLeft, fault: failing.fault };
  }

  /** The last failure of the registry itself since its last response. */
  get fault(): Fault | undefined {
    return this.#hosts.at(-1)?.metadataCircuit.fault;
  }

  /** What they failed with was no failure of their own: all get requests again at once. */
  forgetFailures(): void {
    for (const circuit of this.#hosts.flatMap(circuitsOf)) circuit.succeeded();
  }

  status(upstreamAccount: string): HostStatus[] {
    return this.#hosts.map((host) => {
      const { settings, metadataCircuit, limits, isMirror } = host;
      const blobCircuit = worstForBlobs(host);
      const circuits = circuitsOf(host);
      const account = isMirror ? ANONYMOUS : upstreamAccount;
      const rateLimited = limits.fault(account, "metadata");
      const failsForBlobs = metadataCircuit.state === "closed" && blobCircuit.fault !== undefined;
      const circuit = failsForBlobs ? blobCircuit : metadataCircuit;
      const prefix = failsForBlobs ? "requests for blobs fail: " : "";
      const reason = circuit.fault ? `${prefix}${circuit.fault.message}` : rateLimited?.message;
      const lastFailure = latest(circuits.map((one) => one.lastFailure));
      const unanswered = latest(circuits.map((one) => one.unanswered));
      const budget = limits.budget(account);
      const budgetResetsIn = limits.budgetResetsIn(account);
      return {
        url: settings.url.href,
        isMirror,
        circuit: circuit.state,
        ...(reason === undefined ? {} : { reason }),
        ...(circuit.since === undefined ? {} : { since: circuit.since }),
        ...(unanswered ? { unanswered } : {}),
        ...(lastFailure ? { lastFailure } : {}),
        ...(budget ? { budget } : {}),
        ...(budgetResetsIn === undefined ? {} : { budgetResetsIn }),
        ...(rateLimited?.detail.kind === "upstream-rate-limited"
          ? { retryAfter: rateLimited.detail.retryAfter }
          : {}),
      };
    });
  }

  #healthOf(settings: UpstreamSettings, before: HostHealth | undefined): HostHealth {
    const route = routeKey(settings);
    // Failures belong to the route, and another one may work. Rate limits belong to the host.
    const health =
      before?.route === route
        ? before
        : { ...this.#newHealth(settings), ...(before ? { limits: before.limits } : {}) };
    this.#health.set(settings.url.href, health);
    return health;
  }

  #newHealth(settings: UpstreamSettings): HostHealth {
    const ping = new URL(settings.url);
    ping.pathname = `${ping.pathname.replace(/\/+$/, "")}/v2/`;
    return {
      metadataCircuit: this.#newCircuit(settings, ping),
      blobCircuit: this.#newCircuit(settings, ping),
      targetCircuits: new LRUCache({
        max: MAX_TARGETS,
        memoMethod: (origin) => this.#newCircuit(settings, new URL(origin)),
      }),
      skipped: new SkippedQuestions(),
      limits: new RateLimits({
        upstream: settings.name,
        host: settings.url.href,
        pooled: this.#pooled,
      }),
      route: routeKey(settings),
    };
  }

  #newCircuit(settings: UpstreamSettings, at: URL): CircuitBreaker {
    const circuit: CircuitBreaker = new CircuitBreaker({
      onWanted: () => recovery.wanted(),
      verdict: () => recovery.verdict,
    });
    const recovery = new RecoveryProbe({
      isUseful: () => circuit.isProbeUseful,
      probe: async () => circuit.probed(await this.#probe(settings, at)),
    });
    return circuit;
  }
}

/** What is kept of a host, by its URL, when settings change. */
interface HostHealth extends Omit<Host, "settings" | "isMirror" | "overridePath" | "canResolve"> {
  readonly route: string;
}

/** A key of the settings that determine whether a host is reachable. */
function routeKey({ allowPrivate, proxy, ca, client }: UpstreamSettings): string {
  return JSON.stringify([allowPrivate, proxy, ca, client]);
}

function latest(failures: readonly (Failure | undefined)[]): Failure | undefined {
  return failures.reduce(
    (one, other) => (one && other && one.at >= other.at ? one : (other ?? one)),
    undefined,
  );
}

function circuitsOf({ metadataCircuit, blobCircuit, targetCircuits }: Host): CircuitBreaker[] {
  return [metadataCircuit, blobCircuit, ...targetCircuits.values()];
}

/** Of a host's own circuit for blobs and those of the hosts it redirects to: one that fails, if any. */
function worstForBlobs({ blobCircuit, targetCircuits }: Host): CircuitBreaker {
  const all = [blobCircuit, ...targetCircuits.values()];
  return (
    all.find(({ state }) => state !== "closed") ?? all.find(({ fault }) => fault) ?? blobCircuit
  );
}

/** The circuit breaker for requests of a kind. */
export function circuitFor(
  { metadataCircuit, blobCircuit }: Host,
  kind: RequestKind,
): CircuitBreaker {
  return kind === "blob" ? blobCircuit : metadataCircuit;
}

export function rateLimitKind(kind: RequestKind): RateLimitKind {
  if (kind === "blob") return "blob";
  return kind === "manifest" ? "metadata" : "list";
}

/**
 * Why a host gets no request of this kind now; `undefined` if it is admitted. Failures of one endpoint can
 * look like those of the host, so a circuit that has just opened waits for what its first probe says.
 */
export async function blockedBy(
  host: Host,
  account: string,
  kind: RequestKind,
): Promise<Fault | undefined> {
  const rateLimited = host.limits.fault(host.isMirror ? ANONYMOUS : account, rateLimitKind(kind));
  if (rateLimited) return rateLimited;
  const circuit = circuitFor(host, kind);
  const fault = circuit.admit();
  const { verdict } = circuit;
  if (!fault || !verdict || host.isMirror) return fault;
  await Promise.race([verdict, Bun.sleep(MAX_VERDICT_WAIT)]);
  return circuit.admit();
}

/**
 * Reports that a host sent something other than what was requested. A mirror is ejected. The registry
 * itself is not: there is no other host to ask.
 *
 * @returns whether other hosts are used from now on
 */
export function reportCorrupt(host: Host, fault: Fault, observe?: UpstreamObserver): boolean {
  if (!host.isMirror) return false;
  const { name: upstream, url } = host.settings;
  const isNew = [host.metadataCircuit, host.blobCircuit]
    .map((circuit) => circuit.eject(fault))
    .includes(true);
  if (isNew) {
    observe?.({ type: "ejected", upstream, mirror: url.href, reason: fault.message });
  }
  return true;
}
