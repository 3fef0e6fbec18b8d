import type { Cache } from "../../cache/cache.ts";
import type { Siblings } from "../../cache/siblings/siblings.ts";
import type { Usefulness } from "../../cache/siblings/usefulness.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { HostStatus } from "../../upstream/hosts.ts";
import type { DownloadRates } from "../../upstream/rates/download-rates.ts";
import type { Upstreams } from "./upstreams.ts";

/** Registers the gauges of the upstreams, by address, and of what is downloaded from them. */
export function measureUpstreams(
  metrics: Metrics,
  upstreams: Upstreams,
  { fills, siblings }: Pick<Cache, "fills" | "siblings">,
  rates: DownloadRates,
): void {
  measureAddresses(metrics, upstreams);
  measureCredentials(metrics, upstreams);
  measureFills(metrics, fills);
  measureRates(metrics, upstreams, rates);
  measurePrefetch(metrics, upstreams, siblings);
}

function measureFills(metrics: Metrics, fills: Cache["fills"]): void {
  metrics.gauge("entrepot_fills_active", "Blob downloads in progress.", () => fills.count);
  const connections = "Connections of the downloads in progress: large blobs have several.";
  metrics.gauge("entrepot_fill_connections", connections, () => fills.connections);
}

function measureAddresses(metrics: Metrics, upstreams: Upstreams): void {
  const gauge = (
    name: string,
    help: string,
    read: (status: HostStatus) => number | undefined,
  ): void => {
    metrics.gauges(name, help, ["upstream", "host"], () =>
      [...upstreams.all.values()].flatMap(({ registry }) =>
        registry.status.flatMap((status) => {
          const value = read(status);
          const labels = [registry.name, hostLabel(new URL(status.url))];
          return value === undefined ? [] : [{ labels, value }];
        }),
      ),
    );
  };
  gauge(
    "entrepot_upstream_budget_remaining",
    "Requests that the upstream still allows, by its rate-limit headers.",
    (status) => status.budget?.remaining,
  );
  gauge(
    "entrepot_upstream_budget_limit",
    "Requests that the upstream allows per window, by its rate-limit headers.",
    (status) => status.budget?.limit,
  );
  gauge(
    "entrepot_upstream_rate_limited_seconds",
    "Seconds until the upstream is asked again after a 429, else 0.",
    ({ retryAfter = 0 }) => retryAfter,
  );
  gauge(
    "entrepot_upstream_circuit_open",
    "1 if the circuit breaker of the address is open or half-open, else 0.",
    ({ circuit }) => (circuit === "closed" ? 0 : 1),
  );
}

function measureCredentials(metrics: Metrics, upstreams: Upstreams): void {
  metrics.gauges(
    "entrepot_upstream_credentials_failing",
    "1 if the upstream refuses the credentials of its auth, or none can be had from their helper or cloud, else 0. Only with auth.",
    ["upstream"],
    () =>
      [...upstreams.all.values()].flatMap(({ registry }) => {
        const { state } = registry.credentials;
        const isFailing = state === "refused" || state === "failed";
        return state === "none" ? [] : [{ labels: [registry.name], value: isFailing ? 1 : 0 }];
      }),
  );
}

/** What upstreams may send, and send. The upstream `*` stands for all together. */
function measureRates(metrics: Metrics, upstreams: Upstreams, rates: DownloadRates): void {
  const statuses = () => [
    { upstream: "*", status: rates.status() },
    ...[...upstreams.all.keys()].map((name) => ({ upstream: name, status: rates.status(name) })),
  ];
  metrics.gauges(
    "entrepot_upstream_max_rate_bytes",
    "Bytes per second that the upstream may send now, if maxRate limits it; * is all together.",
    ["upstream"],
    () =>
      statuses().flatMap(({ upstream, status: { rate } }) =>
        rate === undefined ? [] : [{ labels: [upstream], value: rate }],
      ),
  );
  metrics.gauges(
    "entrepot_upstream_rate_bytes",
    "Bytes per second that the upstream sent in the last five seconds; * is all together.",
    ["upstream"],
    () => statuses().map(({ upstream, status: { used } }) => ({ labels: [upstream], value: used })),
  );
}

/** Host and path, since two mirrors may be on one host. With the scheme, unless that is https. */
function hostLabel({ protocol, host, pathname }: URL): string {
  const scheme = protocol === "https:" ? "" : `${protocol}//`;
  return `${scheme}${host}${pathname.replace(/\/+$/, "")}`;
}

function measurePrefetch(
  metrics: Metrics,
  upstreams: Upstreams,
  siblings: Pick<Siblings, "usefulness">,
): void {
  const values = (read: (of: Usefulness) => number) => () =>
    [...upstreams.all.keys()].map((name) => ({
      labels: [name],
      value: read(siblings.usefulness(name)),
    }));
  metrics.counters(
    "entrepot_prefetched_blobs_total",
    "Blobs that were downloaded and stored before a client asked for them, or while one did.",
    ["upstream"],
    values(({ filled }) => filled),
  );
  metrics.counters(
    "entrepot_prefetched_blobs_asked_total",
    "Blobs downloaded ahead that a client asked for within ten minutes.",
    ["upstream"],
    values(({ asked }) => asked),
  );
  metrics.gauges(
    "entrepot_prefetch_paused",
    "1 while nothing is downloaded ahead, since clients asked for fewer than half of it, else 0.",
    ["upstream"],
    values(({ offUntil }) => (offUntil === undefined ? 0 : 1)),
  );
}
