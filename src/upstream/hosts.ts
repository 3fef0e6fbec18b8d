import type { UpstreamSettings } from "../config/settings.ts";
import type { Fault } from "../oci/fault.ts";
import { type CircuitState, Health } from "./health.ts";
import { type Budget, Limits } from "./limits.ts";
import type { SlotKind } from "./slots.ts";

/** One address of an upstream: a mirror's or its own. */
export interface Host {
  /** The upstream's settings as they are for this address. */
  readonly settings: UpstreamSettings;
  readonly isMirror: boolean;
  /** Whether its path takes the place of `/v2`. */
  readonly overridePath: boolean;
  /** Whether it is asked where tags point to. */
  readonly resolves: boolean;
  readonly health: Health;
  readonly limits: Limits;
}

/** What is known of a host, for people and metrics. */
export interface HostStatus {
  readonly url: string;
  readonly circuit: CircuitState;
  /** Why it is not, or was not, asked. */
  readonly reason?: string;
  readonly budget?: Budget;
  /** Seconds until it may be asked again after a 429. */
  readonly limitedFor?: number;
}

/** The addresses of an upstream in the order in which they are asked: its mirrors, then its own. */
export class Hosts {
  readonly #known = new Map<string, Pick<Host, "health" | "limits">>();
  readonly #now: (() => number) | undefined;
  #hosts: readonly Host[] = [];

  constructor(settings: UpstreamSettings, health?: Health, now?: () => number) {
    this.#now = now;
    if (health) this.#known.set(settings.url.href, { health, limits: this.#limits(settings) });
    this.configure(settings);
  }

  /** Takes up changed settings; what is known of an address that stays is kept. */
  configure(settings: UpstreamSettings): void {
    const { mirrors = [], url, client: _, credentials: __, ...rest } = settings;
    const own: Host = {
      settings,
      isMirror: false,
      overridePath: false,
      resolves: true,
      ...this.#state(settings, url),
    };
    // Credentials and certificates are for the registry: a mirror belongs to somebody else.
    const views = mirrors.map((mirror): Host => {
      const { health, limits } = this.#state(settings, mirror.url);
      const { overridePath, resolve: resolves, ca = rest.ca } = mirror;
      const seen = {
        ...rest,
        url: mirror.url,
        allowPrivate: mirror.allowPrivate,
        ...(ca === undefined ? {} : { ca }),
      };
      return { settings: seen, isMirror: true, overridePath, resolves, health, limits };
    });
    this.#hosts = [...views, own];
  }

  get all(): readonly Host[] {
    return this.#hosts;
  }

  /** Whether it is better to answer without asking, where that is possible. */
  ailing(who: string): boolean {
    return this.#hosts.every(
      ({ health, limits, isMirror }) =>
        health.ailing() || limits.fault(isMirror ? ANONYMOUS : who, "metadata") !== undefined,
    );
  }

  /** The last failure of the upstream's own address since it answered. */
  get fault(): Fault | undefined {
    return this.#hosts.at(-1)?.health.fault;
  }

  status(who: string): HostStatus[] {
    return this.#hosts.map(({ settings, health, limits, isMirror }) => {
      const as = isMirror ? ANONYMOUS : who;
      const limited = limits.fault(as, "metadata");
      const reason = health.fault?.message ?? limited?.message;
      const budget = limits.budget(as);
      return {
        url: settings.url.href,
        circuit: health.state,
        ...(reason === undefined ? {} : { reason }),
        ...(budget ? { budget } : {}),
        ...(limited?.detail.kind === "upstream-limited"
          ? { limitedFor: limited.detail.retryAfter }
          : {}),
      };
    });
  }

  #state(settings: UpstreamSettings, url: URL): Pick<Host, "health" | "limits"> {
    const known = this.#known.get(url.href);
    if (known) return known;
    const health = new Health(this.#now ? { now: this.#now } : {});
    const made = { health, limits: this.#limits(settings) };
    this.#known.set(url.href, made);
    return made;
  }

  #limits({ name }: UpstreamSettings): Limits {
    return new Limits({ upstream: name, ...(this.#now ? { now: this.#now } : {}) });
  }
}

/** Who a mirror is asked as. */
export const ANONYMOUS = "anonymous";

/** Why a host is not asked for this now. */
export function reservation(host: Host, who: string, kind: SlotKind): Fault | undefined {
  return host.limits.fault(host.isMirror ? ANONYMOUS : who, kind) ?? host.health.admit();
}
