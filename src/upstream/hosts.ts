import type { UpstreamSettings } from "../config/settings.ts";
import type { Fault } from "../oci/fault.ts";
import { type CircuitState, type Failure, CircuitBreaker } from "./health/circuit-breaker.ts";
import { type Budget, type LimitKind, RateLimits } from "./health/rate-limits.ts";
import type { RequestKind, UpstreamObserver } from "./observer.ts";

/** One address of an upstream: a mirror's or its own. */
export interface Host {
  /** The upstream's settings as they are for this address. */
  readonly settings: UpstreamSettings;
  readonly isMirror: boolean;
  /** Whether its path takes the place of `/v2`. */
  readonly overridePath: boolean;
  /** Whether it is asked where tags point to. */
  readonly resolves: boolean;
  /** As it gives manifests and lists. */
  readonly metadataCircuit: CircuitBreaker;
  /** As it gives blobs: mostly another host does that, and what it fails says nothing of manifests. */
  readonly blobCircuit: CircuitBreaker;
  readonly limits: RateLimits;
}

/** What is known of a host, for people and metrics. */
export interface HostStatus {
  readonly url: string;
  readonly isMirror: boolean;
  readonly circuit: CircuitState;
  /** Why it is not, or was not, asked. */
  readonly reason?: string;
  /** Since when it fails, in milliseconds of the epoch. */
  readonly since?: number;
  /** The last failure, whatever came after it. */
  readonly last?: Failure;
  readonly budget?: Budget;
  /** Seconds until it may be asked again after a 429. */
  readonly limitedFor?: number;
}

/** The addresses of an upstream in the order in which they are asked: its mirrors, then its own. */
export class Hosts {
  #known = new Map<string, Known>();
  readonly #now: (() => number) | undefined;
  #hosts: readonly Host[] = [];

  constructor(settings: UpstreamSettings, circuit?: CircuitBreaker, now?: () => number) {
    this.#now = now;
    if (circuit) {
      const limits = this.#limits(settings);
      const blobs = this.#health();
      this.#known.set(settings.url.href, {
        metadataCircuit: circuit,
        blobCircuit: blobs,
        limits,
        road: roadOf(settings),
      });
    }
    this.configure(settings);
  }

  /** Takes up changed settings; what is known of an address that is reached as before is kept. */
  configure(settings: UpstreamSettings): void {
    const { mirrors = [], client: _, credentials: __, ...rest } = settings;
    const before = this.#known;
    this.#known = new Map();
    const placed = (view: UpstreamSettings, how: Pick<Host, "overridePath" | "resolves">): Host => {
      const {
        metadataCircuit: circuit,
        blobCircuit: blobs,
        limits,
      } = this.#state(view, this.#known.get(view.url.href) ?? before.get(view.url.href));
      return {
        settings: view,
        isMirror: view !== settings,
        ...how,
        metadataCircuit: circuit,
        blobCircuit: blobs,
        limits,
      };
    };
    // Credentials and certificates are for the registry: a mirror belongs to somebody else.
    const views = mirrors.map(({ url, allowPrivate, overridePath, resolve, ca = rest.ca }) => {
      const view = { ...rest, url, allowPrivate, ...(ca === undefined ? {} : { ca }) };
      return placed(view, { overridePath, resolves: resolve });
    });
    this.#hosts = [...views, placed(settings, { overridePath: false, resolves: true })];
  }

  get all(): readonly Host[] {
    return this.#hosts;
  }

  /** Whether it is better to answer without asking, where that is possible. */
  isUnhealthy(who: string): boolean {
    return this.#hosts.every(
      ({ metadataCircuit: circuit, limits, isMirror }) =>
        circuit.isUnhealthy() || limits.shouldBackOff(isMirror ? ANONYMOUS : who),
    );
  }

  /** The last failure of the upstream's own address since it answered. */
  get fault(): Fault | undefined {
    return this.#hosts.at(-1)?.metadataCircuit.fault;
  }

  status(who: string): HostStatus[] {
    return this.#hosts.map(
      ({ settings, metadataCircuit: circuit, blobCircuit: blobs, limits, isMirror }) => {
        const as = isMirror ? ANONYMOUS : who;
        const limited = limits.fault(as, "metadata");
        const failing = circuit.state === "closed" && blobs.fault ? blobs : circuit;
        const what = failing === blobs ? "its blobs cannot be had: " : "";
        const reason = failing.fault ? `${what}${failing.fault.message}` : limited?.message;
        const last = latest(circuit.last, blobs.last);
        const budget = limits.budget(as);
        return {
          url: settings.url.href,
          isMirror,
          circuit: failing.state,
          ...(reason === undefined ? {} : { reason }),
          ...(failing.since === undefined ? {} : { since: failing.since }),
          ...(last ? { last } : {}),
          ...(budget ? { budget } : {}),
          ...(limited?.detail.kind === "upstream-rate-limited"
            ? { limitedFor: limited.detail.retryAfter }
            : {}),
        };
      },
    );
  }

  #state(settings: UpstreamSettings, before: Known | undefined): Known {
    const road = roadOf(settings);
    // By another road it may well answer: its failures were that one's. Its limits are not.
    const known =
      before?.road === road
        ? before
        : {
            metadataCircuit: this.#health(),
            blobCircuit: this.#health(),
            limits: before?.limits ?? this.#limits(settings),
            road,
          };
    this.#known.set(settings.url.href, known);
    return known;
  }

  #health(): CircuitBreaker {
    return new CircuitBreaker(this.#now ? { now: this.#now } : {});
  }

  #limits({ name }: UpstreamSettings): RateLimits {
    return new RateLimits({ upstream: name, ...(this.#now ? { now: this.#now } : {}) });
  }
}

interface Known extends Pick<Host, "metadataCircuit" | "blobCircuit" | "limits"> {
  readonly road: string;
}

/** All that decides whether an address can be reached. */
function roadOf({ allowPrivate, proxy, ca, client }: UpstreamSettings): string {
  return JSON.stringify([allowPrivate, proxy, ca, client]);
}

function latest(one: Failure | undefined, other: Failure | undefined): Failure | undefined {
  return one && other ? (one.at < other.at ? other : one) : (one ?? other);
}

/** What a host's answers to such questions tell of. */
export function circuitFor(
  { metadataCircuit: circuit, blobCircuit: blobs }: Host,
  request: RequestKind,
): CircuitBreaker {
  return request === "blob" ? blobs : circuit;
}

export function limitKind(request: RequestKind): LimitKind {
  return request === "blob" ? "blob" : "metadata";
}

/** Who a mirror is asked as. */
export const ANONYMOUS = "anonymous";

/** Why a host is not asked for this now. */
export function blockedBy(host: Host, who: string, request: RequestKind): Fault | undefined {
  const limited = host.limits.fault(host.isMirror ? ANONYMOUS : who, limitKind(request));
  return limited ?? circuitFor(host, request).admit();
}

/**
 * Takes note that a host sent something else than what was asked for. The registry itself stays: there
 * is nobody else to ask.
 *
 * @returns whether others are asked from now on
 */
export function reportCorrupt(host: Host, fault: Fault, observe?: UpstreamObserver): boolean {
  if (!host.isMirror) return false;
  const { name: upstream, url } = host.settings;
  const isNew = [host.metadataCircuit, host.blobCircuit]
    .map((circuit) => circuit.eject(fault))
    .includes(true);
  if (isNew) {
    observe?.({ type: "condemned", upstream, mirror: url.href, reason: fault.message });
  }
  return true;
}
