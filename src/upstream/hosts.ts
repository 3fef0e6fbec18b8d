import type { UpstreamSettings } from "../config/settings.ts";
import type { Fault } from "../oci/fault.ts";
import { type CircuitState, type Failure, Health } from "./health/circuit-breaker.ts";
import { type Budget, type LimitKind, Limits } from "./health/rate-limits.ts";
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
  readonly health: Health;
  /** As it gives blobs: mostly another host does that, and what it fails says nothing of manifests. */
  readonly blobs: Health;
  readonly limits: Limits;
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

  constructor(settings: UpstreamSettings, health?: Health, now?: () => number) {
    this.#now = now;
    if (health) {
      const limits = this.#limits(settings);
      const blobs = this.#health();
      this.#known.set(settings.url.href, { health, blobs, limits, road: roadOf(settings) });
    }
    this.configure(settings);
  }

  /** Takes up changed settings; what is known of an address that is reached as before is kept. */
  configure(settings: UpstreamSettings): void {
    const { mirrors = [], client: _, credentials: __, ...rest } = settings;
    const before = this.#known;
    this.#known = new Map();
    const placed = (view: UpstreamSettings, how: Pick<Host, "overridePath" | "resolves">): Host => {
      const { health, blobs, limits } = this.#state(
        view,
        this.#known.get(view.url.href) ?? before.get(view.url.href),
      );
      return { settings: view, isMirror: view !== settings, ...how, health, blobs, limits };
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
  ailing(who: string): boolean {
    return this.#hosts.every(
      ({ health, limits, isMirror }) =>
        health.ailing() || limits.holdsBack(isMirror ? ANONYMOUS : who),
    );
  }

  /** The last failure of the upstream's own address since it answered. */
  get fault(): Fault | undefined {
    return this.#hosts.at(-1)?.health.fault;
  }

  status(who: string): HostStatus[] {
    return this.#hosts.map(({ settings, health, blobs, limits, isMirror }) => {
      const as = isMirror ? ANONYMOUS : who;
      const limited = limits.fault(as, "metadata");
      const failing = health.state === "closed" && blobs.fault ? blobs : health;
      const what = failing === blobs ? "its blobs cannot be had: " : "";
      const reason = failing.fault ? `${what}${failing.fault.message}` : limited?.message;
      const last = latest(health.last, blobs.last);
      const budget = limits.budget(as);
      return {
        url: settings.url.href,
        isMirror,
        circuit: failing.state,
        ...(reason === undefined ? {} : { reason }),
        ...(failing.since === undefined ? {} : { since: failing.since }),
        ...(last ? { last } : {}),
        ...(budget ? { budget } : {}),
        ...(limited?.detail.kind === "upstream-limited"
          ? { limitedFor: limited.detail.retryAfter }
          : {}),
      };
    });
  }

  #state(settings: UpstreamSettings, before: Known | undefined): Known {
    const road = roadOf(settings);
    // By another road it may well answer: its failures were that one's. Its limits are not.
    const known =
      before?.road === road
        ? before
        : {
            health: this.#health(),
            blobs: this.#health(),
            limits: before?.limits ?? this.#limits(settings),
            road,
          };
    this.#known.set(settings.url.href, known);
    return known;
  }

  #health(): Health {
    return new Health(this.#now ? { now: this.#now } : {});
  }

  #limits({ name }: UpstreamSettings): Limits {
    return new Limits({ upstream: name, ...(this.#now ? { now: this.#now } : {}) });
  }
}

interface Known extends Pick<Host, "health" | "blobs" | "limits"> {
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
export function healthFor({ health, blobs }: Host, request: RequestKind): Health {
  return request === "blob" ? blobs : health;
}

export function limitKind(request: RequestKind): LimitKind {
  return request === "blob" ? "blob" : "metadata";
}

/** Who a mirror is asked as. */
export const ANONYMOUS = "anonymous";

/** Why a host is not asked for this now. */
export function reservation(host: Host, who: string, request: RequestKind): Fault | undefined {
  const limited = host.limits.fault(host.isMirror ? ANONYMOUS : who, limitKind(request));
  return limited ?? healthFor(host, request).admit();
}

/**
 * Takes note that a host sent something else than what was asked for. The registry itself stays: there
 * is nobody else to ask.
 *
 * @returns whether others are asked from now on
 */
export function blame(host: Host, fault: Fault, observe?: UpstreamObserver): boolean {
  if (!host.isMirror) return false;
  const { name: upstream, url } = host.settings;
  const isNew = [host.health, host.blobs].map((health) => health.condemn(fault)).includes(true);
  if (isNew) {
    observe?.({ type: "condemned", upstream, mirror: url.href, reason: fault.message });
  }
  return true;
}
