import type { Metric } from "./exposition.ts";
import type { RequestCounters } from "./request-counters.ts";

/** The metrics of client requests. */
export function requestCounters(requests: RequestCounters): readonly Omit<Metric, "kind">[] {
  return [
    {
      name: "entrepot_requests_total",
      help: "Requests completed on node-facing ports.",
      labelNames: ["upstream", "kind", "method", "status"],
      read: () => requests.counts(),
    },
    {
      name: "entrepot_response_bytes_total",
      help: "Bytes of response bodies sent to clients.",
      labelNames: ["upstream"],
      read: () => requests.bytes(),
    },
    {
      name: "entrepot_cache_requests_total",
      help: "Requests by cache result: hit, miss, stale, collapsed, revalidated or bypass.",
      labelNames: ["upstream", "kind", "result"],
      read: () => requests.results(),
    },
    {
      name: "entrepot_access_decisions_total",
      help: "Requests for repositories by what was decided about who asks: open, public, granted, clients, unauthorized, refused, not-permitted, slowed or denied.",
      labelNames: ["upstream", "decision"],
      read: () => requests.decisions(),
    },
  ];
}
