import type { Metrics } from "../../telemetry/metrics.ts";
import type { HostStatus } from "../../upstream/hosts.ts";
import type { Upstreams } from "./upstreams.ts";

/** What is known of the upstreams whenever somebody reads the metrics. */
export function measureUpstreams(metrics: Metrics, upstreams: Upstreams): void {
  const gauge = (
    name: string,
    help: string,
    read: (status: HostStatus) => number | undefined,
  ): void => {
    metrics.gauges(name, help, ["upstream", "host"], () =>
      [...upstreams.all.values()].flatMap(({ registry }) =>
        registry.status.flatMap((status) => {
          const value = read(status);
          const labels = [registry.name, placeOf(new URL(status.url))];
          return value === undefined ? [] : [{ labels, value }];
        }),
      ),
    );
  };
  gauge(
    "entrepot_upstream_budget_remaining",
    "Requests that it still allows, as it told.",
    (status) => status.budget?.remaining,
  );
  gauge(
    "entrepot_upstream_budget_limit",
    "Requests that it allows in all, as it told.",
    (status) => status.budget?.limit,
  );
  gauge(
    "entrepot_upstream_limited_seconds",
    "Until it may be asked again after a 429.",
    ({ retryAfter = 0 }) => retryAfter,
  );
  gauge(
    "entrepot_upstream_circuit_open",
    "Whether it is not asked because it fails.",
    ({ circuit }) => (circuit === "closed" ? 0 : 1),
  );
}

/** Host and path: two mirrors may well be on one host. The scheme is told where it is not https. */
function placeOf({ protocol, host, pathname }: URL): string {
  const scheme = protocol === "https:" ? "" : `${protocol}//`;
  return `${scheme}${host}${pathname.replace(/\/+$/, "")}`;
}
