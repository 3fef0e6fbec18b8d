import type { Metric } from "./exposition.ts";
import type { CounterValue } from "./counters.ts";
import type { CacheResult, RequestedKind, Responses } from "./request-counters.ts";

/** What a registry is asked for that is counted: lists are not. */
const KINDS: ReadonlySet<string> = new Set<RequestedKind>(["blob", "manifest"]);

/** Results of responses whose content had to be fetched. */
const MISSES: ReadonlySet<CacheResult> = new Set<CacheResult>(["miss", "bypass"]);

const LABELS = ["upstream_host", "type"];

export interface ProxySources {
  readonly responses: () => Iterable<Responses>;
  /** Bytes received from upstreams, by upstream and kind. */
  readonly fetched: Iterable<CounterValue>;
}

/**
 * The counters of registry:3 as a proxy (distribution, `registry/proxy/proxymetrics.go`), with the label by which
 * Gardener tells its caches apart. So dashboards and rules for these show this cache as well.
 */
export function proxyCounters({
  responses,
  fetched,
}: ProxySources): readonly Omit<Metric, "kind">[] {
  const total = (read: (of: Responses) => number) => (): Iterable<CounterValue> => {
    const totals = new Map<string, CounterValue>();
    for (const one of responses()) {
      if (!KINDS.has(one.kind)) continue;
      const labels = [one.upstream, one.kind];
      const key = labels.join(" ");
      totals.set(key, { labels, value: (totals.get(key)?.value ?? 0) + read(one) });
    }
    return totals.values();
  };
  return [
    counter(
      "requests",
      "Requests for blobs and manifests",
      total(({ count }) => count),
    ),
    counter(
      "hits",
      "Requests for blobs and manifests that were answered from the cache",
      total(({ result, count }) => (MISSES.has(result) ? 0 : count)),
    ),
    counter(
      "misses",
      "Requests for blobs and manifests that were fetched from the upstream",
      total(({ result, count }) => (MISSES.has(result) ? count : 0)),
    ),
    counter("pulled_bytes", "Bytes of blobs and manifests received from the upstream", () =>
      [...fetched].filter(({ labels: [, kind = ""] }) => KINDS.has(kind)),
    ),
    counter(
      "pushed_bytes",
      "Bytes of blobs and manifests sent to clients",
      total(({ bytes }) => bytes),
    ),
  ];
}

function counter(name: string, help: string, read: Metric["read"]): Omit<Metric, "kind"> {
  const full = `registry_proxy_${name}_total`;
  return {
    name: full,
    help: `${help}, as registry:3 and Gardener name it.`,
    labelNames: LABELS,
    read,
  };
}
